"""Where artifacts are stored: Argo's default repository and key (semantics.md §2.16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argo_airflow.errors import NodeError
from argo_airflow.graph import InputArtifact, OutputArtifact
from argo_airflow.helper import contract
from argo_airflow.lang.substitute import substitute
from argo_airflow.settings import Settings


def input_artifact(declared: InputArtifact, location: Mapping[str, Any] | None) -> contract.InputArtifact | None:
    """What init must fetch; None for an optional artifact that nobody supplied."""
    if location is None:
        return None
    raw = location.get("raw")
    place = {"s3": location["s3"]} if "s3" in location else None
    return contract.InputArtifact(
        name=declared.name,
        path=declared.path,
        location=place,
        raw=None if raw is None else raw["data"],
        archive=declared.archive or location.get("archive"),
        optional=declared.optional,
        mode=declared.mode,
    )


def output_artifact(
    declared: OutputArtifact, workflow_name: str, pod_name: str, settings: Settings
) -> contract.OutputArtifact:
    """What wait must save, and under which key: keyFormat + file name (Argo: executor.go:516-532).

    Raises:
        NodeError: the key format names something that is not known here.
    """
    names = {"workflow.name": workflow_name, "pod.name": pod_name}
    folder = substitute(settings.artifact_key_format, names.get)
    if "{{" in folder:
        raise NodeError(f"option [argo] artifact_key_format: cannot resolve {folder!r}")
    s3 = {
        "bucket": settings.artifact_bucket,
        "key": f"{folder}/{contract.output_file_name(declared.name, declared.path, declared.archive)}",
        "endpoint": settings.artifact_endpoint,
        "region": settings.artifact_region,
    }
    return contract.OutputArtifact(
        name=declared.name,
        path=declared.path,
        location={"s3": {key: value for key, value in s3.items() if value}},
        archive=declared.archive,
        compression_level=declared.compression_level,
        optional=declared.optional,
    )
