"""Container logs as a kubelet keeps them: each line with the time it began, read by tail, by time, by following."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

_STAMP = 31
"""Length of a line's time, ``2026-01-02T03:04:05.123456789Z`` and a space."""
_CHUNK = 1 << 16


def stamp() -> bytes:
    """This moment, RFC 3339 with nanoseconds, always as long."""
    nanoseconds = time.time_ns()
    moment = datetime.datetime.fromtimestamp(nanoseconds // 10**9, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z ".encode()


@dataclass(frozen=True)
class Query:
    """What of a log is wanted; the meaning of each is Kubernetes' PodLogOptions."""

    follow: bool = False
    timestamps: bool = False
    since: str = ""
    """RFC 3339 in UTC; lines from then on."""
    tail: int | None = None
    limit_bytes: int | None = None


class Log:
    """One container's log, a file. Lines may be of any length and hold any bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self._fresh = True
        self._changed = asyncio.Event()
        self._file = path.open("ab", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Append what a container said; a line that is not complete is readable at once too."""
        moment = stamp()
        out = []
        for line in _lines(chunk):
            out += [moment, line] if self._fresh else [line]
            self._fresh = line.endswith(b"\n")
        self._file.write(b"".join(out))
        self._wake()

    def close(self) -> None:
        """Nothing more will come; who follows ends."""
        if not self.closed:
            self.closed = True
            self._file.close()
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def head(self, size: int = 4096) -> bytes:
        """The first bytes, without times."""
        with self.path.open("rb") as file:
            return b"".join(line[_STAMP:] for line in _lines(file.read(size)))

    def drop_end(self, text: bytes) -> bool:
        """Take ``text`` off the end; True if it was there."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(max(0, size - len(text) - _STAMP))
            end = file.read()
        if not end.endswith(text):
            return False
        # With its time, if it is a line of its own.
        whole = _STAMP if len(end) > len(text) and end[_STAMP - 2 : _STAMP] == b"Z " else 0
        self._file.truncate(size - len(text) - whole)
        return True

    def clear(self) -> None:
        """Forget all lines."""
        self._file.truncate(0)

    async def read(self, query: Query) -> AsyncIterator[bytes]:
        """The log's bytes, piece by piece."""
        left = query.limit_bytes
        cut = _Cut(query.timestamps)
        with self.path.open("rb") as file:
            file.seek(self._start(query))
            while left is None or left > 0:
                done, changed = self.closed, self._changed
                chunk = cut(file.read(_CHUNK))
                if chunk:
                    chunk = chunk if left is None else chunk[:left]
                    left = None if left is None else left - len(chunk)
                    yield chunk
                elif file.tell() < self.path.stat().st_size:
                    continue
                elif done or not query.follow:
                    return
                else:
                    await changed.wait()

    def _start(self, query: Query) -> int:
        """Where the wanted lines begin."""
        since = query.since.encode()
        if not since and query.tail is None:
            return 0
        begin, begins = 0, deque[int](maxlen=query.tail)
        with self.path.open("rb") as file:
            for line in file:
                # The fraction of a second is not compared: a second's lines come rather twice than never.
                if line[:19] >= since[:19]:
                    begins.append(begin)
                    if query.tail is None:
                        return begin
                begin += len(line)
        return begins[0] if begins else begin


def _lines(chunk: bytes) -> list[bytes]:
    """The lines with their ends; only a newline ends one."""
    lines = [line + b"\n" for line in chunk.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


class _Cut:
    """Takes the times out of a stream of stamped lines, whatever its pieces."""

    def __init__(self, keep: bool) -> None:
        self._keep, self._skip = keep, 0 if keep else _STAMP

    def __call__(self, chunk: bytes) -> bytes:
        if self._keep:
            return chunk
        out, place = [], 0
        while place < len(chunk):
            if self._skip:
                step = min(self._skip, len(chunk) - place)
                self._skip -= step
                place += step
                continue
            end = chunk.find(b"\n", place) + 1
            if end:
                self._skip = _STAMP
            out.append(chunk[place : end or len(chunk)])
            place = end or len(chunk)
        return b"".join(out)
