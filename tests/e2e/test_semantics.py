"""What Argo's words mean, on the real scheduler. Expected values are Argo's (semantics.md), each case's in its comment.

All workflows run at once; each test then waits for its own.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from airflow_api import phases

WORKFLOWS = Path(__file__).with_name("workflows")
WITH_WITNESS = ("retry-third-time", "retry-exhausted", "retry-not-on-error", "retry-steps")
DAGS = (
    *WITH_WITNESS,
    "exit-after-success",
    "exit-after-failure",
    "exit-fails",
    "when-groups",
    "depends",
    "depends-omitted-leaf",
    "environment",
    "nested-loops",
    "aggregation",
    "sequences",
    "tree",
)


@pytest.fixture(scope="module")
def started(airflow, dropped, witness):
    """A run of each workflow, on its way."""
    files = [WORKFLOWS / f"{name}.yaml" for name in ("retry", "exit", "control", "loops")]
    with dropped(*files, into="semantics"):
        yield {dag: airflow.trigger(dag, **({"witness": witness.url} if dag in WITH_WITNESS else {})) for dag in DAGS}


@pytest.fixture
def ended(airflow, started):
    """``ended(dag, state)``: the run, when it has ended in this state."""

    def wait(dag: str, state: str = "success"):
        run = started[dag]
        assert airflow.wait(run) == state, airflow.trouble(run)
        return run

    return wait


def said(run, name: str) -> list[str]:
    """What the container of each instance printed, from its log."""
    return [task.log for task in run.named(name)]


def attempts(witness, prefix: str) -> int:
    """How often the one workflow of this prefix was counted."""
    (name,) = [name for name in witness.names() if name.startswith(prefix)]
    return witness.count(name)


def test_a_step_that_fails_twice_succeeds_at_the_third_attempt(ended, witness):
    run = ended("retry-third-time")
    task = run.task("count")
    assert task.outputs["phase"] == "Succeeded"
    assert attempts(witness, "retry-third-time") == 3


def test_attempts_are_limit_plus_one(ended, witness):
    run = ended("retry-exhausted", "failed")
    outputs = run.task("count").outputs
    assert (outputs["phase"], outputs["exitCode"]) == ("Failed", 7)
    assert attempts(witness, "retry-exhausted") == 2


def test_an_error_is_not_tried_again(ended, witness):
    """§2.11: the default policy is OnFailure; §2.8: a missing output file without default is Error."""
    run = ended("retry-not-on-error", "failed")
    outputs = run.task("count").outputs
    assert outputs["phase"] == "Error"
    assert "/tmp/nothing" in outputs["message"]
    assert attempts(witness, "retry-not-on-error") == 1


def test_a_composite_is_tried_again_as_a_whole(airflow, ended, witness):
    run = ended("retry-steps")
    assert run.task("both").outputs["parameters"] == {"attempt": "2"}
    assert "passed in attempt 2" in run.task("after").log
    assert [child.state for child in airflow.children(run, "both")] == ["failed", "success"]
    assert attempts(witness, "retry-steps") == 2


def test_the_exit_handler_after_success(ended):
    run = ended("exit-after-success")
    assert "status=Succeeded" in run.task("_onExit").log


def test_the_exit_handler_after_failure(airflow, ended):
    """The workflow stays failed although its handler succeeds (§2.12); catalogue: exit-handlers.yaml."""
    run = ended("exit-after-failure", "failed")
    assert phases(run)["broken"] == ["Failed"]
    (handler,) = airflow.children(run, "handler")
    assert handler.state == "success"
    assert phases(handler) == {"notify": ["Succeeded"], "celebrate": ["Skipped"], "cry": ["Succeeded"]}
    log = handler.task("cry").log
    assert "status=Failed" in log
    assert "main: Error (exit code 3)" in log, "workflow.failures tells the message"


def test_a_failing_exit_handler_fails_the_workflow(ended):
    run = ended("exit-fails", "failed")
    assert run.task("pass").outputs["phase"] == "Succeeded"
    assert run.task("_onExit").outputs["phase"] == "Failed"


def test_a_group_is_left_out_as_a_whole(ended):
    run = ended("when-groups")
    states: dict[str, set[str]] = {}
    for task in run.tasks:
        if not task.name.startswith("_"):
            states.setdefault(task.raw["task_id"].split(".")[0], set()).add(task.state)
    assert states == {"green": {"skipped"}, "red": {"success"}, "after": {"success"}}
    red = [task.raw["task_id"] for task in run.tasks if task.raw["task_id"].startswith("red.")]
    assert {"red.one", "red.two.a", "red.two.b"} <= set(red)
    gate = next(task for task in run.tasks if task.raw["task_id"] == "green._when")
    assert gate.outputs["phase"] == "Skipped"
    assert gate.outputs["message"] == "when 'red == green' evaluated false"


def test_depends(ended):
    run = ended("depends")
    assert phases(run) == {
        "A": ["Succeeded"],
        "B": ["Succeeded"],
        "C": ["Failed"],
        "either-way": ["Succeeded"],
        "b-or-c": ["Succeeded"],
        "b-and-c": ["Omitted"],
        "not-both": ["Succeeded"],
        "left-out": ["Succeeded"],
        "fan": ["Succeeded", "Failed", "Failed"],
        "some-fan": ["Succeeded"],
        "no-fan": ["Omitted"],
        "fan-handled": ["Succeeded"],
    }
    assert run.task("no-fan").outputs["message"] == "omitted: depends condition not met"


def test_an_omitted_leaf_shows_the_failure_of_its_branch(ended):
    run = ended("depends-omitted-leaf", "failed")
    want = {"A": ["Succeeded"], "B": ["Failed"], "D": ["Succeeded"], "E": ["Failed"], "G": ["Omitted"]}
    assert phases(run) == want


def test_environment(ended):
    run = ended("environment")
    assert "hello/blue/blue/sesame/12/environment-" in run.task("show").log
    assert "/absent" in run.task("show").log


def test_a_loop_over_a_composite_that_loops(airflow, ended):
    run = ended("nested-loops")
    assert [task.shown for task in run.named("rows")] == ["rows(0:1)", "rows(1:2)"]
    assert "[[10,11,12],[20,21,22]]" in run.task("lists").log
    assert '[{"cells":"[10,11,12]"},{"cells":"[20,21,22]"}]' in run.task("maps").log
    again = run.named("again")
    assert [task.shown for task in again] == ["again(0:[10 11 12])", "again(1:[20 21 22])"]
    assert "[20,21,22]" in again[1].log
    rows = airflow.children(run, "row")
    assert sorted(tuple(task.outputs["result"] for task in row.named("cell")) for row in rows) == [
        ("10", "11", "12"),
        ("20", "21", "22"),
    ]


def test_aggregation_counts_what_succeeded(ended):
    run = ended("aggregation")
    assert phases(run)["each"] == ["Succeeded", "Failed", "Succeeded"]
    assert '["1.5","3.5"] [{"half":"1.5"},{"half":"3.5"}]' in run.task("all").log


@pytest.mark.parametrize(
    ("step", "names", "texts"),
    [
        ("hex", ["hex(0:t09)", "hex(1:t0A)", "hex(2:t0B)"], ["t09", "t0A", "t0B"]),
        ("down", ["down(0:1)", "down(1:0)"], ["1", "0"]),
        ("bound", ["bound(0:7)", "bound(1:8)"], ["7", "8"]),
        (
            "maps",
            ["maps(0:city:Lima,land:Peru)", "maps(1:city:Lome,land:Togo)"],
            ['Lima in Peru {"city":"Lima","land":"Peru"}', 'Lome in Togo {"city":"Lome","land":"Togo"}'],
        ),
    ],
)
def test_items(ended, step, names, texts):
    run = ended("sequences")
    assert [task.shown for task in run.named(step)] == names
    for text, log in zip(texts, said(run, step), strict=True):
        assert f"said {text}" in log


@pytest.mark.parametrize("step", ["none", "empty", "empty-group"])
def test_an_empty_list_is_one_skipped_node(ended, step):
    run = ended("sequences")
    assert run.task(step).state == "skipped"
    assert run.task("after").state == "success"


def test_recursion_outside_tail_position(airflow, ended):
    run = ended("tree")
    assert "total 7" in run.task("total").log
    children = airflow.children(run, "tree")
    assert Counter(child.task("sum").outputs["result"] for child in children) == {"7": 1, "3": 2, "1": 4}
    assert json.loads(run.task("root").outputs["parameters"]["nodes"]) == 7
