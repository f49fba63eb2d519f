"""Waiting without a worker: follow a child run, and the tail calls that go on from it, to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from argo_airflow.runtime import airflow_runs
from argo_airflow.runtime.scope import caller, child_run_id

_SLOWER, _SLOWEST = 1.1, 10
"""By how much each pause is longer than the one before, and how much longer than the first it may become."""


class FollowRunsTrigger(BaseTrigger):
    """Fires when ``run_id`` of ``dag_id`` and every run it went on to by tail calls has ended.

    ``tails`` names, for each DAG of the recursion, its tail calls as ``{task_id: called dag_id}``. The event is
    ``{"failed": [[dag_id, run_id], …], "runs": n}``.
    """

    def __init__(
        self,
        dag_id: str,
        run_id: str,
        root_run_id: str,
        depth: int,
        tails: dict[str, dict[str, str]],
        poll_seconds: float,
    ) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.root_run_id = root_run_id
        self.depth = depth
        self.tails = tails
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How Airflow stores the trigger."""
        names = ("dag_id", "run_id", "root_run_id", "depth", "tails", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the runs that go on, oldest first; a run that has ended leads to those it called.

        The longer nothing ends, the longer the pause: each look is a call to Airflow's API.
        """
        pause = self.poll_seconds
        waiting = [(self.dag_id, self.run_id, self.depth)]
        failed: list[list[str]] = []
        count = 0
        while waiting:
            going = []
            moved = False
            for dag_id, run_id, depth in waiting:
                state = await sync_to_async(airflow_runs.run_state)(dag_id, run_id)
                if state not in airflow_runs.FINISHED:
                    going.append((dag_id, run_id, depth))
                    continue
                moved = True
                count += 1
                if state == "failed":
                    failed.append([dag_id, run_id])
                going += await self._called(dag_id, run_id, depth)
            waiting = going
            pause = self.poll_seconds if moved else min(pause * _SLOWER, self.poll_seconds * _SLOWEST)
            if waiting and not moved:
                await asyncio.sleep(pause)
        yield TriggerEvent({"failed": failed, "runs": count})

    async def _called(self, dag_id: str, run_id: str, depth: int) -> list[tuple[str, str, int]]:
        """The runs that the tail calls of an ended run have started."""
        tails = self.tails.get(dag_id, {})
        states = await sync_to_async(airflow_runs.task_states)(dag_id, run_id, list(tails))
        return [
            (tails[task_id], child_run_id(self.root_run_id, run_id, caller(task_id, index), depth + 1), depth + 1)
            for task_id, by_index in states.items()
            for index, state in sorted(by_index.items())
            if state == "success"
        ]
