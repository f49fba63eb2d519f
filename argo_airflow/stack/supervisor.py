"""Starting components, keeping them alive, stopping them, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack import watchdog
from argo_airflow.stack.component import Component, RunningComponent
from argo_airflow.stack.processes import STACK_MARK, end_marked

READY_SECONDS = 300.0
MAX_CRASHES = 5
CALM_SECONDS = 120.0
"""A component that ran this long starts with a clean record again."""


class Supervisor:
    """Owns the processes of one stack.

    ``report`` gets one plain line per event. After :meth:`start` has returned, a monitor thread restarts what crashes;
    when it gives up, :attr:`failure` says why and :meth:`wait` returns.
    """

    def __init__(self, stack_id: str, logs: Path, report: Callable[[str], None]) -> None:
        self._stack_id, self._logs, self._report = stack_id, logs, report
        self._mark = f"{STACK_MARK}={stack_id}"
        self._sessions: dict[str, dict[int, int]] = {}
        self._running: list[RunningComponent] = []
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.failure = ""
        reading_end, self._writing_end = os.pipe()
        try:
            self._watchdog = watchdog.start(self._mark, reading_end, logs / "watchdog.log")
        finally:
            os.close(reading_end)
        self._monitor = threading.Thread(target=self._watch, name="stack-monitor", daemon=True)

    def start(self, components: Sequence[Component]) -> None:
        """Start the components and wait until each is ready; from then on they are restarted when they crash.

        Raises:
            LocalRuntimeError: one ended, or did not get ready in time; its log's tail is in the message.
        """
        group = [self._launch(component) for component in components]
        deadline = time.monotonic() + READY_SECONDS
        while waiting := [each for each in group if not each.is_ready]:
            for each in waiting:
                self._await_ready(each, deadline)
            time.sleep(0.05)
        with self._lock:
            self._running.extend(group)
        if not self._monitor.is_alive():
            self._monitor.start()

    def run(self, component: Component) -> None:
        """Run a component that ends by itself (a migration) and wait for it.

        Raises:
            LocalRuntimeError: it did not end with exit code 0.
        """
        task = self._launch(component)
        if task.wait() != 0:
            raise LocalRuntimeError(task.describe_end())
        self._report(f"✔ {component.name} {time.monotonic() - task.began:.1f}s")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the stack has been given up or stopped (True) or the time is over (False)."""
        return self._ended.wait(seconds)

    def pids(self) -> dict[str, int]:
        """Process id of each component, by name."""
        with self._lock:
            return {each.component.name: each.pid for each in self._running}

    def stop(self) -> None:
        """Stop everything, clients before servers, and sweep what is left. Does nothing the second time."""
        self._ended.set()
        if self._monitor.is_alive():
            self._monitor.join()
        with self._lock:
            running, self._running = self._running, []
        for stage in _stop_stages(running):
            for each in stage:
                each.ask_to_stop()
            asked = time.monotonic()
            for each in stage:
                each.finish_stop(asked + each.component.stop_seconds)
        sessions = {pid: started for each in self._sessions.values() for pid, started in each.items()}
        end_marked(self._mark, sessions=sessions, grace=5.0)
        if self._writing_end >= 0:
            os.close(self._writing_end)
            self._writing_end = -1
            self._watchdog.wait()

    def _launch(self, component: Component) -> RunningComponent:
        running = RunningComponent(component, self._stack_id, self._logs / f"{component.name}.log")
        try:
            self._begin(running)
        except OSError as error:
            raise LocalRuntimeError(f"{component.name} cannot be started: {error}") from None
        return running

    def _begin(self, each: RunningComponent) -> None:
        each.start()
        self._sessions[each.component.name] = each.sessions
        for pid, started in each.sessions.items():
            with contextlib.suppress(BrokenPipeError):
                os.write(self._writing_end, f"{each.component.name} {pid} {started}\n".encode())

    def _await_ready(self, each: RunningComponent, deadline: float) -> None:
        if each.exit_code is not None:
            raise LocalRuntimeError(each.describe_end())
        if each.check_ready():
            self._report(f"✔ {each.component.name} {time.monotonic() - each.began:.1f}s")
        elif time.monotonic() > deadline:
            raise LocalRuntimeError(
                f"{each.component.name} was not ready after {READY_SECONDS:.0f} s; its log {each.log}\n{each.tail()}"
            )

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            with self._lock:
                running = list(self._running)
            for each in running:
                if each.exit_code is not None:
                    self._restart(each)
                elif not each.is_ready and each.check_ready():
                    self._report(f"✔ {each.component.name} is back")
                elif each.crashes and time.monotonic() - each.began > CALM_SECONDS:
                    each.crashes = 0

    def _restart(self, each: RunningComponent) -> None:
        each.crashes += 1
        self._report(f"✖ {each.describe_end()}")
        each.end_leftovers()
        if each.crashes > MAX_CRASHES:
            self.failure = f"{each.component.name} crashed {each.crashes} times; giving up"
            self._ended.set()
            return
        delay = 0.5 * 2 ** (each.crashes - 1)
        self._report(f"  restarting {each.component.name} in {delay:g} s ({each.crashes} of {MAX_CRASHES})")
        if not self._ended.wait(delay):
            with contextlib.suppress(OSError):  # then exit_code still tells of the crash, and the next round counts it
                self._begin(each)


def _stop_stages(running: list[RunningComponent]) -> list[list[RunningComponent]]:
    """Clients before servers: Airflow's parts first and together, then what they talk to, the database last."""
    order: dict[int, list[RunningComponent]] = {}
    for each in running:
        order.setdefault(each.component.stop_stage, []).append(each)
    return [order[stage] for stage in sorted(order)]
