"""The real KubernetesPodOperator, unchanged, with its XCom sidecar (exec) and its log reading."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Server

pytest.importorskip("airflow.providers.cncf.kubernetes")

PROGRAM = """
import json, os, sys
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from types import SimpleNamespace
operator = KubernetesPodOperator(
    task_id="t", name="kpo", namespace="default", image="any", cmds=["sh", "-c", sys.argv[1]], config_file=sys.argv[2],
    in_cluster=False, do_xcom_push=True, startup_check_interval_seconds=1,
    on_finish_action="delete_pod",
)
ti = SimpleNamespace(
    xcom_push=lambda **k: None, try_number=1, map_index=-1, task_id="t", dag_id="d", run_id="r",
    stats_tags={}, task=operator
)
context = {"ti": ti, "task_instance": ti, "run_id": "r", "dag": None, "task": operator}
print("RESULT", json.dumps(operator.execute(context)))
"""


def test_operator(server: Server, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = """echo hello from the pod; echo '{"a": 1}' >/airflow/xcom/return.json"""
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), command, str(server.home / "kubeconfig")],
        capture_output=True, text=True, env={**os.environ, "AIRFLOW_HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "hello from the pod" in output
    result = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    assert json.loads(result.removeprefix("RESULT ")) == {"a": 1}
