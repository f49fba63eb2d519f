"""The private seam to Airflow's supervisor: these fail when what we send or read moves or changes."""

from __future__ import annotations

import inspect

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from argo_airflow.errors import NodeError
from argo_airflow.runtime import airflow_runs


def test_messages_have_our_fields() -> None:
    assert {"dag_id", "run_id", "conf", "logical_date", "reset_dag_run"} <= set(comms.TriggerDagRun.model_fields)
    assert {"error", "detail"} <= set(comms.ErrorResponse.model_fields)
    assert ErrorType.DAGRUN_ALREADY_EXISTS.value == "DAGRUN_ALREADY_EXISTS"


def test_questions_take_our_arguments() -> None:
    for name, arguments in {
        "get_task_states": {"dag_id": "d", "run_ids": ["r"], "task_ids": ["t"]},
        "get_dagrun_state": {"dag_id": "d", "run_id": "r"},
        "get_dr_count": {"dag_id": "d", "run_ids": ["r"], "states": ["queued"]},
    }.items():
        function = getattr(RuntimeTaskInstance, name)
        inspect.signature(function).bind(**arguments)
        assert isinstance(inspect.getattr_static(RuntimeTaskInstance, name), staticmethod), "we call it on the class"


def test_supervisor_is_where_we_look_for_it() -> None:
    """It is a global of the module that Airflow sets when a task starts, and has a ``send``."""
    assert "SUPERVISOR_COMMS" in inspect.getsource(task_runner)
    assert "SUPERVISOR_COMMS.send(" in inspect.getsource(RuntimeTaskInstance.get_dagrun_state)


def test_airflow_itself_starts_runs_in_this_way() -> None:
    """Its handler of DagRunTriggerException sends the message that we send."""
    source = inspect.getsource(task_runner)
    assert "TriggerDagRun(" in source
    assert "ErrorType.DAGRUN_ALREADY_EXISTS" in source


def test_start(supervisor) -> None:
    assert airflow_runs.start_run("d", "r", {"a": 1}) is True
    (message,) = supervisor.started
    assert (message.dag_id, message.run_id, message.conf, message.reset_dag_run) == ("d", "r", {"a": 1}, False)
    assert airflow_runs.start_run("d", "r", {"a": 1}) is False, "a second time finds it"


def test_start_refused(supervisor) -> None:
    supervisor.error = ErrorType.PERMISSION_DENIED
    with pytest.raises(NodeError, match="DAG d cannot be started: PERMISSION_DENIED"):
        airflow_runs.start_run("d", "r", {})


def test_states(supervisor) -> None:
    supervisor.runs["d", "r"] = "running"
    assert airflow_runs.run_state("d", "r") == "running"
    supervisor.states |= {("d", "r", "a", -1): "success", ("d", "r", "b", 0): "failed", ("d", "r", "b", 11): "success"}
    supervisor.states |= {("d", "r", "b_items", -1): "skipped", ("d", "other", "a", -1): "failed"}
    assert airflow_runs.task_states("d", "r", ["a", "b", "b_items", "never"]) == {
        "a": {-1: "success"},
        "b": {0: "failed", 11: "success"},
        "b_items": {-1: "skipped"},
    }
    assert airflow_runs.task_states("d", "r", []) == {}
