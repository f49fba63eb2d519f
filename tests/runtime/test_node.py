"""What every kind of node has in common: decide, run, publish (semantics.md §2.3, §2.8, §2.9)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.graph import Work
from argo_airflow.runtime.items import item_value, list_of
from argo_airflow.runtime.node import node_run

from .conftest import TaskInstance, context, dag

PARAMETERS = "  arguments: {parameters: [{name: go, value: 'yes'}]}\n"
ONE = "  - {name: main, steps: [[{name: a, template: leaf, when: '{{workflow.parameters.go}} == yes'}]]}\n"


def work(templates: str = ONE, task_id: str = "a", spec: str = PARAMETERS) -> Work:
    graph = dag(templates, spec)
    return Work(graph, graph.by_id[task_id])


def run(error: BaseException | None = None, *, go: str = "yes", of: Work | None = None, **more: Any) -> TaskInstance:
    """Run the node, which ends with ``error``; returns its task instance."""
    ti = TaskInstance("a", map_index=more.pop("map_index", -1))
    ended = (AirflowSkipException, NodeError, NodeFailed, TaskDeferred)
    with suppress(*ended), node_run(of or work(), context(ti, go=go), **more) as current:
        current.outputs.result = ""
        if error is not None:
            raise error
    return ti


def test_succeeded() -> None:
    published = run().published
    assert (published["phase"], published["displayName"]) == ("Succeeded", "a")
    assert published["result"] == "", "an empty result is a result"
    assert published["startedAt"] <= published["finishedAt"]
    assert published["id"].startswith("wf-")


@pytest.mark.parametrize(
    ("error", "phase"),
    [(NodeFailed("main: Error (exit code 1)", 1), "Failed"), (NodeError("pod deleted"), "Error")],
)
def test_failed(error: Exception, phase: str) -> None:
    published = run(error).published
    assert (published["phase"], published["message"]) == (phase, str(error))


def test_skipped() -> None:
    published = run(go="no").published
    assert (published["phase"], published["message"]) == ("Skipped", "when 'no == yes' evaluated false")


def test_bad_when_is_an_error() -> None:
    published = run(go="").published
    assert published["phase"] == "Error"
    assert "Invalid 'when' expression" in published["message"]


def test_every_node_knows_the_workflows_duration() -> None:
    """Seconds since the run began (semantics.md §2.2); lint knows the variable everywhere."""
    ti = TaskInstance("a")
    with node_run(work(), context(ti, go="yes")) as current:
        assert float(current.run.workflow["duration"]) > 0


def test_deferred_node_has_not_ended() -> None:
    assert run(TaskDeferred(trigger=None, method_name="x")).xcoms == {}


def test_resumed_node_does_not_decide_again() -> None:
    assert run(go="no", decided=True).published["phase"] == "Succeeded"


def test_items_have_names_of_their_own() -> None:
    looped = work("  - {name: main, steps: [[{name: a, template: leaf, withItems: [x, {k: 1.5}]}]]}\n")
    for index, (item, name) in enumerate([('"x"', "a(0:x)"), ('{"k": 1.5}', "a(1:k:1.5)")]):
        ti = TaskInstance("a", map_index=index)
        with node_run(looped, context(ti), item) as current:
            assert current.name == f"wf[0].{name}"
        assert ti.published["displayName"] == name


def test_list_of_a_result() -> None:
    """A loop over a result that is no list fails with Argo's words, not with Airflow's."""
    assert list_of('[1, "a", {"k": [1.0]}]') == ["1", '"a"', '{"k": [1.0]}']
    assert list_of("[]") == []
    (bad,) = list_of(json.dumps(list(range(1025))))
    with pytest.raises(NodeError, match=r"1,025 items, more than the 1,024 of option \[core\] max_map_length"):
        item_value(bad)
    (bad,) = list_of("hello")
    with pytest.raises(NodeError, match="withParam value could not be parsed as a JSON list: hello"):
        item_value(bad)
    published = run(
        of=work("  - {name: main, steps: [[{name: a, template: leaf, withItems: [1]}]]}\n"), item=bad
    ).published
    assert published["phase"] == "Error"


HANDLER = (
    "  - {name: main, steps: [[{name: a, template: leaf}]]}\n"
    "  - name: bye\n    inputs: {parameters: [{name: s, value: x}]}\n    container: {image: i, command: [c]}\n"
)


@pytest.mark.parametrize(
    ("state", "status"), [("success", "Succeeded"), ("failed", "Failed"), ("skipped", "Succeeded")]
)
def test_exit_handler_knows_the_end(supervisor, state: str, status: str) -> None:
    """``workflow.failures`` is a JSON list within a JSON string, "null" without any (semantics.md §2.2)."""
    supervisor.states["wf", "run", "a", -1] = state
    ti = TaskInstance("_onExit")
    if state == "failed":
        ti.xcoms["wf", "run", "a", -1] = {"phase": "Failed", "displayName": "a", "message": "boom", "podName": "p"}
    with node_run(work(HANDLER, "_onExit", "  onExit: bye\n"), context(ti)) as current:
        assert current.name == "wf.onExit"
        assert current.run.workflow["status"] == status
        failures = json.loads(json.loads(current.run.workflow["failures"]))
        assert float(current.run.workflow["duration"]) > 0
    if state == "failed":
        assert [(one["displayName"], one["message"], one["phase"], one["templateName"]) for one in failures] == [
            ("a", "boom", "Failed", "leaf")
        ]
    else:
        assert failures is None


def parameters(argument: str, inputs: str, **published: Any) -> dict[str, str]:
    graph = dag(
        "  - name: main\n    steps:\n    - - {name: a, template: make}\n"
        f"    - - {{name: b, template: take, arguments: {{parameters: [{argument}]}}}}\n"
        "  - name: make\n    outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}\n"
        "    container: {image: i, command: [c]}\n"
        f"  - name: take\n    inputs: {{parameters: [{inputs}]}}\n    container: {{image: i, command: [c]}}\n"
    )
    ti = TaskInstance("b")
    ti.xcoms["wf", "run", "a", -1] = {"phase": "Succeeded", "parameters": published}
    with node_run(Work(graph, graph.by_id["b"]), context(ti)) as current:
        return current.parameters()
    raise AssertionError("not reached")


OUTPUT = "'{{steps.a.outputs.parameters.o}}'"


@pytest.mark.parametrize(
    ("argument", "inputs", "published", "expected"),
    [
        ("", "{name: x, default: d}", {}, "d"),
        ("", "{name: x, value: v, default: d}", {}, "v"),
        ("{name: x, value: given}", "{name: x, value: v, default: d}", {}, "given"),
        (f"{{name: x, value: {OUTPUT}}}", "{name: x}", {"o": "made"}, "made"),
        (f"{{name: x, value: {OUTPUT}}}", "{name: x}", {"o": ""}, ""),
        (f"{{name: x, value: {OUTPUT}}}", "{name: x, default: d}", {}, "d"),  # absent: as if it were not given
    ],
)
def test_parameters(argument: str, inputs: str, published: dict[str, str], expected: str) -> None:
    assert parameters(argument, inputs, **published) == {"x": expected}


def test_absent_value_without_default_or_within_a_text() -> None:
    with pytest.raises(NodeError, match=r"failed to resolve \{\{steps.a.outputs.parameters.o\}\}"):
        parameters(f"{{name: x, value: {OUTPUT}}}", "{name: x}")
    with pytest.raises(NodeError, match="failed to resolve"):
        parameters("{name: x, value: 'a {{steps.a.outputs.parameters.o}}'}", "{name: x, default: d}")
