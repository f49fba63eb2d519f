"""Following a run through Airflow's REST API until it has ended."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from argo_airflow.cli.draw import changes, draw
from argo_airflow.cli.tree import FINISHED, RunKey, Snapshot, TreeNode, build, header, run_key, run_phase
from argo_airflow.errors import ArgoAirflowError
from argo_airflow.stack.client import AirflowApiError, AirflowClient

Json = dict[str, Any]

_RECENT = 4
"""Finished child runs of a DAG whose tasks are looked at; of the others only their phase is shown."""
_FAILED = 5
_PATIENCE = 90.0
"""Seconds without an answer from Airflow (its api-server may be restarting) before following is given up."""
_DAY_LINE = "%H:%M:%S"


class Follower:
    """Looks at one run again and again; asks only for what may have changed since the last look."""

    def __init__(self, client: AirflowClient, dag_id: str, run_id: str, templates: dict[tuple[str, str], str]) -> None:
        self._client, self._key, self._templates = client, (dag_id, run_id), templates
        self._child_dags: list[str] = []
        self._children: dict[RunKey, Json] = {}
        self._looked: datetime | None = None
        self._final: dict[RunKey, list[Json]] = {}
        self._messages: dict[tuple[str, str, str, int], str] = {}

    def look(self) -> Snapshot:
        """The run as it is now.

        Raises:
            AirflowApiError: Airflow does not answer, or knows no such run.
        """
        run = self._client.run(*self._key)
        self._look_for_children(run)
        instances = {run_key(each): self._instances(each) for each in [run, *self._worth_drawing()]}
        for key, tis in instances.items():
            for ti in tis:
                if ti["state"] == "failed":
                    self._look_for_message(key, ti)
        return Snapshot(run, instances, list(self._children.values()), self._messages, self._templates)

    def _look_for_children(self, run: Json) -> None:
        if not self._child_dags:
            pages = self._client.get("/dags", tags="argo-child", dag_id_pattern=f"{self._key[0]}.", limit=100)
            self._child_dags = [d["dag_id"] for d in pages["dags"] if d["dag_id"].startswith(f"{self._key[0]}.")]
        if not self._child_dags:
            return
        now = datetime.now(UTC)
        since = self._looked or datetime.fromisoformat(run["run_after"])
        # What has ended since the last look (with a margin for the clock), and what goes on.
        queries: list[Json] = [{"end_date_gte": (since - timedelta(seconds=5)).isoformat()}]
        queries.append({"states": ["queued", "running"]})
        found = [each for query in queries for each in self._client.list_runs(self._child_dags, **query)]
        for each in found:
            if ((each.get("conf") or {}).get("argo") or {}).get("root_run_id") == self._key[1]:
                self._children[run_key(each)] = each
        self._looked = now

    def _worth_drawing(self) -> list[Json]:
        by_dag: dict[str, list[Json]] = {}
        for run in sorted(self._children.values(), key=lambda run: run["run_after"]):
            by_dag.setdefault(run["dag_id"], []).append(run)
        worth: dict[RunKey, Json] = {}
        for runs in by_dag.values():
            failed = [run for run in runs if run_phase(run) == "Failed"][:_FAILED]
            active = [run for run in runs if run_phase(run) not in FINISHED]
            worth.update({run_key(run): run for run in (*runs[-_RECENT:], *failed, *active)})
        return list(worth.values())

    def _instances(self, run: Json) -> list[Json]:
        key = run_key(run)
        if key in self._final:
            return self._final[key]
        instances = self._client.task_instances(*key)
        if run_phase(run) in FINISHED:
            self._final[key] = instances
        return instances

    def _look_for_message(self, run: RunKey, ti: Json) -> None:
        key = (*run, ti["task_id"], ti["map_index"])
        if key not in self._messages:
            value = self._client.xcom(*run, ti["task_id"], "outputs", ti["map_index"])
            if isinstance(value, str):
                with contextlib.suppress(ValueError):
                    value = json.loads(value)
            self._messages[key] = str(value.get("message") or "") if isinstance(value, dict) else ""


class Screen:
    """Where a tree is shown: redrawn in place on a terminal, elsewhere one line for each change.

    A ``quiet`` screen shows the last picture only.
    """

    def __init__(self, out: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out, self._quiet = out or sys.stdout, quiet
        self._live = self._out.isatty()
        self._drawn: list[str] = []
        self._told: dict[str, str] = {}

    def show(self, snapshot: Snapshot, namespace: str) -> None:
        """Show the run as it is."""
        if not self._quiet:
            self._show(snapshot, namespace)

    def finish(self, snapshot: Snapshot, namespace: str) -> None:
        """Show the last picture, which stays."""
        root = self._show(snapshot, namespace)
        if not self._live:
            self._print([*header(snapshot, namespace, root), ""])
        self._drawn = []

    def _show(self, snapshot: Snapshot, namespace: str) -> TreeNode:
        root = build(snapshot)
        if self._live:
            size = shutil.get_terminal_size()
            head = header(snapshot, namespace, root)
            self._erase()
            self._drawn = [*head, "", *draw(root, size.columns - 1, size.lines - len(head) - 3)]
            self._print(self._drawn)
        else:
            clock = datetime.now().strftime(_DAY_LINE)
            self._print([f"{clock} {line}" for line in changes(root, self._told)])
        return root

    def say(self, line: str) -> None:
        """Print a line above the tree."""
        self._erase()
        self._print([line, *self._drawn])

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{len(self._drawn)}A\x1b[J")

    def _print(self, lines: list[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()


def follow(follower: Follower, screen: Screen, namespace: str, pause: Callable[[float], object] = time.sleep) -> str:
    """Show the run until it has ended; returns its phase.

    ``pause`` waits between looks and may raise to end the following (the stack has failed).

    Raises:
        AirflowApiError: there is no such run, or Airflow has not answered for a while.
    """
    answered = time.monotonic()
    while True:
        try:
            snapshot = follower.look()
        except AirflowApiError as error:
            if error.status not in (0, 500, 502, 503) or time.monotonic() - answered > _PATIENCE:
                raise
        else:
            answered = time.monotonic()
            if run_phase(snapshot.run) in FINISHED:
                screen.finish(snapshot, namespace)
                return run_phase(snapshot.run)
            screen.show(snapshot, namespace)
        pause(1.0)


def template_names(file: str) -> dict[tuple[str, str], str]:
    """Template of each task by DAG and task id, read from the workflow's file; empty where it cannot be read."""
    try:
        from argo_airflow.compiler import graphs

        found = graphs(Path(file).read_bytes(), file)
    except (ImportError, OSError, ArgoAirflowError):
        return {}
    return {(dag.dag_id, node.id): node.template for graph in found for dag in graph.dags for node in dag.nodes}
