"""The stack's folder: what is kept between starts, and the lock that allows one stack at a time on it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from argo_airflow.errors import LocalRuntimeError

CONNECTION_FILE = "connection.json"


@dataclass(frozen=True)
class Credentials:
    """Passwords and keys, made at the first start and kept."""

    admin_password: str
    postgres_password: str
    s3_access_key: str
    s3_secret_key: str
    fernet_key: str
    jwt_secret: str
    api_secret: str

    @classmethod
    def generate(cls) -> Credentials:
        """New random ones."""
        return cls(
            admin_password=secrets.token_urlsafe(9),
            postgres_password=secrets.token_hex(16),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
            fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            jwt_secret=secrets.token_hex(32),
            api_secret=secrets.token_hex(16),
        )


@dataclass(frozen=True)
class Connection:
    """Where a running stack is reached; written to ``connection.json`` while it runs."""

    pid: int
    stack_id: str
    url: str
    username: str
    password: str
    dags: str

    @classmethod
    def of(cls, home: Path) -> Connection:
        """The connection of the stack that runs on this home.

        Raises:
            LocalRuntimeError: none runs there.
        """
        try:
            values = json.loads((home / CONNECTION_FILE).read_text())
            connection = cls(**{field.name: values[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            connection = None
        if connection is None or not _is_locked(home):
            raise LocalRuntimeError(
                f"no stack is running on {home}; start one with "
                "`python3 -m argo_airflow up`, or name its folder with --home"
            )
        return connection


class Home:
    """The folder of one stack. All paths are absolute; secrets are readable by their owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.logs = self.path / "logs"
        self.postgres = self.path / "postgres"
        self.s3 = self.path / "s3"
        self.pods = self.path / "pods"
        self.resources = self.path / "resources"
        self.airflow = self.path / "airflow"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Make the folders and take the lock.

        Raises:
            LocalRuntimeError: another stack runs here (its pid is in the message), or the folder cannot be written.
        """
        try:
            for folder in (self.logs, self.postgres, self.s3, self.pods, self.resources, self.airflow):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise LocalRuntimeError(f"cannot use {self.path} as the stack's folder: {error}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().split()
            lock.close()
            pid = holder[0] if holder else "unknown"
            raise LocalRuntimeError(f"a stack is already running on {self.path} (pid {pid})") from None
        self._lock = lock

    def note(self, stack_id: str) -> None:
        """Write this process' id and the stack's into the lock file."""
        assert self._lock is not None
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(f"{os.getpid()} {stack_id}\n")
        self._lock.flush()

    def earlier_stack_id(self) -> str:
        """Id of the stack that ran here last, or empty; to sweep what its crash may have left."""
        assert self._lock is not None
        self._lock.seek(0)
        words = self._lock.read().split()
        return words[1] if len(words) > 1 else ""

    def release(self) -> None:
        """Give the lock back and withdraw the connection file."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / CONNECTION_FILE).unlink()
        if self._lock:
            self._lock.close()
            self._lock = None

    def credentials(self) -> Credentials:
        """The kept credentials; made now if there are none.

        Raises:
            LocalRuntimeError: the file that keeps them is unreadable.
        """
        file = self.path / "credentials.json"
        try:
            return Credentials(**json.loads(file.read_text()))
        except FileNotFoundError:
            made = Credentials.generate()
            write_private(file, json.dumps(asdict(made), indent=1))
            return made
        except (OSError, ValueError, TypeError) as error:
            raise LocalRuntimeError(
                f"{file} is unreadable ({error}); remove {self.path} to start with an empty stack"
            ) from None

    def publish(self, connection: Connection) -> None:
        """Write ``connection.json`` for the other commands."""
        write_private(self.path / CONNECTION_FILE, json.dumps(asdict(connection), indent=1))


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step: a reader sees the old text or the new."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    temporary.replace(file)


def _is_locked(home: Path) -> bool:
    try:
        with (home / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
