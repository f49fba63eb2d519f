"""Finding and ending processes by a mark in their environment.

A mark is one ``NAME=value`` string. Children inherit it, whoever starts them, so it also finds what a crashed component
left behind (its process group and session may be gone). Standard library only: the watchdog imports this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

STACK_MARK = "ARGO_AIRFLOW_STACK"
COMPONENT_MARK = "ARGO_AIRFLOW_COMPONENT"

_PROC = Path("/proc")
_KILL_SECONDS = 30.0


@dataclass(frozen=True)
class Process:
    """One line of the process table; ``started`` (clock ticks since boot) tells a reused pid from the original."""

    pid: int
    parent: int
    name: str
    state: str
    started: int
    session: int


def read_process(pid: int) -> Process | None:
    """The process with this id, or None when there is none (or it is gone but for its exit status)."""
    try:
        head, _, tail = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = tail.split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), head.partition("(")[2], fields[0], int(fields[19]), int(fields[3]))


def marked(*marks: str, sessions: Mapping[int, int] | None = None) -> list[Process]:
    """All living processes whose environment carries each of the marks, and all descendants of those.

    Descendants count because a program may overwrite its environment (setproctitle, Postgres' backends).
    Airflow forbids all but root to look at its task processes (PR_SET_DUMPABLE), so for another user those of the given
    ``sessions`` (leader's pid → when it started) count too. The calling process is never in the list.
    """
    table = _process_table()
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    known = sessions or {}
    found = {pid for pid, each in table.items() if _carries(pid, marks) or _hides_in(each, known)}
    front = list(found)
    while front:
        new = [pid for pid in children.get(front.pop(), ()) if pid not in found]
        found.update(new)
        front.extend(new)
    found.discard(os.getpid())
    return [table[pid] for pid in sorted(found)]


def end_marked(*marks: str, sessions: Mapping[int, int] | None = None, grace: float = 10.0) -> int:
    """End every marked process: Postgres by SIGINT (fast shutdown), others by SIGTERM; after ``grace`` s by SIGKILL.

    Repeats until none is left, since a process may fork while it is being ended. Returns how many there were.
    A process that even SIGKILL does not end (it hangs in the kernel) is given up after a while.
    """
    seen: set[tuple[int, int]] = set()
    deadline = time.monotonic() + grace
    while alive := marked(*marks, sessions=sessions):
        if time.monotonic() >= deadline + _KILL_SECONDS:
            break
        if time.monotonic() >= deadline:
            send(alive, signal.SIGKILL)
        else:
            fresh = [process for process in alive if (process.pid, process.started) not in seen]
            _ask_to_end(fresh, alive)
        seen.update((process.pid, process.started) for process in alive)
        time.sleep(0.05)
    return len(seen)


def send(processes: Iterable[Process], number: int) -> None:
    """Send a signal to each process that is still the one it was."""
    for process in processes:
        current = read_process(process.pid)
        if current and current.started == process.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def _ask_to_end(fresh: list[Process], alive: list[Process]) -> None:
    servers = {process.pid for process in alive if process.name == "postgres"}
    for process in fresh:
        if process.pid not in servers:
            send([process], signal.SIGTERM)
        elif process.parent not in servers:
            # Only the postmaster: its backends end with it, and ending one by hand makes it restart the others.
            send([process], signal.SIGINT)


def _process_table() -> dict[int, Process]:
    processes = (read_process(int(entry)) for entry in os.listdir(_PROC) if entry.isdigit())
    return {process.pid: process for process in processes if process}


def _carries(pid: int, marks: tuple[str, ...]) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return bool(marks) and all(mark.encode() in environment for mark in marks)


def _hides_in(process: Process, sessions: Mapping[int, int]) -> bool:
    """Whether it is in one of the sessions, ours by its user, and hides its environment from us."""
    if process.started < sessions.get(process.session, process.started + 1):
        return False
    try:
        (_PROC / str(process.pid) / "environ").read_bytes()
    except PermissionError:
        return _user(process.pid) == os.geteuid()
    except OSError:
        pass
    return False


def _user(pid: int) -> int:
    """Effective user id of a process; -1 when it is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return -1
    return int(status.partition("\nUid:")[2].split()[1])
