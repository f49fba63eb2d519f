"""Output artifacts on their way from the shared folder to S3, as a stream: no second copy on disk or in memory."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from argo_airflow.helper import contract
from argo_airflow.helper.contract import Location, OutputArtifact
from argo_airflow.helper.outputs import Left, SaveError
from argo_airflow.helper.s3 import Store, StoreError

_CHUNK = 1 << 20


def prepare(artifacts: Sequence[OutputArtifact]) -> None:
    """Make the clients ahead of time; what is wrong with a location is said when its artifact is saved."""
    for artifact in artifacts:
        try:
            Store(artifact.location)
        except StoreError:
            continue


def save(artifact: OutputArtifact, left: Left) -> Location | None:
    """Store one artifact and return its location with ``archive``; None where it is optional and missing.

    Raises:
        SaveError: it is missing, could not be copied, or S3 refuses it.
    """
    copy = left.find(contract.artifact_output(artifact.name), artifact.path)
    if copy is None:
        if artifact.optional:
            return None
        raise left.missing(artifact.path)
    try:
        with copy.open() as file:
            _store(artifact, file, copy.is_tar)
    except (StoreError, OSError, tarfile.TarError) as error:
        raise SaveError(str(error)) from None
    return {**artifact.location, "archive": artifact.archive}


def _store(artifact: OutputArtifact, file: BinaryIO, is_tar: bool) -> None:
    store = Store(artifact.location)
    if not is_tar:
        store.upload(file)
    elif artifact.archive == "none":
        _store_members(artifact, file, store)
    else:
        level = -1 if artifact.compression_level is None else artifact.compression_level
        store.upload(io.BufferedReader(_Gzip(file, level), _CHUNK))


def _store_members(artifact: OutputArtifact, file: BinaryIO, store: Store) -> None:
    """Each file below the key; folders without files are lost, as in S3 they must be (Argo: executor.go:570-696)."""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                store.upload(content, os.path.normpath(member.name))  # type: ignore[arg-type]
            elif not member.isdir():
                print(f"artifact {artifact.name}: not stored, not a file: {member.name}", file=sys.stderr)


class _Gzip(io.RawIOBase):
    """Reads as the gzipped form of a file."""

    def __init__(self, file: BinaryIO, level: int) -> None:
        self._chunks = _gzip(file, level)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _gzip(file: BinaryIO, level: int) -> Iterator[bytes]:
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    while chunk := file.read(_CHUNK):
        yield packer.compress(chunk)
    yield packer.flush()
