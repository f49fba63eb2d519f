import os
import re
import signal
import subprocess
import sys
import uuid

import pytest

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack import supervisor as module
from argo_airflow.stack.component import Component
from argo_airflow.stack.supervisor import Supervisor

from .conftest import left_of, until

SUPERVISOR = """
import os, sys, time
from pathlib import Path
from argo_airflow.stack.component import Component
from argo_airflow.stack.supervisor import Supervisor

supervisor = Supervisor(sys.argv[1], Path(sys.argv[2]), print)
supervisor.start([Component(name, ("sleep", "600"), lambda _: True, os.environ) for name in ("a", "b")])
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def lines():
    return []


@pytest.fixture
def stack_id():
    return str(uuid.uuid4())


@pytest.fixture
def supervisor(stack_id, tmp_path, lines):
    made = Supervisor(stack_id, tmp_path, lines.append)
    yield made
    made.stop()
    assert left_of(stack_id) == []


def component(name: str, code: str = "import time; time.sleep(600)", ready=lambda _: True, **more) -> Component:
    return Component(name, (sys.executable, "-c", code), ready, dict(os.environ), **more)


def test_reports_each_component_when_it_is_ready(supervisor, lines):
    supervisor.start([component("a"), component("b")])
    assert [re.sub(r"[\d.]+s", "Ns", line) for line in lines] == ["✔ a Ns", "✔ b Ns"]
    assert set(supervisor.pids()) == {"a", "b"}


def test_one_that_ends_before_it_is_ready_is_shown_with_the_end_of_its_log(supervisor):
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit('the disk is full')"
    with pytest.raises(LocalRuntimeError) as caught:
        supervisor.start([component("a", code, ready=lambda _: False)])
    text = str(caught.value)
    assert "a ended with exit code 1" in text
    assert "the disk is full" in text
    assert "line 99" in text
    assert "line 1\n" not in text


def test_one_that_cannot_be_started(supervisor):
    with pytest.raises(LocalRuntimeError, match=r"a cannot be started: .*no-such-program"):
        supervisor.start([Component("a", ("/no-such-program",), lambda _: True)])


def test_one_that_is_never_ready_is_given_up(supervisor, monkeypatch):
    monkeypatch.setattr(module, "READY_SECONDS", 0.5)
    with pytest.raises(LocalRuntimeError, match=r"a was not ready after 0 s|a was not ready after 1 s"):
        supervisor.start([component("a", ready=lambda _: False)])


def test_one_that_crashes_is_restarted_and_its_leftovers_end(supervisor, lines, stack_id):
    # Two children, as a scheduler's workers: they outlive their parent unless somebody ends them.
    supervisor.start([component("a", "import os, time; os.fork(); os.fork(); time.sleep(600)")])
    until(lambda: len(left_of(stack_id)) == 5, "its children run (4, and the watchdog)")
    before = supervisor.pids()["a"]
    first = {process.pid for process in left_of(stack_id) if process.name.startswith("python")}
    os.kill(before, signal.SIGKILL)
    until(lambda: any("is back" in line for line in lines), "it is back")
    assert supervisor.pids()["a"] != before
    assert any("a ended by SIGKILL" in line for line in lines)
    until(lambda: len(left_of(stack_id)) == 5, "the new children run")
    now = {process.pid for process in left_of(stack_id)}
    watchdog = now & first
    assert len(watchdog) == 1, "all but the watchdog are new"


def test_one_that_crashes_again_and_again_is_given_up(supervisor, lines, monkeypatch):
    monkeypatch.setattr(module, "MAX_CRASHES", 2)
    supervisor.start([component("a", "import time; time.sleep(0.3); raise SystemExit(3)"), component("b")])
    assert supervisor.wait(60)
    assert supervisor.failure == "a crashed 3 times; giving up"
    assert sum("restarting a" in line for line in lines) == 2


def test_a_task_that_fails_is_shown(supervisor):
    with pytest.raises(LocalRuntimeError, match=r"(?s)migrate ended with exit code 1.*no such table"):
        supervisor.run(component("migrate", "raise SystemExit('no such table')"))


def test_one_that_does_not_stop_is_killed(supervisor, stack_id):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    supervisor.start([component("a", code, stop_seconds=0.2)])
    supervisor.stop()
    assert left_of(stack_id) == []


def test_clients_stop_before_servers(supervisor, tmp_path):
    note = "import signal, sys, time\ndef end(*_):\n open({0!r}, 'a').write({1!r}); sys.exit()\n"
    note += "signal.signal(signal.SIGTERM, end); open({2!r}, 'w').close(); time.sleep(600)"
    order = str(tmp_path / "order")

    def noting(name: str, stage: int) -> Component:
        on = tmp_path / f"{name}-on"
        return component(name, note.format(order, name, str(on)), lambda _: on.exists(), stop_stage=stage)

    supervisor.start([noting("2", 2), noting("0", 0), noting("1", 1)])
    supervisor.stop()
    assert (tmp_path / "order").read_text() == "012"


def test_the_watchdog_ends_everything_when_the_supervisor_is_killed(stack_id, tmp_path):
    command = [sys.executable, "-c", SUPERVISOR, stack_id, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: process.stdout.readline() == "started\n", "it has started")
        assert len(left_of(stack_id)) == 4, "itself (by its argument), two components, the watchdog"
        process.kill()
    until(lambda: not left_of(stack_id), "all have ended", 30)
    assert "ended 2" in (tmp_path / "watchdog.log").read_text()
