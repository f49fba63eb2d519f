"""The whole stack as one context manager."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack import airflow_parts
from argo_airflow.stack.client import AirflowClient
from argo_airflow.stack.component import Component
from argo_airflow.stack.home import Connection, Home
from argo_airflow.stack.pods import PodRuntime
from argo_airflow.stack.ports import LOOPBACK, next_free, some_free
from argo_airflow.stack.postgres import Postgres
from argo_airflow.stack.processes import STACK_MARK, end_marked
from argo_airflow.stack.storage import Storage
from argo_airflow.stack.supervisor import Supervisor

UI_PORT = 8080


class Stack:
    """Postgres, S3, the pod runtime and Airflow, all on this machine, with their data in ``home``.

    ``with Stack(home, dags) as stack:`` starts everything and returns when all is ready; leaving the block stops it.
    ``stack.client`` speaks to Airflow, ``stack.environment`` is Airflow's environment, ``stack.storage`` the S3 server.

    Args:
        home: folder of data, logs and credentials; made if missing.
        dags: Airflow's dags folder.
        ui_port: port of Airflow's UI; the next free one is used where it is taken.
        images: image index; default ``<dags>/images.yaml`` where that exists.
        companions: further processes to keep running (an example's page server).
        report: gets one line of progress at a time.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        ui_port: int = UI_PORT,
        images: Path | None = None,
        companions: Sequence[Component] = (),
        report: Callable[[str], None] = print,
    ) -> None:
        self.home, self.dags = Home(home), dags.expanduser().resolve()
        self._ui_port, self._images, self._companions, self._report = ui_port, images, companions, report
        self._stack_id = str(uuid.uuid4())
        self._supervisor: Supervisor | None = None
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; on an error or interrupt stop what was started.

        Raises:
            LocalRuntimeError: a part did not start (with its log's tail), or a stack runs on this home already.
        """
        if not self.dags.is_dir():
            raise LocalRuntimeError(f"the dags folder {self.dags} does not exist")
        self.home.acquire()
        try:
            self._sweep_earlier()
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything and let the home go. Does nothing the second time."""
        if self._supervisor:
            self._report("Stopping …")
            self._supervisor.stop()
            self._supervisor = None
            self._report("Stopped.")
        self.home.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the stack has failed (True, see :attr:`failure`) or the time is over (False)."""
        assert self._supervisor is not None
        return self._supervisor.wait(seconds)

    @property
    def failure(self) -> str:
        """Why the stack was given up; empty while all is well."""
        return self._supervisor.failure if self._supervisor else ""

    @property
    def mark(self) -> str:
        """The ``NAME=value`` in the environment of every process of this stack."""
        return f"{STACK_MARK}={self._stack_id}"

    def pids(self) -> dict[str, int]:
        """Process id of each component, by name."""
        return self._supervisor.pids() if self._supervisor else {}

    def _sweep_earlier(self) -> None:
        if earlier := self.home.earlier_stack_id():
            count = end_marked(f"{STACK_MARK}={earlier}", grace=5.0)
            if count:
                self._report(f"  ended {count} processes that a crash had left on {self.home.path}")
        self.home.note(self._stack_id)

    def _start(self) -> None:
        self._configure()
        supervisor = self._supervisor = Supervisor(self._stack_id, self.home.logs, self._report)
        supervisor.start([self.postgres.component(), self.storage.component(), self.pods.component()])
        self._migrate(supervisor)
        supervisor.start([*airflow_parts.parts(self.environment, self.port, self.client), *self._companions])
        self.home.publish(self.connection)

    def _configure(self) -> None:
        home, keys, machine = self.home, self.home.credentials(), airflow_parts.machine_environment()
        self.port = next_free(self._ui_port)
        database_port, storage_port, pods_port = some_free(3)
        self.postgres = Postgres(home.postgres, database_port, keys.postgres_password, machine)
        self.storage = Storage(home.s3, storage_port, keys.s3_access_key, keys.s3_secret_key, machine)
        self.storage.write_secret(home.resources, airflow_parts.namespace())
        images = self._images or self.dags / "images.yaml"
        self.pods = PodRuntime(
            home.pods, pods_port, images if images.exists() else None, (self.dags, home.resources), machine
        )
        self.environment = airflow_parts.airflow_environment(
            home, self.dags, keys, self.port, self.postgres, self.storage, self.pods
        )
        url = f"http://{LOOPBACK}:{self.port}"
        self.client = AirflowClient(url, airflow_parts.ADMIN, keys.admin_password)
        self.connection = Connection(
            os.getpid(), self._stack_id, url, airflow_parts.ADMIN, keys.admin_password, str(self.dags)
        )

    def _migrate(self, supervisor: Supervisor) -> None:
        """Once for each data directory and Airflow version."""
        done = self.postgres.data / f"migrated-{version('apache-airflow-core')}"
        if not done.exists():
            supervisor.run(airflow_parts.migration(self.environment))
            done.touch()
