"""Values as a worker finds them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from argo_airflow.errors import NodeError, UnresolvedVariable
from argo_airflow.graph import ArtifactBinding, Ref
from argo_airflow.runtime.scope import Run, Scope, caller, child_run_id

from .conftest import CREATED, TaskInstance, context, dag

RUN = Run("wf", "run", {"name": "wf-1", "namespace": "default"}, {"p": "given"}, {"f": {"s3": {"key": "k"}}}, "wf-1")


def scope(item: Any = None, **published: Any) -> Scope:
    ti = TaskInstance("reader")
    for task_id, value in published.items():
        for index, one in enumerate(value) if isinstance(value, list) else [(-1, value)]:
            ti.xcoms["wf", "run", task_id, index] = one
    return Scope(RUN, ti, item=item)


MADE = {"phase": "Succeeded", "result": "r", "exitCode": 0, "parameters": {"a": "1", "b-c": ""}, "startedAt": "t"}


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (Ref("node", "a", "outputs.result"), "r"),
        (Ref("node", "a", "outputs.parameters.a"), "1"),
        (Ref("node", "a", "outputs.parameters.b-c"), ""),
        (Ref("node", "a", "exitCode"), "0"),
        (Ref("node", "a", "status"), "Succeeded"),
        (Ref("node", "a", "startedAt"), "t"),
        (Ref("input", "p"), "given"),
        (Ref("workflow", "name"), "wf-1"),
    ],
)
def test_value(ref: Ref, expected: str) -> None:
    assert scope(a=MADE).value(ref) == expected


@pytest.mark.parametrize("field", ["outputs.result", "outputs.parameters.a"])
def test_skipped_producer(field: str) -> None:
    """Its default, else the value is absent (semantics.md §2.8)."""
    skipped = scope(a={"phase": "Skipped"})
    assert skipped.value(Ref("node", "a", field, "steps.a.x", default="")) == ""
    with pytest.raises(UnresolvedVariable, match=r"failed to resolve \{\{steps.a.x\}\}"):
        skipped.value(Ref("node", "a", field, "steps.a.x"))
    assert skipped.value(Ref("node", "a", "status")) == "Skipped"


def test_values_are_data() -> None:
    found = scope(a={"phase": "Succeeded", "result": "{{workflow.name}} {{item}}"})
    assert found.render(("<", Ref("node", "a", "outputs.result"), ">")) == "<{{workflow.name}} {{item}}>"


@pytest.mark.parametrize(
    ("item", "field", "expected"),
    [
        ("a b", "", "a b"),
        (1, "", "1"),
        (True, "", "true"),
        ({"b": 1, "a": "x"}, "", '{"a":"x","b":1}'),
        ({"k": "v"}, "k", "v"),
    ],
)
def test_item(item: Any, field: str, expected: str) -> None:
    assert scope(item).value(Ref("item", field=field)) == expected


def item(result: str | None = None, phase: str = "Succeeded", **parameters: str) -> dict[str, Any]:
    return {"phase": phase, "parameters": parameters} | ({} if result is None else {"result": result})


def test_outputs_of_a_loop_together() -> None:
    """semantics.md §2.7: in order, succeeded ones only, results embedded, parameters as texts."""
    found = scope(a=[item("1", x="1"), item("2", "Failed", x="2"), item('{"k": [3]}', x="3"), item(phase="Skipped")])
    assert found.value(Ref("loop", "a", "outputs.result")) == '[1,{"k":[3]}]'
    assert found.value(Ref("loop", "a", "outputs.parameters.x")) == '["1","3"]'
    assert found.value(Ref("loop", "a", "outputs.parameters")) == '[{"x":"1"},{"x":"3"}]'
    assert found.value(Ref("loop", "a", "status")) == "Failed"


def test_loop_of_one_item_is_a_list_too() -> None:
    assert scope(a=[item("7", x="1")]).value(Ref("loop", "a", "outputs.result")) == "[7]"


def test_loop_whose_result_is_not_json() -> None:
    with pytest.raises(NodeError, match="item 0 is not JSON: 'hello'"):
        scope(a=[item("hello")]).value(Ref("loop", "a", "outputs.result"))


def test_empty_loop() -> None:
    assert scope().value(Ref("loop", "a", "outputs.result")) == "[]"
    assert scope().value(Ref("loop", "a", "status")) == "Skipped"


def test_artifacts() -> None:
    made = {"phase": "Succeeded", "artifacts": {"o": {"s3": {"key": "x"}}}}
    found = scope(a=made)
    assert found.artifact(ArtifactBinding("i", Ref("node", "a", "outputs.artifacts.o"))) == {"s3": {"key": "x"}}
    assert found.artifact(ArtifactBinding("i", Ref("input", "f", "artifact"))) == {"s3": {"key": "k"}}
    assert found.artifact(ArtifactBinding("i", raw=("<", Ref("input", "p"), ">"))) == {"raw": {"data": "<given>"}}
    missing = ArtifactBinding("i", Ref("node", "a", "outputs.artifacts.none", "steps.a.outputs.artifacts.none"))
    with pytest.raises(
        UnresolvedVariable, match=r"artifact i was not supplied: \{\{steps.a.outputs.artifacts.none\}\}"
    ):
        found.artifact(missing)
    assert found.artifact(ArtifactBinding("i", missing.ref, optional=True)) is None


GRAPH = dag(
    "  - name: main\n    dag:\n      tasks:\n"
    "      - {name: a, template: leaf}\n"
    "      - {name: l, template: leaf, withItems: [1, 2], depends: a.Succeeded}\n"
    "      - {name: g, template: group, depends: a.Succeeded}\n"
    "  - {name: group, steps: [[{name: x, template: leaf}]]}\n"
)
DONE, BAD, NOT = ({"phase": phase} for phase in ("Succeeded", "Failed", "Skipped"))


@pytest.mark.parametrize(
    ("task", "states", "published", "expected"),
    [
        ("a", {"a": "success"}, {"a": {"phase": "Succeeded"}}, "Succeeded"),
        ("a", {"a": "failed"}, {"a": {"phase": "Error"}}, "Error"),
        ("a", {"a": "failed"}, {}, "Failed"),  # the worker was lost: nothing was published
        ("a", {"a": "upstream_failed"}, {}, "Omitted"),
        ("a", {"a": "skipped"}, {"a": {"phase": "Omitted"}}, "Omitted"),
        ("l", {"l": "skipped"}, {"l_items": {"phase": "Omitted"}}, "Omitted"),  # its gate decided
        ("l", {"l": "skipped"}, {"l_items": {"phase": "Succeeded"}}, "Skipped"),  # an empty list
        ("l", {"l": "upstream_failed"}, {"l_items": {"phase": "Error"}}, "Error"),  # its list could not be made
        ("g.x", {"g.x": "skipped"}, {"g._when": {"phase": "Omitted"}}, "Omitted"),
        ("g._end", {"g._end": "failed"}, {"g._end": {"phase": "Failed"}, "g._when": {"phase": "Succeeded"}}, "Failed"),
        ("l", {("l", 0): "success", ("l", 1): "failed"}, {("l", 0): DONE, ("l", 1): BAD}, "Failed"),
        ("l", {("l", 0): "skipped", ("l", 1): "skipped"}, {("l", 0): NOT, ("l", 1): NOT}, "Succeeded"),
        ("l", {("l", 0): "success", ("l", 1): "failed"}, {("l", 0): {"phase": "Succeeded"}}, "Failed"),
    ],
)  # fmt: skip
def test_phase(supervisor, task: str, states: dict[Any, str], published: dict[Any, Any], expected: str) -> None:
    ti = TaskInstance("reader")
    for key, state in states.items():
        supervisor.states["wf", "run", *(key if isinstance(key, tuple) else (key, -1))] = state
    for key, value in published.items():
        ti.xcoms["wf", "run", *(key if isinstance(key, tuple) else (key, -1))] = value
    assert Scope(RUN, ti).phase(GRAPH, task) == expected


def test_workflow_variables() -> None:
    """semantics.md §2.2."""
    parameters = "  arguments: {parameters: [{name: a, value: x}]}\n"
    main = "  - {name: main, container: {image: i, command: [c]}}\n"
    run = Run.of(dag(main, parameters), context(TaskInstance("main"), a='say "hi"'))
    workflow = run.workflow
    assert (workflow["name"], workflow["namespace"], workflow["mainEntrypoint"]) == ("wf", "default", "main")
    assert workflow["parameters.a"] == 'say "hi"'
    assert workflow["parameters"] == workflow["parameters.json"] == '[{"name":"a","value":"say \\"hi\\""}]'
    assert workflow["creationTimestamp"] == "2024-05-06T07:08:09Z"
    assert workflow["creationTimestamp.s"] == str(int(CREATED.timestamp()))
    assert (workflow["creationTimestamp.Y"], workflow["creationTimestamp.B"]) == ("2024", "May")
    assert workflow["serviceAccountName"] == ""
    elsewhere = Run.of(dag(main, parameters), context(TaskInstance("main"), a=""), "team").workflow
    assert elsewhere["namespace"] == "team", "where the pods of a workflow without a namespace of its own are"
    again = Run.of(dag(main, parameters), context(TaskInstance("main"), a='say "hi"'))
    assert again == run, "every task of a run must agree"


def test_workflow_parameters_may_use_workflow_variables_but_are_not_scanned_again() -> None:
    """Argo: operator.go:4694-4716, the spec is substituted once with the globals."""
    written = {"a": "{{workflow.name}}/{{ workflow.parameters.b }}", "b": "{{workflow.name}}", "c": "z"}
    declared = json.dumps([{"name": name, "value": value} for name, value in written.items()])
    main = "  - {name: main, container: {image: i, command: [c]}}\n"
    given = written | {"c": "{{workflow.name}} {{other}}"}
    graph = dag(main, f"  arguments: {{parameters: {declared}}}\n")
    workflow = Run.of(graph, context(TaskInstance("main"), **given)).workflow
    assert workflow["parameters.a"] == "wf/{{workflow.name}}"
    assert workflow["parameters.b"] == "wf"
    assert workflow["parameters.c"] == "{{workflow.name}} {{other}}", "what a run was given is data"


def test_child_run_started_by_hand() -> None:
    child = dag("  - {name: main, steps: [[{name: a, template: main}]]}\n", index=1)
    with pytest.raises(NodeError, match=r"wf\.main is part of a workflow"):
        Run.of(child, {"dag_run": SimpleNamespace(run_id="manual", conf={})})


def test_child_run_ids_are_the_same_whenever_asked_and_never_too_long() -> None:
    run = Run("wf", "manual__1", {"name": "wf"}, root_run_id="manual__1", node_name="wf")
    first = run.called("wf.x", caller("a", -1), "wf.a", "a")
    assert first == run.called("wf.x", caller("a", -1), "wf.a", "a")
    calls = [("b", -1), ("a", 0), ("a", 1), ("a", -1, 1)]
    others = {run.called("wf.x", caller(*call), "n", "n").run_id for call in calls}
    assert len(others | {first.run_id}) == 5
    assert first.run_id.startswith("manual__1.1.")
    deep = run
    for _ in range(300):
        deep = deep.called("wf.x", caller("a", -1), f"{deep.node_name}.a", "a")
    assert deep.depth == 300
    assert len(deep.run_id) < 40
    assert len(deep.node_name) <= 1002
    assert len(child_run_id("r" * 250, deep.run_id, caller("t" * 250, 10**6), 10**6)) <= 250, "Airflow's column"


def test_conf_round_trip() -> None:
    run = Run("wf.x", "r", {"name": "wf"}, {"p": "é"}, {"a": {"raw": {"data": "d"}}}, "wf.a", 3, "root")
    assert Run.child("wf.x", "r", run.conf({"dag_id": "wf"})) == run


def test_own_names_of_a_child_run() -> None:
    """semantics.md §2.2: node.name is the full name, steps.name that of the calling step."""
    run = Run("wf", "run", {"name": "wf"}, root_run_id="run", node_name="wf")
    child = run.called("wf.x", caller("loop", 0), "wf[0].loop(0:1)", "loop(0:1)")
    again = Run.child("wf.x", child.run_id, child.conf({"task_id": "loop"}))
    scope = Scope(again, TaskInstance("a"))
    text = (Ref("run", "node_name", ".b"), " ", Ref("run", "name"))
    assert scope.render(text) == "wf[0].loop(0:1).b loop(0:1)"
