"""The versions of a folder: one directory for each content it ever had, named by the hash of that content."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_IGNORED = frozenset({"__pycache__", ".git", ".hg", ".svn"})
_HASH_DIGITS = 16
_CLEANUP_SECONDS = 600.0


@dataclass
class Snapshots:
    """Snapshots of one source folder. Callers hold the bundle's lock while they take or prune one.

    ``base_dir`` holds a link to the latest, ``versions_dir`` one folder a version: where Airflow looks for them.
    """

    base_dir: Path
    versions_dir: Path
    bundle_name: str
    _digests: dict[str, tuple[tuple[int, int, int], bytes]] = field(default_factory=dict, repr=False)
    _next_cleanup: float = 0.0

    @property
    def latest(self) -> Path:
        """A link to the latest version, so that a file's place does not change with each version."""
        return self.base_dir / "latest"

    def latest_version(self) -> str | None:
        """The version :attr:`latest` leads to."""
        try:
            return os.path.basename(os.readlink(self.latest))
        except OSError:
            return None

    def take(self, source: Path) -> bool:
        """Make the content of ``source`` the latest version; whether it differs from the one before.

        Nothing half-written is ever seen: a version is filled under another name, and the link is swapped at once.

        Raises:
            OSError: the source cannot be read or the version not be written.
        """
        if not source.is_dir():
            # An unmounted or mistyped folder would read as "every DAG was deleted".
            raise FileNotFoundError(f"the DAG bundle {self.bundle_name} has no folder {source}")
        files = dict(_files(source))
        version = _version(_of_each(files, self._digest))
        if version == self.latest_version() and self.latest.is_dir():
            return False
        if not (self.versions_dir / version).is_dir():
            version = self._fill(files)
        before = self.latest_version()
        self._link(version)
        return version != before

    def _digest(self, name: str, path: Path) -> bytes:
        stat = path.stat()
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._digests.get(name)
        if known and known[0] == signature:
            return known[1]
        digest = hashlib.sha256(path.read_bytes()).digest()
        if time.time_ns() - stat.st_mtime_ns > 2_000_000_000:
            # A file written just now may change once more within the clock's tick.
            self._digests[name] = (signature, digest)
        return digest

    def _fill(self, files: dict[str, Path]) -> str:
        """Write a version and return its name, the hash of what was written: the source may change meanwhile."""
        self.versions_dir.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix=".new-", dir=self.versions_dir))
        try:
            target.chmod(0o755)
            version = _version(_of_each(files, lambda name, path: self._copy(path, target, name)))
            if not (self.versions_dir / version).is_dir():
                target.rename(self.versions_dir / version)
        finally:
            shutil.rmtree(target, ignore_errors=True)
        return version

    def _copy(self, path: Path, target: Path, name: str) -> bytes:
        """Write one file; one unchanged since the last version is the same file, keeping its time of change.

        So the DAG processor, which parses what changed first, parses only that at once.
        """
        content = path.read_bytes()
        to, last = target / name, self.latest / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if last.is_file() and last.read_bytes() == content:
            try:
                os.link(last.resolve(), to)
            except OSError:  # a file system without hard links
                shutil.copy2(last, to)
        else:
            to.write_bytes(content)
            to.chmod(path.stat().st_mode & 0o755 | 0o444)
        return hashlib.sha256(content).digest()

    def _link(self, version: str) -> None:
        new = self.base_dir / f".latest-{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(Path(self.versions_dir.name, version))
        new.replace(self.latest)
        # Unused for the longest time goes first, and a version that came back is new again.
        os.utime(self.versions_dir / version)

    def keep_needed(self) -> list[str]:
        """Remove old versions and return them; never the latest, a recent one, or one an unfinished run is pinned to.

        How many are kept, and how long, is Airflow's ``stale_bundle_cleanup_min_versions`` and ``…_age_threshold``.
        Airflow's own clean-up knows only when a task last used a version; a run that waits for hours (suspended) would
        lose it for good, so its use is renewed here. Does nothing when it did its work less than ten minutes ago.
        """
        from airflow.configuration import conf

        if time.monotonic() < self._next_cleanup:
            return []
        self._next_cleanup = time.monotonic() + _CLEANUP_SECONDS
        needed = self._needed_versions()
        if needed is None:
            return []
        needed.add(self.latest_version() or "")
        self._renew(needed)
        count = max(conf.getint("dag_processor", "stale_bundle_cleanup_min_versions"), 1)
        oldest = time.time() - conf.getint("dag_processor", "stale_bundle_cleanup_age_threshold")
        versions = sorted(_versions(self.versions_dir), key=_age)
        old = [path for path in versions[count:] if path.stat().st_mtime < oldest and path.name not in needed]
        return [path.name for path in old if self._remove(path)]

    def _renew(self, needed: set[str]) -> None:
        from airflow.dag_processing.bundles.base import BundleVersionLock, get_bundle_tracking_file

        for version in needed:
            if version and get_bundle_tracking_file(self.bundle_name, version).exists():
                with BundleVersionLock(self.bundle_name, version):
                    pass  # taking it writes the time

    def _needed_versions(self) -> set[str] | None:
        """Versions that unfinished runs are pinned to; None where the database cannot be asked."""
        try:
            from airflow.models.dag import DagModel
            from airflow.models.dagrun import DagRun
            from airflow.utils.session import create_session
            from airflow.utils.state import State
            from sqlalchemy import select

            query = (
                select(DagRun.bundle_version)
                .join(DagModel, DagModel.dag_id == DagRun.dag_id)
                .where(DagModel.bundle_name == self.bundle_name, DagRun.state.in_(State.unfinished_dr_states))
            )
            with create_session() as session:
                return {version for version in session.scalars(query.distinct()) if version}
        except Exception:
            log.warning(
                "DAG bundle %s: old versions are kept, as the runs that need them are not known", self.bundle_name
            )
            log.debug("asking for the runs failed", exc_info=True)
            return None

    def _remove(self, path: Path) -> bool:
        """Remove one version unless a task holds it."""
        import fcntl

        from airflow.dag_processing.bundles.base import get_bundle_tracking_file

        tracking = get_bundle_tracking_file(self.bundle_name, path.name)
        try:
            if tracking.exists():  # as Airflow locks it: dag_processing/bundles/base.py, BundleVersionLock
                with tracking.open("a") as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
                    tracking.unlink()
            else:
                shutil.rmtree(path)
        except OSError as error:
            log.info("DAG bundle %s: version %s stays: %s", self.bundle_name, path.name, error)
            return False
        return True


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """Name below ``source``, and path, of each regular file, sorted; links are followed, but never in a circle."""
    seen = {source.resolve()}
    for folder, folders, names in os.walk(source, followlinks=True):
        inside = [(name, Path(folder, name).resolve()) for name in sorted(folders) if name not in _IGNORED]
        folders[:] = [name for name, real in inside if real not in seen]
        seen.update(real for _name, real in inside)
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_file():
                continue  # a link that leads nowhere, a socket
            if not os.access(path, os.R_OK):
                log.warning("%s is left out: it cannot be read", path)
            else:
                yield str(path.relative_to(source)), path


def _of_each(files: Mapping[str, Path], digest: Callable[[str, Path], bytes]) -> dict[str, bytes]:
    """The digest of each file, but of those that went away since they were listed: editors' temporary ones do."""
    digests = {}
    for name, path in files.items():
        with suppress(FileNotFoundError):
            digests[name] = digest(name, path)
    return digests


def _version(digests: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name in sorted(digests):
        total.update(name.encode(errors="surrogateescape") + b"\0" + digests[name])
    return total.hexdigest()[:_HASH_DIGITS]


def _versions(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]


def _age(path: Path) -> float:
    return -path.stat().st_mtime
