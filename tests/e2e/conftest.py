"""One real stack for all e2e tests: Airflow, Postgres, S3 and the pod runtime, on a copy of the examples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from airflow_api import Airflow
from postgres_server import Postgres, postgres

DAGS = Path(__file__).resolve().parents[2] / "dags"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> Postgres:
    """The users' own Postgres, with an empty database ``metrics``; not the one that Airflow uses."""
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as server:
        yield server


@pytest.fixture(scope="session")
def dags(tmp_path_factory, database) -> Path:
    """The dags folder of the stack: the examples, with the secret of :func:`database` in place of the example's."""
    folder = tmp_path_factory.mktemp("dags") / "dags"
    shutil.copytree(DAGS, folder)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secrets-for-click-analysis"}}
    # JSON is YAML
    (folder / "secrets-for-click-analysis.yaml").write_text(json.dumps({**secret, "stringData": database.secret()}))
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory, dags):
    from argo_airflow.stack.ports import some_free
    from argo_airflow.stack.stack import Stack

    with Stack(tmp_path_factory.mktemp("stack") / "home", dags, ui_port=some_free(1)[0]) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(stack) -> Airflow:
    return Airflow(stack)


@pytest.fixture(scope="session")
def first_page() -> str:
    """The crawler's API in a process of its own; the URL of its first page."""
    command = [sys.executable, str(DAGS / "images/crawler/page_api.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()
