import os
import signal
import subprocess
import sys
import uuid

import pytest

from argo_airflow.stack.processes import Process, end_marked, marked, read_process, send

from .conftest import until

HIDES = """
import ctypes, os, time
from argo_airflow.stack.processes import end_marked, marked, read_process

leader = os.fork()
if leader == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE, as Airflow's task processes do
        time.sleep(600)
    time.sleep(600)
started = read_process(leader).started
while len([p for p in marked(sessions={leader: started}) if p.session == leader]) < 1:
    time.sleep(0.05)
os.kill(leader, 9)
os.wait()
print("by mark:", len(marked("ARGO_AIRFLOW_STACK=hidden")), end=" ")
print("ended:", end_marked(sessions={leader: started}), flush=True)
print("left:", len(marked(sessions={leader: started})), flush=True)
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
)
OVERWRITES_ITS_ENVIRONMENT = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"], env={})
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def mark():
    value = f"ARGO_AIRFLOW_STACK={uuid.uuid4()}"
    yield value
    end_marked(value, grace=0)


def start(mark: str, *command: str, **options) -> subprocess.Popen:
    name, value = mark.split("=")
    return subprocess.Popen(command, env={**os.environ, name: value}, **options)


def test_finds_what_carries_the_mark_and_nothing_else(mark):
    ours, other = start(mark, "sleep", "600"), start(mark + "0", "sleep", "600")
    try:
        assert [process.pid for process in marked(mark)] == [ours.pid]
    finally:
        other.kill()
        other.wait()
        ours.kill()
        ours.wait()


def test_all_marks_must_be_there(mark):
    ours = start(mark, "sleep", "600")
    assert marked(mark, "ARGO_AIRFLOW_COMPONENT=scheduler") == []
    ours.kill()
    ours.wait()


def test_no_mark_finds_nothing():
    assert marked() == []


def test_finds_descendants_without_the_mark(mark):
    parent = start(mark, sys.executable, "-c", OVERWRITES_ITS_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert {process.pid for process in marked(mark)} == {parent.pid, child}
    end_marked(mark)
    assert read_process(child) is None
    parent.wait()


def test_finds_orphans(mark):
    shell = start(mark, "sh", "-c", "sleep 600 & echo $!", stdout=subprocess.PIPE, text=True)
    orphan = int(shell.stdout.readline())
    shell.wait()
    assert [process.pid for process in marked(mark)] == [orphan]
    assert end_marked(mark) == 1
    assert marked(mark) == []


def test_asks_first_and_then_kills(mark):
    polite = start(mark, "sleep", "600")
    stubborn = start(mark, sys.executable, "-c", STUBBORN, stdout=subprocess.PIPE, text=True)
    assert stubborn.stdout.readline() == "on\n"
    assert end_marked(mark, grace=0.5) == 2
    assert (polite.wait(), stubborn.wait()) == (-signal.SIGTERM, -signal.SIGKILL)


def test_a_process_that_forks_while_it_is_ended_does_not_escape(mark):
    spawner = start(
        mark,
        "sh",
        "-c",
        "trap 'sleep 600 & sleep 600 & exit' TERM; echo on; while :; do sleep 0.05; done",
        stdout=subprocess.PIPE,
        text=True,
    )
    assert spawner.stdout.readline() == "on\n"
    end_marked(mark, grace=1.0)
    assert marked(mark) == []
    spawner.wait()


def test_never_signals_another_process_of_the_same_id(mark):
    ours = start(mark, "sleep", "600")
    (now,) = until(lambda: marked(mark), "it runs")
    send([Process(now.pid, now.parent, now.name, now.state, now.started - 1, now.session)], signal.SIGKILL)
    assert ours.poll() is None
    send([now], signal.SIGKILL)
    assert ours.wait() == -signal.SIGKILL


def test_an_ended_process_that_was_not_waited_for_does_not_count(mark):
    ours = start(mark, "true")
    until(lambda: read_process(ours.pid) is None, "it is a zombie")
    assert marked(mark) == []
    ours.wait()


def test_a_plain_users_process_that_hides_its_environment_is_found_by_its_session():
    prefix = ["unshare", "--user", "--map-user=65534", "--"] if os.geteuid() == 0 else []
    if prefix and subprocess.run([*prefix, "true"]).returncode:
        pytest.skip("root cannot have a user namespace here")
    environment = {**os.environ, "ARGO_AIRFLOW_STACK": "hidden-parent"}
    done = subprocess.run([*prefix, sys.executable, "-c", HIDES], env=environment, capture_output=True, text=True)
    assert done.stdout == "by mark: 0 ended: 1\nleft: 0\n", done.stderr
