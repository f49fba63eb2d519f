"""What the e2e tests ask of a running Airflow: trigger, wait, and look at what came out. All by its REST API."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from argo_airflow.stack.client import AirflowApiError, AirflowClient, segment

DONE = {"success", "failed"}
PROGRESS_SECONDS = 10
"""How often to look whether anything changes: each look is work for the Airflow under test."""
STALLED_SECONDS = 240
"""Not a limit of how long a workflow may take, but of how long nothing at all may change in it."""


class Stalled(AssertionError):
    """Nothing changed any more; the message says how things stood."""


@dataclass(frozen=True)
class TaskInstance:
    """One task instance as Airflow tells it, with the Argo outputs it published."""

    client: AirflowClient
    raw: dict[str, Any]

    @property
    def name(self) -> str:
        """The step's or task's own name: the task id without its groups."""
        return self.raw["task_id"].rsplit(".", 1)[-1]

    @property
    def state(self) -> str:
        return self.raw["state"]

    @property
    def shown(self) -> str:
        """The name of a mapped instance in the UI."""
        return self.raw["rendered_map_index"]

    @property
    def started(self) -> str:
        """ISO 8601, UTC: compares as text."""
        return self.raw["start_date"]

    @property
    def ended(self) -> str:
        return self.raw["end_date"]

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """``{phase, result, exitCode, parameters, artifacts}``; empty where none was published."""
        raw = self.raw
        value = self.client.xcom(raw["dag_id"], raw["dag_run_id"], raw["task_id"], "outputs", raw["map_index"])
        return value or {}

    @cached_property
    def log(self) -> str:
        """The text of the last try's log, one event a line."""
        raw = self.raw
        path = f"/dags/{segment(raw['dag_id'])}/dagRuns/{segment(raw['dag_run_id'])}"
        path += f"/taskInstances/{segment(raw['task_id'])}/logs/{raw['try_number']}"
        content = self.client.get(path, map_index=raw["map_index"], full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else _event(line) for line in content)


def _event(line: dict[str, Any]) -> str:
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or ()]
    return "\n".join([str(line.get("event", "")), *errors])


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    client: AirflowClient
    dag_id: str
    run_id: str

    @property
    def raw(self) -> dict[str, Any]:
        return self.client.run(self.dag_id, self.run_id)

    @property
    def state(self) -> str:
        return self.raw["state"]

    @property
    def tasks(self) -> list[TaskInstance]:
        """All task instances as they are now."""
        return [TaskInstance(self.client, raw) for raw in self.client.task_instances(self.dag_id, self.run_id)]

    def named(self, name: str) -> list[TaskInstance]:
        """The instances of the step or task of this name, by map index."""
        found = [task for task in self.tasks if task.name == name]
        assert found, f"no task {name!r} in {self.dag_id}; there are {sorted({task.name for task in self.tasks})}"
        return sorted(found, key=lambda task: task.raw["map_index"])

    def task(self, name: str) -> TaskInstance:
        """The one instance of this name."""
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} instances of {name!r}"
        return found[0]

    def trouble(self) -> str:
        """State of every task, and the end of each failed one's log."""
        lines = [f"{self.dag_id} {self.run_id}: {self.state}"]
        for task in self.tasks:
            lines.append(f"  {task.raw['task_id']}[{task.raw['map_index']}] {task.state} {task.shown or ''}")
            if task.state == "failed":
                lines += [f"    | {line}" for line in task.log.splitlines()[-25:]]
        return "\n".join(lines)


UNPUBLISHED = {"upstream_failed": "Omitted", "skipped": "Skipped"}
"""Argo's phase of a task that Airflow settled by itself, without a process."""


def phases(run: Run) -> dict[str, list[str]]:
    """The phases of the nodes, by name."""
    found: dict[str, list[str]] = {}
    for task in sorted(run.tasks, key=lambda task: task.raw["map_index"]):
        if not task.name.startswith("_"):
            found.setdefault(task.name, []).append(task.outputs.get("phase") or UNPUBLISHED.get(task.state, task.state))
    return found


class Airflow:
    """The Airflow of a running stack (``argo_airflow.stack.stack.Stack``)."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.client: AirflowClient = stack.client

    def until(self, condition: Callable[[], object], what: Callable[[], str]) -> Any:
        """Wait until ``condition()`` is true and return it; ``what()`` tells what was waited for.

        Raises:
            Stalled: it did not become true for a long time.
        """
        begin = time.monotonic()
        while not (value := condition()):
            self._stack_lives()
            if time.monotonic() - begin > STALLED_SECONDS:
                raise Stalled(f"waited in vain for {what()}")
            time.sleep(0.5)
        return value

    def wait_for_dag(self, dag_id: str) -> dict[str, Any]:
        """Wait until the DAG is there; fail with the import errors when it does not come."""

        def errors() -> str:
            return "\n".join(f"{e['filename']}: {e['stack_trace']}" for e in self.client.import_errors())

        return self.until(lambda: self.client.dag(dag_id), lambda: f"DAG {dag_id}; import errors: {errors() or 'none'}")

    def trigger(self, dag_id: str, **conf: str) -> Run:
        """Start a run with these workflow parameters."""
        self.wait_for_dag(dag_id)
        return Run(self.client, dag_id, self.client.trigger(dag_id, conf)["dag_run_id"])

    def wait(self, run: Run) -> str:
        """Wait until the run has ended; its state.

        Raises:
            Stalled: neither it nor any run of its child DAGs changed for a long time.
        """
        before, since, looked = None, time.monotonic(), 0.0
        while (state := run.state) not in DONE:
            self._stack_lives()
            if time.monotonic() - looked > PROGRESS_SECONDS:
                looked = time.monotonic()
                if (now := self._progress(run)) != before:
                    before, since = now, looked
                elif looked - since > STALLED_SECONDS:
                    raise Stalled(run.trouble())
            time.sleep(0.5)
        return state

    def succeed(self, dag_id: str, **conf: str) -> Run:
        """Trigger, wait, and insist on success."""
        run = self.trigger(dag_id, **conf)
        assert self.wait(run) == "success", self.trouble(run)
        return run

    def children(self, run: Run, template: str) -> list[Run]:
        """Every run of the child DAG of a template that began while ``run`` ran, the oldest first."""
        dag_id = f"{run.dag_id}.{template}"
        begin, end = run.raw["start_date"], run.raw["end_date"]
        return [
            Run(self.client, dag_id, raw["dag_run_id"])
            for raw in sorted(self.client.list_runs([dag_id]), key=lambda raw: raw["start_date"])
            if begin <= raw["start_date"] <= end
        ]

    def trouble(self, run: Run) -> str:
        """The run and the failed runs of its child DAGs, in text."""
        failed = [
            Run(self.client, raw["dag_id"], raw["dag_run_id"])
            for raw in self.client.runs("~", state="failed")
            if raw["dag_id"].startswith(run.dag_id + ".")
        ]
        return "\n".join(each.trouble() for each in (run, *failed[-3:]))

    def ui(self, path: str) -> Any:
        """GET what the UI itself asks for: a path under ``/ui``."""
        return self.client._call("GET", f"/ui{path}")

    def _progress(self, run: Run) -> object:
        states = Counter(task.state for task in run.tasks)
        pattern = run.dag_id + "."
        path = "/dags/~/dagRuns/~/taskInstances"
        children = self.client.get(path, limit=5, order_by="-start_date", dag_id_prefix_pattern=pattern)
        newest = [(raw["id"], raw["state"]) for raw in children["task_instances"]]
        return states, children["total_entries"], newest

    def _stack_lives(self) -> None:
        assert not self.stack.failure, f"the stack failed: {self.stack.failure}"


__all__ = ["Airflow", "AirflowApiError", "Run", "Stalled", "TaskInstance", "phases"]
