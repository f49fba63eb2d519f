"""One container as a process of an engine: start, output to its log, signals, exit code; and what a crash left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from argo_airflow.local.logs import Log
from argo_airflow.local.sandbox import MARK, Box, Engine, engine_environment

_CHUNK = 1 << 16


class Process:
    """A running container; made by :func:`start`."""

    def __init__(self, engine: Engine, box: Box, log: Log, engine_process: asyncio.subprocess.Process, pid: int | None):
        self._engine, self._box, self._log, self._process = engine, box, log, engine_process
        self.pid = pid
        """PID 1 of the container, as seen from here; None if it never came up."""

    async def wait(self) -> tuple[int, str | None]:
        """Copy the output until the end; the exit code (128 + n for signal n), and why it never ran, if so."""
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_CHUNK):
            self._log.write(chunk)
        code = await self._process.wait()
        self.pid = None
        code = 128 - code if code < 0 else code
        errors = self._box.root.scratch / "errors"
        if errors.exists() and (text := errors.read_text(errors="replace").strip()):
            return code, text
        failure = self._engine.start_failure(code, self._log.head())
        if failure:
            self._log.clear()
        return code, failure

    def signal(self, number: int) -> None:
        """Send a signal to the container's PID 1; one that never came up has its engine killed."""
        with contextlib.suppress(ProcessLookupError):
            if self.pid is not None:
                os.kill(self.pid, number)
            elif number == signal.SIGKILL and self._process.returncode is None:
                self._process.kill()


async def start(engine: Engine, box: Box, log: Log, home: Path) -> Process:
    """Start a container and wait until its PID 1 is known.

    Raises:
        OSError: the engine cannot be run.
    """
    read, write = os.pipe()
    handed: list[int] = []
    try:
        line, handed = engine.command(box, write)
        process = await asyncio.create_subprocess_exec(
            *line, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            pass_fds=[write, *handed], env=engine_environment(home), start_new_session=True, limit=_CHUNK,
        )  # fmt: skip
    except BaseException:
        os.close(read)
        raise
    finally:
        for fd in (write, *handed):
            os.close(fd)
    return Process(engine, box, log, process, engine.pid(await _read_all(read)))


async def _read_all(fd: int) -> bytes:
    """All bytes of a pipe, which is closed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0))
    try:
        return await reader.read()
    finally:
        transport.close()


def sweep(home: Path) -> int:
    """End engine processes an earlier server of this home left; their number."""
    mark = f"{MARK}={home}".encode()
    found = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                found += 1
    return found
