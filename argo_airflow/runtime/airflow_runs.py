"""The private seam to Airflow's supervisor: start a DAG run, look at runs and tasks.

Airflow's public way to start a run (``DagRunTriggerException``) ends the task there, so a call could neither follow a
recursion nor publish outputs; the messages below are what that exception itself sends. ``tests/runtime`` fails when
they move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argo_airflow.errors import NodeError

FINISHED = frozenset({"success", "failed"})
"""States in which a DAG run has ended."""


def start_run(dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
    """Start the run; False if there is one with this id already (then nothing is changed).

    Raises:
        NodeError: Airflow refuses, for example because the DAG does not exist.
    """
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    message = TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), logical_date=None, reset_dag_run=False)
    answer = SUPERVISOR_COMMS.send(message)
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error.value == "DAGRUN_ALREADY_EXISTS":
        return False
    raise NodeError(f"DAG {dag_id} cannot be started: {answer.error.value} {answer.detail or ''}".strip())


def run_state(dag_id: str, run_id: str) -> str:
    """The state of a DAG run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return str(getattr(state := RuntimeTaskInstance.get_dagrun_state(dag_id, run_id), "value", state))


def is_going(dag_id: str, run_id: str) -> bool:
    """Whether there is such a DAG run and it has not ended."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=["queued", "running"]) > 0


def task_states(dag_id: str, run_id: str, task_ids: Sequence[str]) -> dict[str, dict[int, str]]:
    """States by task id and map index (-1 for a task that is not mapped) of one run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if not task_ids:
        return {}
    answer = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], task_ids=list(task_ids))
    states: dict[str, dict[int, str]] = {}
    for key, state in (answer.get(run_id) or {}).items():
        task_id, index = key, -1
        if key not in task_ids:
            task_id, _, number = key.rpartition("_")
            index = int(number)
        states.setdefault(task_id, {})[index] = str(getattr(state, "value", state))
    return states
