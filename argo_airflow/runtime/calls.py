"""Calls: a composite template run as a child DAG run (design §4.2, §4.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow.sdk import BaseOperator

from argo_airflow.errors import NodeError, NodeFailed, UnresolvedVariable
from argo_airflow.graph import Call, Work
from argo_airflow.runtime import airflow_runs
from argo_airflow.runtime.items import label, shown_label
from argo_airflow.runtime.node import NodeRun, node_run, settings
from argo_airflow.runtime.retry import retries
from argo_airflow.runtime.scope import Run, Scope, caller
from argo_airflow.runtime.triggers import FollowRunsTrigger


class CallOperator(BaseOperator):
    """Starts a child run and, unless it is a tail call, waits in the triggerer until all of it has ended."""

    template_fields = ()
    ui_color = "#dfe7f5"
    custom_operator_name = "Argo call"

    def __init__(self, *, work: Work, item: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work
        self.item = item

    @property
    def call(self) -> Call:
        """What is called."""
        if self.work.node.call is None:
            raise TypeError(f"node {self.work.node.id} calls nothing")
        return self.work.node.call

    def argo_label(self, map_index: int) -> str:
        """Argo's name of the item, for Airflow's ``map_index_template``."""
        return shown_label(self.work, self.item, map_index)

    def execute(self, context: Any) -> None:
        """Start the child run, or find the one that an earlier try started.

        Raises:
            NodeError: a value is missing, or the recursion is deeper than allowed.
        """
        ti = context["ti"]
        with node_run(self.work, context, self.item) as current:
            child = self._child(ti, current)
            inputs = current.inputs()
            child = replace(child, parameters=dict(inputs.parameters), artifacts=_given(inputs.artifacts))
            limit = settings().recursion_limit
            if limit and child.depth > limit:
                raise NodeError(
                    f"template {self.call.template} is called {child.depth} deep, more than {limit}"
                    " (option [argo] recursion_limit)"
                )
            parent = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
            new = airflow_runs.start_run(child.dag_id, child.run_id, child.conf(parent))
            self.log.info("%s run %s of %s", "Started" if new else "Found", child.run_id, child.dag_id)
            current.outputs.more["childRun"] = {"dag_id": child.dag_id, "run_id": child.run_id}
            if not self.call.tail:
                self.defer(trigger=self._trigger(child), method_name="resume", kwargs={"run_id": child.run_id})

    def resume(self, context: Any, event: dict[str, Any], run_id: str) -> None:
        """Publish what the child run ``run_id``, and the runs it went on to, have ended with.

        Raises:
            NodeFailed: one of them failed.
        """
        with node_run(self.work, context, self.item, decided=True) as current:
            child = replace(self._child(context["ti"], current), run_id=run_id)
            current.outputs.more["childRun"] = {"dag_id": child.dag_id, "run_id": child.run_id}
            if event["failed"]:
                shown = ", ".join(f"{dag_id} {run_id}" for dag_id, run_id in event["failed"][:3])
                more = len(event["failed"]) - 3
                raise NodeFailed(f"child failed: {shown}" + (f" and {more} more" if more > 0 else ""))
            inputs = current.inputs()
            child = replace(child, parameters=dict(inputs.parameters), artifacts=_given(inputs.artifacts))
            self._collect(current, Scope(child, context["ti"]))

    def _child(self, ti: Any, current: NodeRun) -> Run:
        """The child run, the same whenever it is asked for; a new one where the task was cleared after that had ended.

        Airflow raises ``max_tries`` when it clears a task. A tail call stays as it is: who follows it knows no clears.
        """
        cleared = 0 if self.call.tail else max(0, ti.max_tries - retries(self.work.node.limit))
        first, again = (
            current.run.called(
                self.call.dag_id,
                caller(ti.task_id, ti.map_index, current.attempt, times),
                current.name + current.pod_suffix,
                label(self.work, self.item, ti.map_index),
            )
            for times in (0, cleared)
        )
        return first if cleared and airflow_runs.is_going(first.dag_id, first.run_id) else again

    def _trigger(self, child: Run) -> FollowRunsTrigger:
        return FollowRunsTrigger(
            dag_id=child.dag_id,
            run_id=child.run_id,
            root_run_id=child.root_run_id,
            depth=child.depth,
            tails={dag_id: dict(tails) for dag_id, tails in self.call.tails},
            poll_seconds=settings().call_poll_seconds,
        )

    def _collect(self, current: NodeRun, scope: Scope) -> None:
        """The callee's outputs, evaluated in its run (semantics.md §2.8)."""
        for binding in self.call.parameters:
            try:
                current.outputs.parameters[binding.name] = scope.render(binding.text or ())
            except UnresolvedVariable:
                if binding.default is not None:  # otherwise absent: the consumer's default decides
                    current.outputs.parameters[binding.name] = binding.default
        for artifact in self.call.artifacts:
            found = scope.artifact(replace(artifact, optional=True))
            if found is not None:
                current.outputs.artifacts[artifact.name] = found


def _given(artifacts: Any) -> dict[str, Any]:
    return {name: location for name, location in artifacts.items() if location is not None}
