"""The laws of drawing; what is drawn is in ``tests/cases``."""

from __future__ import annotations

from itertools import pairwise

import pytest

from argo_airflow.compiler import graphs
from argo_airflow.errors import InvalidWorkflow
from argo_airflow.graph import DagGraph, Graph, Ref, Work

HEAD = (
    "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n  templates:\n"
)
LEAF = "  - {name: leaf, container: {image: busybox, command: [echo]}}\n"


def graph(templates: str, head: str = HEAD) -> Graph:
    (found,) = graphs(head + templates + LEAF, "test.yaml")
    return found


def tower(levels: int) -> str:
    """Templates that call the next one twice."""
    names = [*(f"t{i}" for i in range(levels)), "leaf"]
    return "  - {name: main, steps: [[{name: a, template: t0}]]}\n" + "".join(
        f"  - {{name: {name}, steps: [[{{name: a, template: {below}}}, {{name: b, template: {below}}}]]}}\n"
        for name, below in pairwise(names)
    )


def test_templates_that_double_at_every_level_are_called_and_not_drawn() -> None:
    """A hundred short templates stand for 2**100 pods; drawing them would never end."""
    found = graph(tower(100))
    assert sum(len(dag.nodes) for dag in found.dags) < 2500
    assert max(len(dag.nodes) for dag in found.dags) <= 1024


def test_small_templates_are_drawn() -> None:
    (dag,) = graph(tower(9)).dags
    assert len(dag.nodes) == 2**9


def test_large_entrypoint_is_drawn() -> None:
    tasks = "".join(f"      - {{name: t{i}, template: leaf}}\n" for i in range(1500))
    (dag,) = graph(f"  - name: main\n    dag:\n      tasks:\n{tasks}").dags
    assert len(dag.nodes) == 1500


def test_ids_are_never_too_long() -> None:
    """Airflow refuses ids of more than 250 characters, in the middle of the file and without a place."""
    names = [*(letter * 60 for letter in "abcdefg"), "leaf"]
    chain = "".join(f"  - {{name: {n}, steps: [[{{name: {n}, template: {below}}}]]}}\n" for n, below in pairwise(names))
    head = HEAD.replace("name: wf", f"generateName: {'w' * 240}-")
    found = graph(f"  - {{name: main, steps: [[{{name: m, template: {names[0]}}}]]}}\n{chain}", head)
    assert len(found.dags) > 1
    assert len({dag.dag_id for dag in found.dags}) == len(found.dags)
    assert all(len(name) <= 250 for dag in found.dags for name in (dag.dag_id, *dag.by_id))


def test_two_workflows_of_a_file_with_the_same_dag_are_told() -> None:
    document = f"{HEAD}  - {{name: main, steps: [[{{name: a, template: leaf}}]]}}\n{LEAF}"
    with pytest.raises(InvalidWorkflow, match=r"test.yaml:\d+:\d+: error: the workflow on line 3 has a DAG wf already"):
        graphs(f"{document}---\n{document}", "test.yaml")


def test_dag_id_is_the_name_or_the_generate_name_without_its_dash() -> None:
    main = "  - {name: main, container: {image: busybox, command: [echo]}}\n"
    assert graph(main).dags[0].dag_id == "wf"
    assert graph(main, HEAD.replace("name: wf", "generateName: my-wf-")).dags[0].dag_id == "my-wf"


def test_captured_results_are_those_that_somebody_reads() -> None:
    (dag,) = graph(
        "  - name: main\n    steps:\n"
        "    - [{name: read, template: leaf}, {name: unread, template: leaf}, {name: list, template: leaf}]\n"
        "    - - {name: a, template: leaf, when: '{{steps.read.outputs.result}} == x'}\n"
        "      - {name: b, template: leaf, withParam: '{{steps.list.outputs.result}}'}\n"
    ).dags
    assert {node.id for node in dag.nodes if node.captures_result} == {"read", "list"}
    assert {node.id for node in dag.nodes if node.returns_list} == {"list"}


def recursion(*, when: str = "", more: str = "", outputs: str = "") -> DagGraph:
    call = f"{{name: again, template: loop{when}}}"
    return graph(
        "  - {name: main, steps: [[{name: start, template: loop}]]}\n"
        f"  - name: loop\n{outputs}    steps:\n    - - {{name: flip, template: leaf}}\n    - - {call}\n{more}"
    ).dags[1]


def is_tail(dag: DagGraph) -> bool:
    call = dag.by_id["again"].call
    assert call is not None
    return call.tail


def test_tail_calls() -> None:
    assert is_tail(recursion())
    assert is_tail(recursion(when=", when: '{{steps.flip.outputs.result}} == x'"))
    assert is_tail(recursion(more="      - {name: beside, template: leaf}\n"))
    assert is_tail(recursion(when=", withItems: [1, 2]"))


def test_calls_that_something_waits_for_are_no_tail_calls() -> None:
    assert not is_tail(recursion(more="    - - {name: after, template: leaf}\n"))
    asks = "    - - {name: after, template: leaf, when: '{{steps.again.status}} == x'}\n"
    assert not is_tail(recursion(more=asks))
    source = "{parameter: '{{steps.again.outputs.parameters.o}}', default: x}"
    assert not is_tail(recursion(outputs=f"    outputs: {{parameters: [{{name: o, valueFrom: {source}}}]}}\n"))


def test_retried_recursion_is_no_tail_call() -> None:
    """Each of its attempts is a run, of which the last one counts: somebody has to wait for it."""
    assert not is_tail(recursion(outputs="    retryStrategy: {limit: 1}\n"))


def test_follower_knows_every_tail_call_of_a_mutual_recursion() -> None:
    found = graph(
        "  - {name: main, steps: [[{name: start, template: ping}]]}\n"
        "  - {name: ping, steps: [[{name: a, template: leaf}], [{name: over, template: pong}]]}\n"
        "  - {name: pong, steps: [[{name: a, template: leaf}], [{name: back, template: ping}]]}\n"
    )
    call = found.dags[0].by_id["start"].call
    assert call is not None
    assert dict(call.tails) == {"wf.ping": (("over", "wf.pong"),), "wf.pong": (("back", "wf.ping"),)}


def test_a_loop_is_never_over_a_producer_that_may_not_have_run() -> None:
    """Neither one that decides for itself nor one in a group that a gate may skip."""
    (dag,) = graph(
        "  - name: main\n    steps:\n    - - {name: g, template: group, when: a == b}\n"
        "    - - {name: b, template: leaf, withParam: '{{steps.g.outputs.parameters.list}}'}\n"
        "  - name: group\n"
        "    outputs: {parameters: [{name: list, valueFrom: {parameter: '{{steps.make.outputs.result}}'}}]}\n"
        "    steps:\n    - - {name: make, template: leaf}\n"
    ).dags
    loop = dag.by_id["b"].loop
    assert loop is not None
    assert loop.producer == "b_items"


def test_exit_handler_has_argos_name() -> None:
    head = HEAD.replace("  templates:", "  onExit: leaf\n  templates:")
    node = graph("  - {name: main, steps: [[{name: a, template: leaf}]]}\n", head).dags[0].on_exit
    assert node is not None
    assert (node.id, node.path, node.name, node.upstream) == ("_onExit", ".onExit", "onExit", ("a",))


def test_work_is_shown_by_what_it_is() -> None:
    def shown(image: str) -> str:
        (dag,) = graph(f"  - {{name: main, container: {{image: {image}, command: [echo]}}}}\n").dags
        return repr(Work(dag, dag.nodes[0]))

    assert shown("a") == shown("a")
    assert shown("a") != shown("b")
    assert shown("a").startswith("wf/main@")


@pytest.mark.parametrize("reversed_", [False, True])
def test_tasks_stand_in_an_order_they_can_run_in(reversed_: bool) -> None:
    tasks = [
        f"      - {{name: t{i}, template: leaf, dependencies: [{f't{i - 1}' if i else ''}]}}\n" for i in range(300)
    ]
    text = "".join(reversed(tasks) if reversed_ else tasks)
    (dag,) = graph(f"  - name: main\n    dag:\n      tasks:\n{text}").dags
    assert [node.id for node in dag.nodes] == [f"t{i}" for i in range(300)]
    assert dag.leaves == ("t299",)


def test_reference_shows_its_default() -> None:
    assert str(Ref("node", "a", "outputs.result")) == "{node.a.outputs.result}"
    assert str(Ref("node", "a", "outputs.result", default="")) == "{node.a.outputs.result ?? ''}"
