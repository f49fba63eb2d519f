"""The Airflow DAGs, as Airflow itself stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization

from argo_airflow import compiler

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*/*.yaml"))
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n"
ECHO = "  - {name: echo, container: {image: busybox, command: [echo], args: [hi]}}\n"


def dags(body: str, *, text: str | None = None) -> list[Any]:
    return compiler.dags("/dags/wf.yaml", text=HEAD + body if text is None else text)


def stored(dag: Any) -> dict[str, Any]:
    found: dict[str, Any] = DagSerialization.to_dict(dag)
    return found


def version(body: str) -> list[str]:
    return [SerializedDagModel.hash(stored(dag)) for dag in dags(body)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_airflow_stores_and_reads_every_case(case: Path) -> None:
    graph_tasks = {
        dag.dag_id: {*dag.by_id, *(["_main"] if dag.on_exit else [])}
        for graph in compiler.graphs(case.read_bytes(), case.name)
        for dag in graph.dags
    }
    found = compiler.dags(str(case))
    assert {dag.dag_id: set(dag.task_ids) for dag in found} == graph_tasks
    for dag in found:
        data = stored(dag)
        DagSerialization.validate_schema(data)
        assert set(DagSerialization.from_dict(data).task_ids) == graph_tasks[dag.dag_id]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_parsed_twice_is_the_same_version(case: Path) -> None:
    hashes = [[SerializedDagModel.hash(stored(dag)) for dag in compiler.dags(str(case))] for _ in range(2)]
    assert hashes[0] == hashes[1]


STEPS = "  templates:\n  - {name: main, steps: [[{name: a, template: pod}]]}\n  - name: pod\n"
POD = STEPS + "    container: {image: busybox, command: [echo], args: [hi]}\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("args: [hi]", "args: [ho]"),
        ("image: busybox", "image: alpine"),
        ("command: [echo]", "command: [echo], env: [{name: A, value: b}]"),
        ("    container", "    outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}\n    container"),
        ("    container", "    outputs: {artifacts: [{name: o, path: /o, optional: true}]}\n    container"),
        ("    container", "    retryStrategy: {limit: 3}\n    container"),
        ("template: pod}", "template: pod, when: 'a == b'}"),
        ("template: pod}", "template: pod, withItems: [1]}"),
        ("[{name: a, template: pod}]", "[{name: a, template: pod}], [{name: b, template: pod}]"),
    ],
)
def test_a_change_is_a_new_version(old: str, new: str) -> None:
    assert old in POD
    assert version(POD.replace(old, new, 1)) != version(POD)


def test_a_change_of_a_looped_pod_is_a_new_version() -> None:
    looped = POD.replace("template: pod}", "template: pod, withItems: [1, 2]}")
    assert version(looped.replace("[hi]", "[ho]")) != version(looped)
    assert version(looped.replace("[1, 2]", "[1, 3]")) != version(looped)


def tasks_of(dag: Any) -> dict[str, dict[str, Any]]:
    return {task["__var"]["task_id"]: task["__var"] for task in stored(dag)["dag"]["tasks"]}


def test_trigger_rules() -> None:
    """Airflow's own rule where it is exact, ``all_done`` where depends is evaluated (design §4.5)."""
    (dag,) = dags(
        "  templates:\n  - name: main\n    dag:\n      tasks:\n"
        "      - {name: a, template: echo}\n"
        "      - {name: b, template: echo, depends: a}\n"
        "      - {name: c, template: echo, depends: a.Failed}\n" + ECHO
    )
    rules = {name: task["trigger_rule"] for name, task in tasks_of(dag).items()}
    assert rules == {"a": "none_failed", "b": "none_failed", "c": "all_done", "_end": "all_done"}
    assert dag.get_task("_end").upstream_task_ids == {"b", "c"}


def test_exit_handler_is_a_teardown_beside_a_leaf_that_carries_the_phase() -> None:
    main = "  - {name: main, steps: [[{name: a, template: echo}, {name: b, template: echo}]]}\n"
    (dag,) = dags(f"  onExit: echo\n  templates:\n{main}{ECHO}")
    exit_task = dag.get_task("_onExit")
    assert (exit_task.is_teardown, exit_task.on_failure_fail_dagrun) == (True, True)
    assert exit_task.upstream_task_ids == dag.get_task("_main").upstream_task_ids == {"a", "b"}
    assert dag.get_task("_main").trigger_rule == "none_failed"
    assert {task.task_id for task in dag.leaves} == {"_onExit", "_main"}


def test_exit_handler_of_nothing() -> None:
    (dag,) = dags("  onExit: echo\n  templates:\n  - {name: main, steps: [[]]}\n" + ECHO)
    assert set(dag.task_ids) == {"_onExit", "_main"}


def test_trigger_form() -> None:
    (dag,) = dags(
        "  arguments:\n    parameters:\n"
        "    - {name: plain, value: hello}\n"
        "    - {name: empty, value: ''}\n"
        "    - {name: number, value: 3}\n"
        "    - {name: choice, value: b, enum: [a, b], description: one of two}\n"
        '    - {name: long, value: "one\\ntwo"}\n'
        "    - {name: must}\n"
        "  templates:\n  - {name: main, container: {image: busybox, command: [echo]}}\n"
    )
    assert {name: param.value for name, param in dag.params.items() if name != "must"} == {
        "plain": "hello",
        "empty": "",
        "number": "3",
        "choice": "b",
        "long": "one\ntwo",
    }
    schemas = {name: dag.params.get_param(name).schema for name in dag.params}
    assert schemas["plain"] == {"type": "string"}
    assert schemas["empty"] == {"type": ["null", "string"]}, "the form would call an emptied field missing"
    assert schemas["choice"] == {"type": "string", "enum": ["a", "b"]}
    assert dag.params.get_param("choice").description == "one of two"
    assert schemas["long"] == {"type": "string", "format": "multiline"}
    assert schemas["must"] == {"type": "string", "minLength": 1}
    assert not dag.params.get_param("must").has_value
    with pytest.raises(Exception, match="No value passed"):
        dag.params.get_param("must").resolve()


def test_child_dags_are_unpaused_tagged_and_unlimited() -> None:
    root, child = dags("", text=(CASES[0].parents[1] / "recursion" / "tail.yaml").read_text())
    assert child.dag_id == f"{root.dag_id}.main"
    assert child.is_paused_upon_creation is False
    assert root.is_paused_upon_creation is None
    assert (root.tags, child.tags) == ({"argo"}, {"argo", "argo-child"})
    assert child.max_active_runs > 10_000, "Airflow's 16 would deadlock a recursion, 0 would leave runs queued"
    assert child.schedule is root.schedule is None


def test_groups_are_airflow_task_groups() -> None:
    (dag,) = dags("", text=(CASES[0].parents[1] / "inline" / "nested.yaml").read_text())
    groups = {name for name in dag.task_group.get_task_group_dict() if name}
    assert groups == {f"{side}{inner}" for side in ("left", "right") for inner in ("", ".one", ".three")}


def test_jinja_touches_nothing() -> None:
    for name in ("loops/nested", "loops/param", "depends/group"):
        for dag in compiler.dags(str(CASES[0].parents[1] / f"{name}.yaml")):
            for task in dag.tasks:
                assert tuple(task.template_fields) == ()


def test_several_documents_give_all_their_dags() -> None:
    text = HEAD + POD + "---\n" + HEAD.replace("wf", "other") + POD
    assert [dag.dag_id for dag in dags("", text=text)] == ["wf", "other"]
