"""What the tests of the stack share: a real stack, run as the command ``up`` is, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from argo_airflow.stack.client import AirflowClient
from argo_airflow.stack.home import Connection
from argo_airflow.stack.ports import some_free
from argo_airflow.stack.processes import STACK_MARK, Process, marked, read_process

UP = "import sys; from argo_airflow.cli import main; sys.exit(main())"
"""The command as the user's, but for the bootstrap."""

DAG = """
from airflow.sdk import DAG, task

with DAG("trivial", schedule=None, params={"number": 1}):

    @task
    def double(params=None):
        return int(params["number"]) * 2

    @task
    def fail_when_seven(number):
        if number == 14:
            raise ValueError("seven is not liked here")

    fail_when_seven(double())
"""


def until(condition: Callable[[], object], what: str, seconds: float = 120.0):
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.1)
    return value


def left_of(stack_id: str) -> list[Process]:
    """Every process of a stack: those that carry its mark, and its watchdog, which has the mark as an argument."""
    found = {process.pid: process for process in marked(f"{STACK_MARK}={stack_id}")}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                arguments = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if stack_id.encode() in arguments and (process := read_process(int(entry.name))):
                found[process.pid] = process
    return list(found.values())


class Up:
    """``argo-airflow up`` as a process."""

    def __init__(self, folder: Path, *, prefix: tuple[str, ...] = (), arguments: tuple[str, ...] = ("--no-submit",)):
        self.folder, self.home, self.dags = folder, folder / "home", folder / "dags"
        self.dags.mkdir(exist_ok=True)
        (self.dags / "trivial.py").write_text(DAG)
        self.port = some_free(1)[0]
        self.log = folder / "up.log"
        command = [*prefix, sys.executable, "-c", UP, "up", *arguments]
        command += [f"--home={self.home}", f"--dags={self.dags}", f"--port={self.port}"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)}
            )

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text()

    def await_ready(self) -> Connection:
        """Wait until it prints the UI's address, which it does when everything is ready."""

        def ready() -> bool:
            assert self.process.poll() is None, f"up ended with {self.process.poll()}:\n{self.said}"
            return "Airflow: http" in self.said

        until(ready, "up is ready", 240)
        self.connection = Connection.of(self.home)
        about = self.connection
        self.client = AirflowClient(about.url, about.username, about.password)
        return about

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another verb, on the same home."""
        command = [sys.executable, "-c", UP, *words, f"--home={self.home}"]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def await_until():
    return until
