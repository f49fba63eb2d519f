"""Unpacking of input artifacts: no member of an archive ever leaves the folder it is unpacked into."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path

from argo_airflow.helper import HelperError

_GZIP = b"\x1f\x8b"


class ArchiveError(HelperError):
    """An archive that cannot be read, or tries to leave its folder."""


def is_tgz(path: Path) -> bool:
    """Whether a file is a gzipped tar with at least one entry (Argo: executor.go, isTarball)."""
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            return False
    try:
        with tarfile.open(path, "r:gz") as tar:
            return tar.next() is not None
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return False


def unpack(archive: Path, target: Path) -> None:
    """Replace nothing yet at ``target`` by what is in ``archive``: its one top-level entry, or a folder of several.

    Argo: executor.go:1293-1332.

    Raises:
        ArchiveError: not a tar, cut off, or a member would leave the folder.
    """
    folder = target.with_name(f"{target.name}.unpacking")
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                _refuse_through_link(folder, member)
                tar.extract(member, folder, filter="data")
    except tarfile.FilterError as error:
        raise ArchiveError(f"refused: {error}") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(f"cannot unpack: {error}") from None
    entries = list(folder.iterdir())
    if len(entries) == 1:
        entries[0].rename(target)
        folder.rmdir()
    else:
        folder.rename(target)


def _refuse_through_link(folder: Path, member: tarfile.TarInfo) -> None:
    # the data filter resolves links, and has been led astray by very long ones (CVE-2025-4517); no honest tar has
    # a member below a link, so none is followed at all
    names = [member.name, member.linkname] if member.islnk() else [member.name]
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise ArchiveError(f"refused: {name!r} would leave the folder of the artifact")
        path = str(folder)
        for part in parts[:-1]:
            path = os.path.join(path, part)
            if os.path.islink(path):
                raise ArchiveError(f"refused: {name!r} leads through a link")
