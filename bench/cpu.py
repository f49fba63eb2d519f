"""Processor time of processes, from ``/proc``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Stat:
    parent: int
    own: float
    """Seconds, user and system."""
    reaped: float
    """Seconds of all ended children (and theirs) that the process has waited for."""


@dataclass(frozen=True)
class Tree:
    """The processor seconds of a process and of all its descendants up to now, ended ones included."""

    own: float
    descendants: float
    depth: int
    """Generations below the process: 0 where it has no child."""


def tree(pid: int) -> Tree:
    """Look at the process tree of ``pid``.

    A living process carries the time of its ended children, so the sum over the living counts each process once, as
    long as parents wait for their children (Airflow's LocalExecutor and its task supervisor do).

    Raises:
        ProcessLookupError: there is no such process.
    """
    table = dict(_stats())
    if pid not in table:
        raise ProcessLookupError(f"no process {pid}")
    depth, descendants, generation = 0, table[pid].reaped, {pid}
    while generation := {child for child, stat in table.items() if stat.parent in generation}:
        depth += 1
        descendants += sum(table[child].own + table[child].reaped for child in generation)
    return Tree(table[pid].own, descendants, depth)


def _stats() -> Iterator[tuple[int, _Stat]]:
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = (Path("/proc") / entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # ended meanwhile
        # proc(5): after the name in parentheses come state, ppid, …; utime stime cutime cstime are fields 14 to 17
        fields = text.rpartition(")")[2].split()
        user, system, children_user, children_system = (int(field) / _TICKS for field in fields[11:15])
        yield int(entry), _Stat(int(fields[1]), user + system, children_user + children_system)
