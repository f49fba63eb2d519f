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
    """A container's process; made by :func:`start`."""

    def __init__(self, engine: Engine, box: Box, log: Log, engine_process: asyncio.subprocess.Process) -> None:
        self._engine, self._box, self._log, self._process = engine, box, log, engine_process
        self.pid: int | None = None
        """PID 1 of the container, as seen from here, while it is known to run."""

    async def up(self, info: int) -> bool:
        """Wait until PID 1 is known from the pipe ``info``, which is closed; False if the engine ended before."""
        loop = asyncio.get_running_loop()
        reader, said = asyncio.StreamReader(), b""
        pipe = os.fdopen(info, "rb", 0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while self.pid is None and (chunk := await reader.read(_CHUNK)):
                said += chunk
                self.pid = self._engine.pid(said)
        finally:
            transport.close()
        return self.pid is not None

    async def wait(self) -> tuple[int, str | None]:
        """Copy the output until the end; the exit code (128 + n for signal n), and why it never ran, if so."""
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_CHUNK):
            self._log.write(chunk)
        code = await self._process.wait()
        self.pid = None
        code = 128 - code if code < 0 else code
        if self._engine.killed_note and code == 1 and self._log.drop_end(self._engine.killed_note):
            return 128 + signal.SIGKILL, None
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


async def start(engine: Engine, box: Box, log: Log, home: Path) -> tuple[Process, int]:
    """Start a container; the process, and the pipe for :meth:`Process.up`.

    Raises:
        OSError: the engine cannot be run.
    """
    read, write = os.pipe()
    handed: list[int] = []
    try:
        line, handed = engine.command(box, write)
        process = await asyncio.create_subprocess_exec(
            *line, stdin=write if engine.info_on_stdin else asyncio.subprocess.DEVNULL, env=engine_environment(home),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True, limit=_CHUNK,
            pass_fds=handed if engine.info_on_stdin else [write, *handed],
        )  # fmt: skip
    except BaseException:
        os.close(read)
        raise
    finally:
        for fd in (write, *handed):
            os.close(fd)
    return Process(engine, box, log, process), read


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
