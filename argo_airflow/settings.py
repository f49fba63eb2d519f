"""The ``[argo]`` options, one frozen dataclass.

Each option is read from Airflow's configuration, so ``AIRFLOW__ARGO__NAMESPACE=team-a`` or a section ``[argo]`` in
``airflow.cfg`` sets it. This module knows neither Airflow nor files: who calls :meth:`Settings.load` hands the section
in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from argo_airflow import __version__
from argo_airflow.errors import ArgoAirflowError

_TRUE, _FALSE = frozenset({"1", "true", "t", "yes", "on"}), frozenset({"0", "false", "f", "no", "off", ""})


@dataclass(frozen=True)
class Settings:
    """How workflows run here. Every field has a default that works on the embedded stack and on a cluster."""

    kubernetes_conn_id: str = "kubernetes_default"
    """Airflow connection that KubernetesPodOperator uses."""
    namespace: str = "default"
    """Namespace of the pods where a workflow's metadata names none."""
    helper_image: str = f"argo-airflow/helper:{__version__}"
    """Image of the init and wait containers."""
    images: str = ""
    """Path of the image index: image → entrypoint, cmd (and, for the embedded runtime, what stands in for it)."""
    artifact_bucket: str = "artifacts"
    """Bucket of the default artifact repository."""
    artifact_endpoint: str = ""
    """URL of the S3 server; empty means AWS."""
    artifact_region: str = ""
    """Region of the bucket; empty means what the pod's own AWS configuration says."""
    artifact_key_format: str = "{{workflow.name}}/{{pod.name}}"
    """Argo's keyFormat (Argo: pkg/apis/workflow/v1alpha1/artifact_repository_types.go:11)."""
    artifact_secret: str = ""
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, given to the helper containers; empty: ambient role."""
    deferrable: bool = False
    """Wait for pods in the triggerer (good for long pods) instead of on a worker."""
    startup_timeout_seconds: int = 3600
    """How long a pod may be Pending for no reason that only a person could mend, such as a cluster that is full."""
    recursion_limit: int = 0
    """Greatest depth of recursion; 0 means no limit."""
    call_poll_seconds: float = 1.0
    """How often a waiting call looks at its child runs."""
    preimport: bool = True
    """Import what every task needs in the scheduler, triggerer and DAG processor, for forked tasks to inherit."""

    @classmethod
    def load(cls, section: Mapping[str, object] | None = None) -> Settings:
        """Build the settings from Airflow's ``[argo]`` section; ``AIRFLOW__ARGO__*`` variables win.

        Raises:
            ArgoAirflowError: an option has a value of the wrong type.
        """
        values: dict[str, object] = {}
        for field in fields(cls):
            raw = os.environ.get(f"AIRFLOW__ARGO__{field.name.upper()}", (section or {}).get(field.name))
            if raw is not None:
                values[field.name] = _convert(field.name, str(field.type), str(raw))
        return cls(**values)  # type: ignore[arg-type]


def _convert(name: str, kind: str, raw: str) -> object:
    text = raw.strip()
    if kind == "bool":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ArgoAirflowError(f"option [argo] {name}: expected true or false, not {raw!r}")
    try:
        return {"int": int, "float": float, "str": str}[kind](text)
    except ValueError:
        raise ArgoAirflowError(f"option [argo] {name}: expected a number, not {raw!r}") from None
