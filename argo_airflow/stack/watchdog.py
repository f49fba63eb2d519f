"""The last resort against orphans: ends a stack's processes when its supervisor is gone, even by SIGKILL.

It holds the reading end of a pipe whose only writing end is the supervisor's; end of file means the supervisor ended.
On the pipe the supervisor writes a line for each component it starts: name, pid (of its session), start time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from argo_airflow.stack.processes import COMPONENT_MARK, STACK_MARK, end_marked

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def start(mark: str, reading_end: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the watchdog for the stack whose processes carry ``mark``; it survives the end of the caller."""
    # The mark goes by argument: in its environment it would make the watchdog end itself.
    environment = {name: value for name, value in os.environ.items() if name not in (STACK_MARK, COMPONENT_MARK)}
    environment["PYTHONPATH"] = str(_PACKAGE_ROOT)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(reading_end), mark],
            env=environment,
            pass_fds=[reading_end],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
        )


def main(reading_end: int, mark: str) -> None:
    """Wait for the supervisor's end, then end everything that carries the mark."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: dict[str, tuple[int, int]] = {}
    with open(reading_end) as pipe:
        for line in pipe:
            name, pid, started = line.split()
            sessions[name] = int(pid), int(started)
    if count := end_marked(mark, sessions=dict(sessions.values()), grace=5.0):
        print(f"the supervisor of {mark} ended without stopping its processes; ended {count}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
