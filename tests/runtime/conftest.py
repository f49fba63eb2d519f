"""A worker's view of Airflow, answered from memory: the supervisor's messages and the task instance's XComs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms, task_runner

from argo_airflow.compiler import graphs
from argo_airflow.graph import DagGraph

CREATED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
Place = tuple[str, str, str, int]
"""DAG id, run id, task id, map index."""


@dataclass
class Supervisor:
    """Answers what ``runtime.airflow_runs`` asks, with the message types of Airflow itself."""

    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    states: dict[Place, str] = field(default_factory=dict)
    started: list[Any] = field(default_factory=list)
    error: ErrorType | None = None

    def send(self, msg: Any) -> Any:
        if isinstance(msg, comms.TriggerDagRun):
            self.started.append(msg)
            if self.error is not None:
                return comms.ErrorResponse(error=self.error, detail={"message": "no"})
            if (msg.dag_id, msg.run_id) in self.runs:
                return comms.ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
            self.runs[msg.dag_id, msg.run_id] = "queued"
            return comms.OKResponse(ok=True)
        if isinstance(msg, comms.GetDagRunState):
            return comms.DagRunStateResult(state=self.runs[msg.dag_id, msg.run_id])
        if isinstance(msg, comms.GetDRCount):
            states = [self.runs.get((msg.dag_id, run_id)) for run_id in msg.run_ids or ()]
            return comms.DRCount(count=sum(state in (msg.states or ()) for state in states))
        if isinstance(msg, comms.GetTaskStates):
            found: dict[str, Any] = {}
            for (dag_id, run_id, task_id, index), state in self.states.items():
                if dag_id == msg.dag_id and run_id in (msg.run_ids or ()) and task_id in (msg.task_ids or ()):
                    found.setdefault(run_id, {})[task_id if index < 0 else f"{task_id}_{index}"] = state
            return comms.TaskStatesResult(task_states=found)
        raise AssertionError(f"unexpected message {msg!r}")


@dataclass
class TaskInstance:
    """The XCom side of Airflow's task instance: without ``map_indexes`` one hit comes unlisted."""

    task_id: str
    dag_id: str = "wf"
    run_id: str = "run"
    map_index: int = -1
    max_tries: int = 2
    try_number: int = 1
    xcoms: dict[Place, dict[str, Any]] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        assert key == "outputs"
        self.xcoms[self.dag_id, self.run_id, self.task_id, self.map_index] = value

    def xcom_pull(self, *, dag_id: str, run_id: str, task_ids: str, key: str, map_indexes: Any = None) -> Any:
        assert key == "outputs"
        found = sorted((at[3], value) for at, value in self.xcoms.items() if at[:3] == (dag_id, run_id, task_ids))
        if map_indexes is not None:
            return dict(found).get(map_indexes)
        values = [value for _, value in found]
        return values[0] if len(values) == 1 else values or None

    @property
    def published(self) -> dict[str, Any]:
        return self.xcoms[self.dag_id, self.run_id, self.task_id, self.map_index]


class Store(dict):  # type: ignore[type-arg]
    """Airflow's task state store, which survives retries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(ti: TaskInstance, *, store: Store | None = None, conf: Any = None, **params: str) -> dict[str, Any]:
    dag_run = SimpleNamespace(run_id=ti.run_id, conf=conf or {}, run_after=CREATED, start_date=CREATED)
    return {"ti": ti, "dag_run": dag_run, "params": params, "task_state_store": store}


@pytest.fixture
def supervisor(monkeypatch) -> Supervisor:
    found = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    return found


HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n"
LEAF = "  - {name: leaf, container: {image: busybox, command: [echo]}}\n"


def dag(templates: str, spec: str = "", index: int = 0) -> DagGraph:
    """The workflow's DAG, or its child DAG ``index``; a template ``leaf`` is there already."""
    (graph,) = graphs(f"{HEAD}{spec}  templates:\n{templates}{LEAF}", "test.yaml")
    return graph.dags[index]
