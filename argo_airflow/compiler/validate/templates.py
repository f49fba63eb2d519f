"""Templates by themselves: their type, container, inputs, outputs, retries (semantics.md §3.3, §3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from argo_airflow.compiler.source import Path
from argo_airflow.compiler.validate.context import Context, Placed
from argo_airflow.errors import Diagnostic
from argo_airflow.lang.variables import runs_pod
from argo_airflow.spec import Artifact, Parameter, Template

_KINDS = ("container", "script", "steps", "dag")
_OTHER_KINDS = ("containerSet", "data", "http", "plugin", "resource", "suspend", "template", "templateRef")


def kinds(context: Context) -> Iterator[Diagnostic]:
    """A template is of exactly one type."""
    for placed in context.templates:
        written = context.raw(placed.path) or {}
        found = [kind for kind in _KINDS if getattr(placed.template, kind) is not None]
        others = [kind for kind in _OTHER_KINDS if kind in written]
        hint = f"choose one of: {', '.join(_KINDS)}"
        if not found and not others:
            yield context.fault(placed.path, "template-type", "template type unspecified", hint)
        if len(found) > 1:
            message = f"multiple template types specified: {', '.join(found)}"
            yield context.fault((*placed.path, found[1]), "template-type", message, hint)


def containers(context: Context) -> Iterator[Diagnostic]:
    """A container has an image."""
    defaults = "templateDefaults" in (context.raw(("spec",)) or {})
    for placed in context.templates:
        for kind in ("container", "script"):
            container = getattr(placed.template, kind)
            if container is not None and not container.image and not defaults:
                yield context.fault((*placed.path, kind), "missing-field", f"{kind}.image may not be empty")
            if container is not None:
                yield from _environment(context, (*placed.path, kind, "env"), container.env)


def _environment(context: Context, path: Path, env: tuple) -> Iterator[Diagnostic]:
    for index, variable in enumerate(env):
        if variable.value_from is None:
            continue
        sources = [one for one in variable.value_from.model_fields_set]
        if variable.value:
            message = f"environment variable {variable.name} has both value and valueFrom"
            yield context.fault((*path, index), "invalid-value", message)
        if len(sources) != 1:
            message = f"environment variable {variable.name}: valueFrom needs exactly one source"
            yield context.fault((*path, index, "valueFrom"), "invalid-value", message)


def inputs(context: Context) -> Iterator[Diagnostic]:
    """Input artifacts of a pod have a path; nothing comes from elsewhere by itself."""
    for placed in context.templates:
        for index, artifact in enumerate(placed.template.inputs.artifacts):
            path = (*placed.path, "inputs", "artifacts", index)
            yield from _artifact(context, path, artifact)
            if runs_pod(placed.template) and not artifact.path:
                yield context.fault(path, "missing-field", f"input artifact {artifact.name} needs a `path`")
            if placed.composite and artifact.path:
                message = "`path` is only valid in container and script templates"
                yield context.fault((*path, "path"), "invalid-value", message)
            if artifact.from_ is not None:
                message = "`from` is not valid in inputs"
                yield context.fault((*path, "from"), "invalid-value", message, "pass it as an argument")
        for index, parameter in enumerate(placed.template.inputs.parameters):
            if parameter.value_from is not None:
                path = (*placed.path, "inputs", "parameters", index, "valueFrom")
                yield context.fault(path, "unsupported-feature", "`valueFrom` of an input is not supported yet")


def outputs(context: Context) -> Iterator[Diagnostic]:
    """Outputs say where they come from, in the way of their template's type."""
    for placed in context.templates:
        if runs_pod(placed.template) or placed.composite:
            for index, parameter in enumerate(placed.template.outputs.parameters):
                path = (*placed.path, "outputs", "parameters", index)
                yield from _output_parameter(context, path, parameter, placed)
            for index, artifact in enumerate(placed.template.outputs.artifacts):
                path = (*placed.path, "outputs", "artifacts", index)
                yield from _artifact(context, path, artifact)
                yield from _output_artifact(context, path, artifact, placed)


def _output_parameter(context: Context, path: Path, parameter: Parameter, placed: Placed) -> Iterator[Diagnostic]:
    source = parameter.value_from
    what = f"output parameter {parameter.name}"
    if source is None and parameter.value is None:
        yield context.fault(path, "missing-field", f"{what} does not have valueFrom or value specified")
    if source is None:
        return
    written = context.raw((*path, "valueFrom")) or {}
    if parameter.value is not None:
        yield context.fault(path, "invalid-value", f"{what} has both valueFrom and value specified, choose one")
    wanted, other = ("parameter", "path") if placed.composite else ("path", "parameter")
    if getattr(source, wanted) is None and not set(written) - {"default", other}:
        kind = "steps and dag" if placed.composite else "container and script"
        message = f"{what}: valueFrom.{wanted} must be specified for {kind} templates"
        yield context.fault((*path, "valueFrom"), "missing-field", message)
    elif getattr(source, other) is not None:
        message = f"{what}: valueFrom.{other} is not valid in a template of this type"
        yield context.fault((*path, "valueFrom", other), "invalid-value", message)


def _output_artifact(context: Context, path: Path, artifact: Artifact, placed: Placed) -> Iterator[Diagnostic]:
    written = context.raw(path) or {}
    if runs_pod(placed.template):
        if not artifact.path:
            yield context.fault(path, "missing-field", f"output artifact {artifact.name} needs a `path`")
        if artifact.from_ is not None:
            yield context.fault((*path, "from"), "invalid-value", "`from` is only valid in steps and dag templates")
        return
    if artifact.path:
        message = "`path` is only valid in container and script templates"
        yield context.fault(
            (*path, "path"), "invalid-value", message, "write from: '{{steps.<name>.outputs.artifacts.<name>}}'"
        )
    elif artifact.from_ is None and "fromExpression" not in written:
        yield context.fault(path, "missing-field", f"output artifact {artifact.name} needs `from`")


def _artifact(context: Context, path: Path, artifact: Artifact) -> Iterator[Diagnostic]:
    if artifact.mode is not None and not 0 <= artifact.mode <= 0o777:
        yield context.fault((*path, "mode"), "invalid-value", f"mode must be between 0 and 0777, not {artifact.mode:o}")
    if artifact.archive is not None and artifact.archive.none is not None and artifact.archive.tar is not None:
        yield context.fault((*path, "archive"), "invalid-value", "archive: choose one of none, tar")
    if artifact.path and ".." in artifact.path.split("/"):
        yield context.fault((*path, "path"), "invalid-value", f"path {artifact.path!r} must not hold `..`")


def retries(context: Context) -> Iterator[Diagnostic]:
    """retryStrategy.limit is a number, 0 or more, or a tag."""
    for placed in context.templates:
        limit = _limit(placed.template)
        if limit is not None and "{{" not in limit and not re.fullmatch(r"[0-9]{1,9}", limit.strip()):
            path = (*placed.path, "retryStrategy", "limit")
            yield context.fault(path, "invalid-value", f"retryStrategy.limit must be a whole number, not {limit!r}")


def _limit(template: Template) -> str | None:
    return template.retry_strategy.limit if template.retry_strategy else None
