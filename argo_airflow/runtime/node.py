"""What every kind of node has in common on the worker: depends → when → (its own work) → publish."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from argo_airflow.errors import ArgoAirflowError, NodeError, NodeFailed, UnresolvedVariable
from argo_airflow.graph import Binding, Node, Work
from argo_airflow.lang import depends, names
from argo_airflow.runtime import airflow_runs
from argo_airflow.runtime.items import item_value, label
from argo_airflow.runtime.pod import Inputs
from argo_airflow.runtime.scope import OUTPUTS, Run, Scope
from argo_airflow.settings import Settings

_ATTEMPT = "argo_attempt"


class Skipped(Exception):
    """The node does not run; ``phase`` is Skipped or Omitted."""

    def __init__(self, phase: str, message: str) -> None:
        self.phase = phase
        super().__init__(message)


class NotStarted(NodeError):
    """A template none of whose tasks ran: Argo's Omitted, a failed task for Airflow so that what follows waits too."""

    phase = "Omitted"


@dataclass
class Outputs:
    """What a node publishes (semantics.md §2.8)."""

    result: str | None = None
    exit_code: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    phase: str = "Succeeded"
    message: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def published(self) -> dict[str, Any]:
        """The XCom value."""
        values = {
            "phase": self.phase,
            "message": self.message or None,
            "result": self.result,
            "exitCode": self.exit_code,
            "parameters": self.parameters,
            "artifacts": self.artifacts,
            **self.more,
        }
        return {key: value for key, value in values.items() if value is not None and value != {}}


@dataclass
class NodeRun:
    """One attempt to run a node: who it is, its values, and what it has to publish."""

    work: Work
    run: Run
    scope: Scope
    name: str
    """The node's full Argo name."""
    attempt: int = 0
    outputs: Outputs = field(default_factory=Outputs)

    @property
    def pod_suffix(self) -> str:
        """What Argo adds to the name of a retried node's attempt."""
        return "" if self.work.node.limit is None else f"({self.attempt})"

    def inputs(self) -> Inputs:
        """Bind the node's arguments.

        Raises:
            NodeError: a value that must be there is not.
        """
        return Inputs(self.parameters(), {a.name: self.scope.artifact(a) for a in self.work.node.artifacts})

    def parameters(self) -> dict[str, str]:
        """The values of the input parameters: the argument, else the default (semantics.md §2.9)."""
        return {binding.name: self._parameter(binding) for binding in self.work.node.parameters}

    def _parameter(self, binding: Binding) -> str:
        """The argument; the default where there is none, or where it is one producer's absent output."""
        try:
            if binding.text is not None:
                return self.scope.render(binding.text)
        except UnresolvedVariable:
            pure = binding.text is not None and len(binding.text) == 1
            if not pure or binding.default is None:
                raise
        if binding.default is None:
            raise NodeError(f"inputs.parameters.{binding.name} was not supplied")
        return binding.default


@contextmanager
def node_run(
    work: Work, context: Mapping[str, Any], item: str | None = None, *, decided: bool = False
) -> Iterator[NodeRun]:
    """Decide whether the node runs, and publish what became of it, whatever happens in between.

    ``decided``: the node is taken up after a deferral, it runs already.

    Raises:
        AirflowSkipException: ``depends`` or ``when`` say no.
        NodeFailed, NodeError: as raised inside, after the phase has been published.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    ti = context["ti"]
    started = datetime.now(UTC)
    node = work.node
    try:
        run = Run.of(work.dag, context, settings().namespace)
        own = label(work, item, ti.map_index)
        name = run.node_name + node.path[: len(node.path) - len(node.name)] + own if node.path else run.node_name
        run = replace(run, workflow=run.workflow | _duration(work, context) | _exit_variables(work, run, ti))
        scope = Scope(run, ti)
        current = NodeRun(work, run, scope, name, failed_attempts(context))
        current.outputs.more |= {"displayName": own, "id": names.node_id(run.workflow["name"], name)}
    except ArgoAirflowError as error:
        _publish(ti, Outputs(phase=getattr(error, "phase", "Error"), message=str(error)), started)
        raise
    try:
        scope.item = item_value(item)
        if not decided:
            decide(work, scope)
        yield current
    except Skipped as skipped:
        _publish(ti, replace(current.outputs, phase=skipped.phase, message=str(skipped)), started)
        raise AirflowSkipException(str(skipped)) from None
    except (NodeFailed, NodeError) as error:
        if isinstance(error, NodeFailed):
            _count_attempt(context, current.attempt + 1)
            error.attempt = current.attempt  # type: ignore[attr-defined]
        _publish(ti, replace(current.outputs, phase=error.phase, message=str(error)), started)
        raise
    except Exception as error:  # Airflow tries again; where it gives up, this is what is known
        message = " ".join(f"{type(error).__name__}: {error}".split())
        _publish(ti, replace(current.outputs, phase="Error", message=message[:1000]), started)
        raise
    _publish(ti, current.outputs, started)


def _publish(ti: Any, outputs: Outputs, started: datetime) -> None:
    times = {"startedAt": started, "finishedAt": datetime.now(UTC)}
    stamps = {key: value.strftime("%Y-%m-%dT%H:%M:%SZ") for key, value in times.items()}
    ti.xcom_push(key=OUTPUTS, value=outputs.published() | stamps)


def decide(work: Work, scope: Scope) -> None:
    """Evaluate ``depends``, then ``when``.

    Raises:
        Skipped: one of them says no.
    """
    node = work.node
    if node.depends is not None:
        tasks = dict(node.siblings)
        holds = depends.parse(node.depends).evaluate(
            lambda name: scope.phase(work.dag, tasks[name]), lambda name: scope.item_phases(work.dag, tasks[name])
        )
        if not holds:
            raise Skipped("Omitted", "omitted: depends condition not met")
    if node.when is not None and not scope.decide(node.when):
        raise Skipped("Skipped", f"when '{scope.render(node.when)}' evaluated false")


def _duration(work: Work, context: Mapping[str, Any]) -> dict[str, str]:
    """``workflow.duration`` so far; a child run has it from the task that called it (semantics.md §2.2)."""
    if work.dag.child:
        return {}
    now = datetime.now(UTC)
    return {"duration": f"{(now - (context['dag_run'].start_date or now)).total_seconds():f}"}


def _exit_variables(work: Work, run: Run, ti: Any) -> dict[str, str]:
    """``workflow.status`` and ``failures``, which only an exit handler has (semantics.md §2.2)."""
    dag = work.dag
    if dag.on_exit is None or work.node.id != dag.on_exit.id:
        return {}
    scope = Scope(run, ti)
    states = airflow_runs.task_states(run.dag_id, run.run_id, [node.id for node in dag.nodes])
    ended = {task_id: set(by_index.values()) for task_id, by_index in states.items()}
    bad = any(ended.get(task_id, set()) & {"failed", "upstream_failed"} for task_id in work.node.upstream)
    failures = [
        _failure(node, published)
        for node in dag.nodes
        if node.kind in ("pod", "call") and "failed" in ended.get(node.id, ())
        for published in (scope.item_outputs(node.id) if node.loop else [scope.outputs(node.id) or {}])
        if published.get("phase") in ("Failed", "Error", None)
    ]
    return {
        "status": "Failed" if bad else "Succeeded",
        "failures": json.dumps(json.dumps(failures or None)),
    }


def _failure(node: Node, published: Mapping[str, Any]) -> dict[str, str]:
    fields = {name: published.get(name, "") for name in ("displayName", "message", "podName", "finishedAt")}
    return {**fields, "templateName": node.template, "phase": published.get("phase", "Failed")}


def failed_attempts(context: Mapping[str, Any]) -> int:
    """How many attempts of the node have failed since the task was last cleared (a clear raises ``max_tries``)."""
    store = context.get("task_state_store")
    stored = store.get(_ATTEMPT) if store is not None else None
    if isinstance(stored, dict) and stored.get("max_tries") == context["ti"].max_tries:
        return int(stored["failed"])
    return 0


def _count_attempt(context: Mapping[str, Any], failed: int) -> None:
    store = context.get("task_state_store")
    if store is not None:
        store.set(_ATTEMPT, {"max_tries": context["ti"].max_tries, "failed": failed})


@cache
def settings() -> Settings:
    """The ``[argo]`` options as Airflow has them, read once in each process."""
    from airflow.configuration import conf

    return Settings.load(conf.getsection("argo"))
