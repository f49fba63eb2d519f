"""What the wrapper left on the shared folder, as the wait container finds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from argo_airflow.helper import HelperError, contract


class SaveError(HelperError):
    """An output cannot be had."""


@dataclass(frozen=True)
class Copy:
    """The copy of one output: a file as it was (``is_tar`` False) or a tar of whatever it was."""

    path: Path
    is_tar: bool

    def open(self) -> BinaryIO:
        """Open for reading."""
        return open_file(self.path)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.lstat().st_size


class Left:
    """All that main left, once it has ended."""

    def __init__(self, root: str) -> None:
        self._outputs = Path(root, "outputs")
        self._state = Path(contract.state_path(root=root))
        try:
            self.exit_code: int | None = int(self.state("exitcode"))
        except ValueError:
            self.exit_code = None
        """Main's exit code; None if it was killed before its outputs were saved."""

    def state(self, name: str) -> bytes:
        """Content of a file in main's state folder, empty where there is none."""
        try:
            with open_file(self._state / name) as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def find(self, output: str, source: str) -> Copy | None:
        """The copy of ``output`` (a name below the outputs folder) that was ``source`` in main; None if there was none.

        Raises:
            SaveError: the wrapper could not copy it.
        """
        try:
            with open_file(self._outputs / f"{output}.error") as file:
                raise SaveError(file.read().decode(errors="replace"))
        except FileNotFoundError:
            pass
        for suffix in ("", ".tar"):
            path = self._outputs / f"{output}{suffix}"
            if path.is_symlink():
                raise SaveError(f"{source}: refused: the copy was replaced by a link")
            if path.exists():
                return Copy(path, bool(suffix))
        return None

    def missing(self, source: str) -> SaveError:
        """The error for an output that must exist and does not."""
        if self.exit_code is None:
            return SaveError(f"{source}: main was killed before its outputs were saved")
        return SaveError(f"{source}: no such file or directory")


def open_file(path: Path) -> BinaryIO:
    """Open a file of the shared folder, where main can write too: a link could point at a secret of this container."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
