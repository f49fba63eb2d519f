"""Golden pairs: what each workflow is drawn as. ``pytest tests/cases --update-graphs`` writes the graphs anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from argo_airflow.compiler import check, graphs
from argo_airflow.graph import DagGraph, Graph

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.yaml"))


def name(case: Path) -> str:
    return str(case.relative_to(HERE).with_suffix(""))


def compiled(case: Path) -> Graph:
    (graph,) = graphs(case.read_bytes(), case.name)
    return graph


@pytest.mark.parametrize("case", CASES, ids=name)
def test_golden(case: Path, request) -> None:
    golden = case.with_suffix(".graph")
    text = str(compiled(case))
    if request.config.getoption("--update-graphs", default=False):
        golden.write_text(text)
    assert text == golden.read_text(), "if this is meant: pytest tests/cases --update-graphs, and read the diff"


def test_no_graph_is_left_over() -> None:
    assert {graph.with_suffix(".yaml") for graph in HERE.glob("*/*.graph")} == set(CASES)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_no_case_has_warnings(case: Path) -> None:
    _, found = check(case.read_bytes(), case.name)
    assert found == []


@pytest.mark.parametrize("case", CASES, ids=name)
def test_laws(case: Path) -> None:
    """What holds for every graph, whatever it is of."""
    dags = {dag.dag_id: dag for dag in compiled(case).dags}
    for dag in dags.values():
        ids = [node.id for node in dag.nodes]
        assert len(ids) == len(set(ids))
        for index, node in enumerate(dag.nodes):
            before = set(ids[:index])
            assert before.issuperset(node.upstream), "a node stands after those it waits for, so there is no cycle"
            assert before.issuperset(node_id for _, node_id in node.siblings if node_id)
            assert set(ids[index + 1 :]).issuperset(node.skips)
            assert (node.pod is not None) == (node.kind == "pod")
            assert (node.call is not None) == (node.kind == "call")
            assert node.call is None or dags[node.call.dag_id].child
            if node.loop is not None and node.kind != "gate" and not node.loop.producer:
                assert node.loop.literal
        assert_values_come_before_use(dag)


def assert_values_come_before_use(dag: DagGraph) -> None:
    above: dict[str, set[str]] = {}
    for node in dag.nodes:
        above[node.id] = set(node.upstream).union(*(above[one] for one in node.upstream))
        text = "\n".join(node.lines())
        for producer in re.findall(r"\{(?:node|loop)\.([-\w.]+?)\.(?:outputs|status)", text):
            assert producer in above[node.id], f"{node.id} may start before {producer}, whose value it needs"
