"""One program of the stack: how it is started, when it is ready, how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argo_airflow.stack.processes import COMPONENT_MARK, STACK_MARK, end_marked, read_process

TAIL_LINES = 25


@dataclass(frozen=True)
class Component:
    """What to run. ``ready`` is asked with the start time (seconds since the epoch) until it says yes."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[float], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    stop_stage: int = 0
    """Stages are stopped in ascending order: clients before the servers they talk to."""
    user: int | None = None
    """Numeric user id to run as (group alike); None: the supervisor's own."""


class RunningComponent:
    """A component's process, its log file and its history of crashes."""

    def __init__(self, component: Component, stack_id: str, log: Path) -> None:
        self.component, self.log = component, log
        self.marks = (f"{STACK_MARK}={stack_id}", f"{COMPONENT_MARK}={component.name}")
        self.is_ready = False
        self.crashes = 0
        self.started = self.began = 0.0
        self.sessions: dict[int, int] = {}
        """The process' own session, for :func:`~argo_airflow.stack.processes.marked`."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a session of its own, so a terminal's Ctrl-C does not reach it before the supervisor."""
        component = self.component
        marks = dict(mark.split("=", 1) for mark in self.marks)
        self.is_ready, self.started, self.began = False, time.time(), time.monotonic()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                component.command,
                env={**component.environment, **marks},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                user=component.user,
                group=component.user,
                extra_groups=None if component.user is None else [],
            )

        process = read_process(self.pid)
        self.sessions = {self.pid: process.started} if process else {}

    @property
    def pid(self) -> int:
        """Process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.poll() if self._process else None

    def wait(self) -> int:
        """Wait until the process has ended; returns its exit code."""
        assert self._process is not None
        return self._process.wait()

    def check_ready(self) -> bool:
        """Ask the component's ready check once, unless it said yes before."""
        self.is_ready = self.is_ready or self.component.ready(self.started)
        return self.is_ready

    def ask_to_stop(self) -> None:
        """Send the component's stop signal, if it still runs."""
        if self._process and self.exit_code is None:
            self._process.send_signal(self.component.stop_signal)

    def finish_stop(self, deadline: float) -> None:
        """Wait until ``deadline`` (monotonic seconds) for the end, then end what is left of it, children included."""
        if self._process:
            try:
                self._process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End what a crash of the process left running (a scheduler's workers, for example)."""
        end_marked(*self.marks, sessions=self.sessions, grace=3.0)

    def describe_end(self) -> str:
        """Why it ended, with the last lines of its log, for a person."""
        code = self.exit_code or 0
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.component.name} {how}; its log {self.log}\n{self.tail()}"

    def tail(self) -> str:
        """The last lines of the log, indented."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
