import json
import os
import stat
import subprocess
import sys

import pytest

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack.home import Connection, Home, write_private

CONNECTION = Connection(1, "id", "http://127.0.0.1:1", "admin", "secret", "/dags")

HOLDER = """
import sys, time
from pathlib import Path
from argo_airflow.stack.home import Home
home = Home(Path(sys.argv[1]))
home.acquire()
home.note("stack-1")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.acquire()
    yield made
    made.release()


def test_a_second_start_is_refused_and_names_the_first(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LocalRuntimeError, match=rf"already running on {tmp_path} \(pid {holder.pid}\)"):
            Home(tmp_path).acquire()
        holder.kill()
    after = Home(tmp_path)
    after.acquire()
    assert after.earlier_stack_id() == "stack-1", "so that what it left can be swept"
    after.release()


def test_credentials_are_kept(home):
    first = home.credentials()
    assert home.credentials() == first
    assert len({*vars(first).values()}) == 7, "each is its own"
    assert stat.S_IMODE((home.path / "credentials.json").stat().st_mode) == 0o600


def test_broken_credentials_are_a_plain_message(home):
    (home.path / "credentials.json").write_text("{")
    with pytest.raises(LocalRuntimeError, match=r"credentials.json is unreadable"):
        home.credentials()


def test_the_connection_is_there_while_the_stack_runs(home):
    home.publish(CONNECTION)
    assert Connection.of(home.path) == CONNECTION
    assert stat.S_IMODE((home.path / "connection.json").stat().st_mode) == 0o600
    home.release()
    with pytest.raises(LocalRuntimeError, match="no stack is running"):
        Connection.of(home.path)


def test_a_connection_that_a_crash_left_is_not_believed(home):
    home.publish(CONNECTION)
    text = (home.path / "connection.json").read_text()
    home.release()
    (home.path / "connection.json").write_text(text)
    with pytest.raises(LocalRuntimeError, match="no stack is running"):
        Connection.of(home.path)


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LocalRuntimeError, match=r"cannot use .*/file/home"):
        Home(tmp_path / "file" / "home").acquire()


def test_private_files_are_written_whole(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    os.chmod(file, 0o644)
    write_private(file, json.dumps({"new": 1}))
    assert json.loads(file.read_text()) == {"new": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
