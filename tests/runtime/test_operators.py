"""What our operators take from Airflow's; each node kind's own work is seen in ``tests/e2e``."""

from __future__ import annotations

import inspect

import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from argo_airflow.graph import Work
from argo_airflow.runtime import operators
from argo_airflow.runtime.calls import CallOperator

from .conftest import TaskInstance, context, dag

OVERRIDDEN = {
    "execute": ["self", "context"],
    "trigger_reentry": ["self", "context", "event"],
    "build_pod_request_obj": ["self", "context", "dry_run"],
    "get_or_create_pod": ["self", "pod_request_obj", "context"],
    "find_pod": ["self", "namespace", "context", "exclude_checked"],
    "await_pod_start": ["self", "pod"],
    "await_pod_completion": ["self", "pod"],
    "cleanup": ["self", "pod", "remote_pod", "xcom_result", "context"],
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_kpo_has_the_methods_we_override(name: str) -> None:
    assert list(inspect.signature(getattr(KubernetesPodOperator, name)).parameters) == OVERRIDDEN[name]
    assert name in vars(operators.PodOperator), "no longer overridden: take it off the list"
    own = inspect.signature(getattr(operators.PodOperator, name)).parameters
    assert list(own) == OVERRIDDEN[name]


def test_kpo_has_what_we_call() -> None:
    inspect.signature(KubernetesPodOperator.process_pod_deletion).bind("self", "pod", reraise=False)
    inspect.signature(KubernetesPodOperator._get_ti_pod_labels).bind({})
    source = inspect.getsource(KubernetesPodOperator)
    for attribute in ("self._killed", "self.pod_manager", "self.startup_timeout_seconds", "self.do_xcom_push"):
        assert attribute in source


def test_kpo_calls_what_we_override() -> None:
    source = inspect.getsource(KubernetesPodOperator)
    for name in ("get_or_create_pod", "await_pod_start", "await_pod_completion", "find_pod", "build_pod_request_obj"):
        assert f"self.{name}(" in source, name
    assert "self.cleanup(" in source or "self.post_complete_action(" in source


@pytest.mark.parametrize("kind", [operators.PodOperator, operators.GateOperator, operators.EndOperator, CallOperator])
def test_jinja_is_off(kind: type) -> None:
    assert tuple(kind.template_fields) == ()  # type: ignore[attr-defined]


STEPS = "  - {name: main, steps: [[{name: a, template: leaf}], [{name: g, template: group, WHEN}]]}\n"
GROUP = "  - {name: group, steps: [[{name: x, template: leaf}], [{name: z, template: leaf}]]}\n"


def gate_of(when: str):
    graph = dag(STEPS.replace("WHEN", f"when: '{when}'") + GROUP)
    node = graph.by_id["g._when"]
    return operators.build(Work(graph, node), task_id="g._when"), TaskInstance("g._when")


def test_gate_skips_the_whole_group() -> None:
    gate, ti = gate_of("1 == 2")
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        gate.execute(context(ti))
    assert skipped.value.tasks == [("g.x", -1), ("g.z", -1)]
    assert ti.published["phase"] == "Skipped"
    assert ti.published["message"] == "when '1 == 2' evaluated false"


def test_gate_lets_the_group_run() -> None:
    gate, ti = gate_of("1 == 1")
    assert gate.execute(context(ti)) is None
    assert ti.published["phase"] == "Succeeded"


def test_gate_skips_the_items_of_a_literal_list(supervisor) -> None:
    """Airflow has drawn them when the run began (models/dagrun.py, _create_tasks): -1 would name no task."""
    group = "  - {name: group, steps: [[{name: x, template: leaf, withItems: [1, 2]}], [{name: z, template: leaf}]]}\n"
    graph = dag(STEPS.replace("WHEN", "when: '1 == 2'") + group)
    gate = operators.build(Work(graph, graph.by_id["g._when"]), task_id="g._when")
    supervisor.states |= {("wf", "run", "g.x", 0): "None", ("wf", "run", "g.x", 1): "None"}
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        gate.execute(context(TaskInstance("g._when")))
    assert skipped.value.tasks == [("g.x", 0), ("g.x", 1), ("g.z", -1)]


def test_gate_makes_the_list_unless_when_says_no(supervisor) -> None:  # noqa: ARG001
    """A list that cannot be made is no fault where ``when`` is false (semantics.md §2.7)."""
    head = "  arguments: {parameters: [{name: list, value: no list}, {name: go, value: 'no'}]}\n"
    when = "when: '{{workflow.parameters.go}} == yes'"
    step = f"{{name: a, template: leaf, withParam: '{{{{workflow.parameters.list}}}}', {when}}}"
    graph = dag(f"  - name: main\n    steps:\n    - - {step}\n", head)
    gate = operators.build(Work(graph, graph.by_id["a_items"]), task_id="a_items")
    ti = TaskInstance("a_items")
    with pytest.raises(DownstreamTasksSkipped):
        gate.execute(context(ti, list="no list", go="no"))
    assert gate.execute(context(ti, list='[1, "a", {"k": 1.0}]', go="yes")) == ["1", '"a"', '{"k": 1.0}']
    with pytest.raises(Exception, match="withParam value could not be parsed as a JSON list"):
        gate.execute(context(ti, list="no list", go="yes"))
    assert ti.published["phase"] == "Error"


def end_of():
    body = "  - name: main\n    dag:\n      tasks:\n      - {name: a, template: leaf}\n"
    graph = dag(body + "      - {name: b, template: leaf, depends: a.Succeeded}\n")
    return operators.build(Work(graph, graph.by_id["_end"]), task_id="_end"), TaskInstance("_end")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("success", "success", "Succeeded"),
        ("success", "failed", "Failed"),
        ("failed", "skipped", "Failed"),  # b was Omitted: it says so below
    ],
)
def test_end(supervisor, a: str, b: str, expected: str) -> None:
    end, ti = end_of()
    supervisor.states |= {("wf", "run", "a", -1): a, ("wf", "run", "b", -1): b}
    if b == "skipped":
        ti.xcoms["wf", "run", "b", -1] = {"phase": "Omitted"}
    if expected == "Succeeded":
        end.execute(context(ti))
    else:
        with pytest.raises(Exception, match="task 'b' ended in phase"):
            end.execute(context(ti))
    assert ti.published["phase"] == expected


def test_loops_are_mapped_and_named_as_in_argo() -> None:
    from airflow.sdk import DAG

    graph = dag("  - {name: main, steps: [[{name: a, template: leaf, withItems: [x, 2]}]]}\n")
    with DAG("wf"):
        work = Work(graph, graph.by_id["a"])
        assert operators.literal_items(work.node.loop) == ['"x"', "2"]  # type: ignore[arg-type]
        task = operators.PodOperator(work=work, item='"x"', task_id="a")
    assert task.argo_label(0) == "a(0:x)"


def test_long_item_names_fit_airflows_column() -> None:
    """models/taskinstance.py: rendered_map_index is String(250), and Postgres means it."""
    graph = dag("  - {name: main, steps: [[{name: a, template: leaf, withItems: [x]}]]}\n")
    for kind in (operators.PodOperator, CallOperator):
        task = kind(work=Work(graph, graph.by_id["a"]), item=f'"{"y" * 300}"', task_id="a")  # type: ignore[abstract]
        assert task.argo_label(0) == f"a(0:{'y' * 245}…"


def test_omitted_is_a_skip_to_airflow(supervisor) -> None:
    body = "  - name: main\n    dag:\n      tasks:\n      - {name: a, template: leaf}\n"
    graph = dag(body + "      - {name: b, template: leaf, depends: a.Failed}\n")
    supervisor.states["wf", "run", "a", -1] = "success"
    ti = TaskInstance("b")
    task = operators.build(Work(graph, graph.by_id["b"]), task_id="b")
    with pytest.raises(AirflowSkipException):
        task.execute(context(ti))
    assert (ti.published["phase"], ti.published["message"]) == ("Omitted", "omitted: depends condition not met")
