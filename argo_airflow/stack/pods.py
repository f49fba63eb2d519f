"""The embedded pod runtime (:mod:`argo_airflow.local`) as a component."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argo_airflow.stack.component import Component
from argo_airflow.stack.ports import answers


@dataclass(frozen=True)
class PodRuntime:
    """A Kubernetes pod API on ``port``; ``images`` is the image index or None, ``resources`` folders of Secrets etc."""

    folder: Path
    port: int
    images: Path | None
    resources: tuple[Path, ...]
    environment: Mapping[str, str]

    @property
    def kubeconfig(self) -> Path:
        """Where the runtime writes how it is reached."""
        return self.folder / "kubeconfig"

    def component(self) -> Component:
        """The server."""
        command = [sys.executable, "-m", "argo_airflow.local", "--home", str(self.folder), "--port", str(self.port)]
        if self.images:
            command += ["--images", str(self.images)]
        command += ["--resources", *map(str, self.resources)]
        return Component(
            name="pods",
            command=tuple(command),
            ready=self._ready,
            environment=self.environment,
            stop_stage=1,
        )

    def _ready(self, started: float) -> bool:
        try:
            fresh = self.kubeconfig.stat().st_mtime >= started - 1
        except FileNotFoundError:
            return False
        return fresh and answers(self.port)
