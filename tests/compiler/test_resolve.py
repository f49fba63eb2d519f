"""Who calls whom."""

from __future__ import annotations

import pytest

from argo_airflow.compiler.parse import parse
from argo_airflow.compiler.resolve import Resolved, resolve

HEAD = (
    "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n  templates:\n"
)
LEAF = "  - {name: leaf, container: {image: busybox, command: [echo]}}\n"


def resolved(templates: str) -> Resolved:
    (document,) = parse(HEAD + templates + LEAF, "test.yaml")
    return resolve(document.workflow)


def steps(name: str, *groups: str) -> str:
    shown = ", ".join(
        "["
        + ", ".join(f"{{name: {word.partition(':')[0]}, template: {word.partition(':')[2]}}}" for word in group.split())
        + "]"
        for group in groups
    )
    return f"  - {{name: {name}, steps: [{shown}]}}\n"


def test_steps_become_tasks_that_wait_for_the_group_before() -> None:
    found = resolved(steps("main", "a:leaf b:leaf", "", "c:leaf", "d:leaf"))
    tasks = {task.name: task for task in found.tasks["main"]}
    assert {name: task.waits_for for name, task in tasks.items()} == {
        "a": (),
        "b": (),
        "c": ("a", "b"),  # an empty group does not cut the order
        "d": ("c",),
    }
    assert tasks["c"].path == "[2].c"
    assert tasks["c"].depends == "a && b"
    assert all(task.plain for task in tasks.values())


@pytest.mark.parametrize(
    ("depends", "waits_for", "plain"),
    [
        ("a", ("a",), True),
        ("a && b", ("a", "b"), True),
        ("b && (a)", ("a", "b"), True),
        ("a || b", ("a", "b"), False),
        ("a.Succeeded", ("a",), False),
        ("!a", ("a",), False),
        ("a && b.Failed", ("a", "b"), False),
    ],
)
def test_depends(depends: str, waits_for: tuple[str, ...], plain: bool) -> None:
    """A bare name is Succeeded, Skipped or Daemoned (semantics.md §2.4): only ANDs of these are Airflow's own rule."""
    found = resolved(
        "  - name: main\n    dag:\n      tasks:\n      - {name: a, template: leaf}\n      - {name: b, template: leaf}\n"
        f"      - {{name: c, template: leaf, depends: '{depends}'}}\n"
    )
    task = found.tasks["main"][2]
    assert (task.waits_for, task.plain, task.path) == (waits_for, plain, ".c")


def test_inline_templates_are_named_after_their_place() -> None:
    found = resolved(
        "  - name: main\n    steps:\n    - - name: a\n        inline:\n          steps:\n"
        "          - - {name: b, inline: {container: {image: busybox, command: [echo]}}}\n"
    )
    assert set(found.templates) == {"main", "main.a", "main.a.b", "leaf"}
    assert found.composite("main.a")
    assert not found.composite("main.a.b")
    assert found.tasks["main.a"][0].target == "main.a.b"


def test_recursion_is_found_through_others() -> None:
    found = resolved(
        steps("main", "a:ping") + steps("ping", "a:pong", "b:leaf") + steps("pong", "a:ping") + steps("self", "a:self")
    )
    assert {name for name in found.templates if found.recursive(name)} == {"ping", "pong", "self"}
    assert found.same_recursion("ping", "pong")
    assert not found.same_recursion("main", "ping")
    assert not found.same_recursion("ping", "self")


def test_size() -> None:
    found = resolved(
        steps("main", "a:two b:two", "c:leaf d:self e:none")
        + steps("two", "a:leaf b:leaf")
        + steps("self", "a:self b:two")
        + steps("none", "")
    )
    assert {name: found.size(name) for name in ("leaf", "two", "self", "none", "main")} == {
        "leaf": 1,
        "two": 2,
        "self": 1,
        "none": 1,
        "main": 7,
    }


def test_size_of_a_tower_is_counted_without_walking_it() -> None:
    found = resolved("".join(steps(f"t{i}", f"a:t{i + 1} b:t{i + 1}") for i in range(200)) + steps("t200", "a:leaf"))
    assert found.size("t0") == 2**200
