"""A container or script template as the graph's :class:`~argo_airflow.graph.Pod`."""

from __future__ import annotations

from argo_airflow.graph import InputArtifact, OutputArtifact, OutputParameter, Pod
from argo_airflow.spec import Artifact, Template, WorkflowSpec


def pod_of(template: Template, spec: WorkflowSpec) -> Pod:
    """The pod of a leaf template, tags and all; the worker substitutes them."""
    container = template.container or template.script
    if container is None:
        raise TypeError(f"template {template.name} is not a pod template")
    fields = container.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    fields.pop("name", None)
    fields.pop("source", None)
    return Pod(
        template=template.name,
        container=fields,
        source=template.script.source if template.script is not None else None,
        input_artifacts=tuple(
            InputArtifact(a.name, a.path or "", a.optional, a.mode, _archive(a, None))
            for a in template.inputs.artifacts
        ),
        output_parameters=tuple(
            OutputParameter(
                p.name,
                path=(p.value_from.path or "") if p.value_from else "",
                default=p.value_from.default if p.value_from else None,
                value=p.value,
            )
            for p in template.outputs.parameters
        ),
        output_artifacts=tuple(
            OutputArtifact(a.name, a.path or "", _archive(a, "tar") or "tar", _level(a), a.optional, a.mode)
            for a in template.outputs.artifacts
        ),
        service_account_name=spec.service_account_name or "",
        image_pull_secrets=tuple(secret.name for secret in spec.image_pull_secrets),
    )


def _archive(artifact: Artifact, default: str | None) -> str | None:
    if artifact.archive is None:
        return default
    return "none" if artifact.archive.none is not None else "tar"


def _level(artifact: Artifact) -> int | None:
    return artifact.archive.tar.compression_level if artifact.archive and artifact.archive.tar else None
