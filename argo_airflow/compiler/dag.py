"""Stage 5: the graph becomes Airflow DAGs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup

from argo_airflow.graph import MAIN, DagGraph, Graph, Node, Pod, Work
from argo_airflow.runtime import operators

CHILD_TAG = "argo-child"
_NO_LIMIT = 100_000
"""Argo limits neither runs nor tasks by itself; Airflow's 0 would mean none at all."""


def dags(graph: Graph, *, document: str = "") -> list[DAG]:
    """The Airflow DAGs of a workflow; ``document`` is shown as their documentation."""
    return [_dag(dag, document) for dag in graph.dags]


def _dag(graph: DagGraph, document: str) -> DAG:
    child: dict[str, Any] = {"is_paused_upon_creation": False} if graph.child else {}
    dag = DAG(
        dag_id=graph.dag_id,
        schedule=None,
        catchup=False,
        params={p.name: _param(p) for p in graph.parameters},
        tags={"argo", CHILD_TAG} if graph.child else {"argo"},
        auto_register=False,
        max_active_runs=_NO_LIMIT,
        max_active_tasks=_NO_LIMIT,
        doc_md=document or None,
        **child,
    )
    with dag:
        _Tasks(dag, graph).add()
    return dag


def _param(parameter: Any) -> Param:
    more: dict[str, Any] = {"description": parameter.description} if parameter.description else {}
    if parameter.enum:
        more["enum"] = list(parameter.enum)
    if parameter.value is None:
        return Param(type="string", minLength=1, **more)
    if "\n" in parameter.value:
        more["format"] = "multiline"
    # the form makes null of an emptied field, and takes null for missing unless the type allows it
    return Param(parameter.value, type="string" if parameter.value else ["null", "string"], **more)


class _Tasks:
    """The tasks of one DAG being made."""

    def __init__(self, dag: DAG, graph: DagGraph) -> None:
        self.dag = dag
        self.graph = graph
        self.groups: dict[str, TaskGroup] = {}
        self.made: dict[str, Any] = {}
        self.pods: dict[int, str] = {}

    def add(self) -> None:
        graph = self.graph
        for node in graph.nodes:
            self.made[node.id] = self._task(node)
        for node in graph.nodes:
            if node.upstream:  # all at once: Airflow looks at the whole DAG at each call
                self.made[node.id].set_upstream([self.made[upstream] for upstream in node.upstream])
        if graph.on_exit is not None:
            self._exit(graph.on_exit)

    def _task(self, node: Node) -> Any:
        rule = "all_done" if node.depends is not None or node.kind == "end" else "none_failed"
        task = operators.build(
            Work(self.graph, node),
            task_id=node.id.removeprefix(f"{node.group}.") if node.group else node.id,
            task_group=self._group(node.group),
            trigger_rule=rule,
            doc_yaml=self._document(node),
        )
        loop = node.loop
        if loop is None or node.kind == "gate":
            return task
        if loop.producer:
            return task.expand(item=self.made[loop.producer].output)
        return task.expand(item=operators.literal_items(loop))

    def _group(self, group: str) -> TaskGroup | None:
        """The task group of a composite drawn inline, its outer groups first."""
        if not group:
            return None
        if group not in self.groups:
            outer, _, name = group.rpartition(".")
            self.groups[group] = TaskGroup(group_id=name, parent_group=self._group(outer), dag=self.dag)
        return self.groups[group]

    def _exit(self, node: Node) -> None:
        """The exit handler is a teardown: it runs whatever happened, and its failure fails the run (semantics §2.12).

        A leaf beside it carries the workflow's own phase, because what a teardown follows is no leaf for Airflow.
        """
        task = operators.build(Work(self.graph, node), task_id=node.id, doc_yaml=self._document(node))
        task.as_teardown(on_failure_fail_dagrun=True)
        main = EmptyOperator(task_id=MAIN, trigger_rule="none_failed")
        for upstream in node.upstream:
            self.made[upstream] >> [task, main]

    def _document(self, node: Node) -> str:
        """What the UI shows of a task; also what makes a changed node a new DAG version, so all of it is here."""
        lines = "\n".join(node.lines())
        if node.pod is None:
            return lines
        if id(node.pod) not in self.pods:  # nodes of one template share their pod
            self.pods[id(node.pod)] = _pod(node.pod)
        return f"{lines}\n{self.pods[id(node.pod)]}"


def _pod(pod: Pod) -> str:
    import yaml

    fields = json.loads(json.dumps({name: value for name, value in asdict(pod).items() if value}))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(fields, Dumper=dumper, sort_keys=False, allow_unicode=True)
