"""How a template ends (semantics.md §2.5, §2.6), and a loop (§2.7; Argo: dag.go:703-716)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.lang.phases import COMPLETED, conclude, of_loop

PHASES = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def phase(tasks: dict[str, tuple[str, ...]], phases: dict[str, str], *, steps: bool = False) -> str:
    try:
        conclude(tasks, phases, steps=steps)
    except (NodeFailed, NodeError) as error:
        return error.phase
    return "Succeeded"


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "expected"),
    [
        ("Succeeded", "Succeeded", "Succeeded", "Succeeded", "Succeeded"),
        ("Failed", "Omitted", "Omitted", "Omitted", "Failed"),  # an Omitted leaf below a failed task fails the dag
        ("Error", "Omitted", "Omitted", "Omitted", "Error"),
        ("Succeeded", "Failed", "Succeeded", "Omitted", "Failed"),  # the failed parent wins over the other
        ("Succeeded", "Succeeded", "Error", "Omitted", "Error"),
        ("Succeeded", "Failed", "Succeeded", "Succeeded", "Succeeded"),  # its dependent ran and made it good
        ("Failed", "Succeeded", "Succeeded", "Succeeded", "Succeeded"),
        ("Succeeded", "Succeeded", "Succeeded", "Failed", "Failed"),
        ("Succeeded", "Skipped", "Skipped", "Skipped", "Succeeded"),  # a Skipped leaf below Succeeded
        ("Skipped", "Skipped", "Skipped", "Skipped", "Succeeded"),
        ("Failed", "Skipped", "Succeeded", "Omitted", "Failed"),  # inherited through what did not run
    ],
)
def test_dag(a: str, b: str, c: str, d: str, expected: str) -> None:
    assert phase(DIAMOND, {"a": a, "b": b, "c": c, "d": d}) == expected


def test_dag_takes_the_first_failing_leaf_in_sorted_order() -> None:
    leaves: dict[str, tuple[str, ...]] = {"b": (), "a": ()}
    assert phase(leaves, {"a": "Failed", "b": "Error"}) == "Failed"
    assert phase(leaves, {"a": "Error", "b": "Failed"}) == "Error"


def test_steps_never_end_in_error() -> None:
    steps: dict[str, tuple[str, ...]] = {"a": (), "b": ()}
    assert phase(steps, {"a": "Error", "b": "Succeeded"}, steps=True) == "Failed"
    assert phase(steps, {"a": "Skipped", "b": "Succeeded"}, steps=True) == "Succeeded"
    assert phase(steps, {"a": "Failed", "b": "Omitted"}, steps=True) == "Failed"


def test_message_names_the_task() -> None:
    with pytest.raises(NodeFailed, match="task 'd' ended in phase Omitted"):
        conclude(DIAMOND, {"a": "Failed", "b": "Omitted", "c": "Omitted", "d": "Omitted"})


def test_deep_chain_is_no_problem() -> None:
    tasks = {f"t{i}": (f"t{i - 1}",) if i else () for i in range(5000)}
    phases = {name: "Omitted" for name in tasks} | {"t0": "Failed"}
    assert phase(tasks, phases) == "Failed"


@given(st.lists(st.sampled_from(PHASES), min_size=1, max_size=6))
def test_law_of_independent_tasks(phases: list[str]) -> None:
    """All are leaves: the template fails exactly if one of them did."""
    names = [f"t{i}" for i in range(len(phases))]
    expected = next((one for one in phases if one in ("Failed", "Error")), "Succeeded")
    assert phase({name: () for name in names}, dict(zip(names, phases, strict=True))) == expected


@given(st.lists(st.sampled_from(PHASES), min_size=1, max_size=6))
def test_law_of_chains(phases: list[str]) -> None:
    """The last task that ran decides."""
    tasks = {f"t{i}": (f"t{i - 1}",) if i else () for i in range(len(phases))}
    ran = [one for one in phases if one in COMPLETED]
    assert phase(tasks, dict(zip(tasks, phases, strict=True))) == (ran[-1] if ran else "Succeeded")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], "Skipped"),
        (["Succeeded"], "Succeeded"),
        (["Skipped", "Skipped"], "Succeeded"),
        (["Failed", "Succeeded"], "Failed"),
        (["Failed", "Error", "Succeeded"], "Error"),  # the last child that failed
        (["Error", "Failed"], "Failed"),
    ],
)
def test_loop(items: list[str], expected: str) -> None:
    assert of_loop(items) == expected
