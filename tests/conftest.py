"""One real stack for the tests of ``e2e`` and ``ui``: Airflow, Postgres, S3 and the pod runtime, on the examples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
DAGS = TESTS.parent / "dags"
ON_THE_STACK = ("ui", "e2e")
"""Folders whose tests come last, in this order: the stack starts late, and works for nobody else."""

sys.path[:0] = [str(TESTS / "examples"), str(TESTS / "e2e")]


def pytest_collection_modifyitems(items):
    def folder(item) -> str:
        return item.path.relative_to(TESTS).parts[0] if TESTS in item.path.parents else ""

    for item in items:
        if folder(item) in ON_THE_STACK:
            item.add_marker(getattr(pytest.mark, folder(item)))
    items.sort(key=lambda item: ON_THE_STACK.index(folder(item)) if folder(item) in ON_THE_STACK else -1)


@pytest.fixture(scope="session")
def metrics():
    """The users' own Postgres, with an empty database ``metrics``; not the one that Airflow uses."""
    from postgres_server import postgres

    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def dags(tmp_path_factory, metrics) -> Path:
    """The dags folder of the stack: the examples, with the secret of :func:`metrics` in place of the example's."""
    folder = tmp_path_factory.mktemp("dags") / "dags"
    shutil.copytree(DAGS, folder)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secrets-for-click-analysis"}}
    # JSON is YAML
    (folder / "secrets-for-click-analysis.yaml").write_text(json.dumps({**secret, "stringData": metrics.secret()}))
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory, dags):
    from argo_airflow.stack.ports import some_free
    from argo_airflow.stack.stack import Stack

    with Stack(tmp_path_factory.mktemp("stack") / "home", dags, ui_port=some_free(1)[0]) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(stack):
    from airflow_api import Airflow

    return Airflow(stack)


@pytest.fixture(scope="session")
def first_page() -> Iterator[str]:
    """The crawler's API in a process of its own; the URL of its first page."""
    command = [sys.executable, str(DAGS / "images/crawler/page_api.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def witness():
    """A server that workflows tell what they do, and that holds them until a test lets them go on."""
    from witness import Witness

    with Witness() as server:
        yield server


@pytest.fixture(scope="session")
def dropped(dags):
    """``with dropped(file, …):`` these files lie in the dags folder for as long as the block runs."""

    @contextmanager
    def drop(*files: Path, into: str = "") -> Iterator[list[Path]]:
        folder = dags / into
        folder.mkdir(exist_ok=True)
        copies = [folder / file.name for file in files]
        for file, copy in zip(files, copies, strict=True):
            assert not copy.exists()
            shutil.copyfile(file, copy)
        try:
            yield copies
        finally:
            for copy in copies:
                copy.unlink(missing_ok=True)

    return drop
