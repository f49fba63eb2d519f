"""The Airflow plugin: with the package installed, YAML in the DAGs folder runs, with nothing to configure."""

from __future__ import annotations

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class ArgoPlugin(AirflowPlugin):
    """Makes each Airflow process find Argo's YAML, and long-running ones import what their tasks need."""

    name = "argo"

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Prepare this process. Airflow calls it up to twice (core's and the SDK's plugin manager): idempotent.

        Cheap where nothing is parsed or run (CLI, api-server): no provider, Kubernetes client or compiler is imported.
        """
        from argo_airflow.airflow_dags import importer, process
        from argo_airflow.settings import Settings

        importer.install()
        kind = process.kind()
        if kind == "dag-processor":
            process.refresh_sooner()
        if kind and Settings.load(_section()).preimport:
            process.preimport(kind)


def _section() -> dict[str, Any]:
    from airflow.configuration import conf

    return dict(conf.getsection("argo") or {})
