"""Runs of DAGs on a started stack: what they took by the clock, and on the processors."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from argo_airflow.stack.client import AirflowApiError, AirflowClient, segment
from argo_airflow.stack.stack import Stack
from bench import cpu
from bench.figure import BenchError

STALLED_SECONDS = 240.0
"""Not a limit of how long a run may take, but of how long nothing at all may change in it."""
_LOG_LINES = 30


@dataclass(frozen=True)
class Sample:
    """Seconds of one whole run: ``wall`` as Airflow tells it, and processor time of its task processes and others."""

    wall: float
    worker: float
    """LocalExecutor's workers and the task processes they fork."""
    scheduler: float
    api_server: float

    def per(self, tasks: int) -> Sample:
        """The same for one of so many tasks."""
        return Sample(**{name: value / tasks for name, value in asdict(self).items()})


def measure(stack: Stack, dag_id: str) -> Sample:
    """Run a DAG once.

    Raises:
        BenchError: it failed, or it stalled, or the stack did.
    """
    wait_for_dag(stack, dag_id)
    before = _processors(stack)
    raw = run(stack, dag_id)
    after = _processors(stack)
    wall = (datetime.fromisoformat(raw["end_date"]) - datetime.fromisoformat(raw["start_date"])).total_seconds()
    return Sample(wall, *(after[name] - before[name] for name in ("worker", "scheduler", "api_server")))


def run(stack: Stack, dag_id: str, **conf: str) -> dict[str, Any]:
    """Trigger a DAG and wait for the end of its run; Airflow's account of it.

    Raises:
        BenchError: it failed, or it stalled, or the stack did.
    """
    client = stack.client
    run_id = client.trigger(dag_id, conf)["dag_run_id"]
    before, since = _progress(client), time.monotonic()
    while (raw := client.run(dag_id, run_id))["state"] not in ("success", "failed"):
        _lives(stack)
        if time.monotonic() - since > STALLED_SECONDS / 4:
            now = _progress(client)
            if now == before and time.monotonic() - since > STALLED_SECONDS:
                raise BenchError(f"nothing changes any more in {dag_id}; {_trouble(client, dag_id, run_id)}")
            if now != before:
                before, since = now, time.monotonic()
        time.sleep(0.5)
    if raw["state"] != "success":
        raise BenchError(f"{dag_id} failed; {_trouble(client, dag_id, run_id)}")
    return raw


def wait_for_dag(stack: Stack, dag_id: str) -> None:
    """Wait until Airflow has read the DAG.

    Raises:
        BenchError: it cannot be read.
    """
    begin = time.monotonic()
    while stack.client.dag(dag_id) is None:
        _lives(stack)
        if errors := stack.client.import_errors():
            raise BenchError("\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors))
        if time.monotonic() - begin > STALLED_SECONDS:
            raise BenchError(f"no DAG {dag_id}")
        time.sleep(0.5)


def _processors(stack: Stack) -> dict[str, float]:
    """Processor seconds so far, taken when no task process is left: each counts when its worker has waited for it."""
    pids, since = stack.pids(), time.monotonic()
    while (scheduler := cpu.tree(pids["scheduler"])).depth > 1:
        _lives(stack)
        if time.monotonic() - since > STALLED_SECONDS:
            raise BenchError("a task process does not end")
        time.sleep(0.1)
    server = cpu.tree(pids["api-server"])
    return {
        "worker": scheduler.descendants,
        "scheduler": scheduler.own,
        "api_server": server.own + server.descendants,
    }


def _progress(client: AirflowClient) -> object:
    path = "/dags/~/dagRuns/~/taskInstances"
    newest = client.get(path, limit=20, order_by="-start_date")
    return newest["total_entries"], [(raw["id"], raw["state"]) for raw in newest["task_instances"]]


def _lives(stack: Stack) -> None:
    if stack.failure:
        raise BenchError(f"the stack failed: {stack.failure}")


def _trouble(client: AirflowClient, dag_id: str, run_id: str) -> str:
    """The states of the tasks, and the end of the first failed one's log."""
    tasks = client.task_instances(dag_id, run_id)
    lines = [", ".join(f"{raw['task_id']}[{raw['map_index']}] {raw['state']}" for raw in tasks[:50])]
    failed = next((raw for raw in tasks if raw["state"] == "failed"), None)
    if failed:
        path = f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}/taskInstances/{segment(failed['task_id'])}"
        with suppress(AirflowApiError):
            log = client.get(f"{path}/logs/{failed['try_number']}", map_index=failed["map_index"], full_content=True)
            lines += [str(event["event"] if isinstance(event, dict) else event) for event in log["content"]]
    return "\n  | ".join([lines[0], *lines[1:][-_LOG_LINES:]])
