"""Names: of the workflow, the entrypoint, templates, parameters, artifacts, steps and tasks (semantics.md §3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from argo_airflow.compiler.source import Path
from argo_airflow.compiler.validate.context import Context, suggest
from argo_airflow.errors import Diagnostic

_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_WITH_UNDERSCORE = re.compile(r"[-a-zA-Z0-9_{}.]+")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9][-a-z0-9.]*")
_LONGEST_WORKFLOW, _LONGEST = 63, 128


def metadata(context: Context) -> Iterator[Diagnostic]:
    """The workflow has a name that Kubernetes accepts."""
    name, prefix = context.workflow.metadata.name, context.workflow.metadata.generate_name
    hint = "lower case letters, digits, `-` and `.` are allowed"
    if not name and not prefix:
        yield context.fault(("metadata",), "missing-field", "`metadata.name` or `metadata.generateName` is required")
    if name and not _OBJECT.fullmatch(name):
        yield context.fault(("metadata", "name"), "invalid-name", f"workflow name {name!r} is invalid", hint)
    elif prefix and not name and not _PREFIX.fullmatch(prefix):
        yield context.fault(("metadata", "generateName"), "invalid-name", f"generateName {prefix!r} is invalid", hint)
    if len(name) > _LONGEST_WORKFLOW:
        message = f"workflow name must not be more than {_LONGEST_WORKFLOW} characters long (currently {len(name)})"
        yield context.fault(("metadata", "name"), "invalid-name", message)


def entrypoint(context: Context) -> Iterator[Diagnostic]:
    """The entrypoint and the exit handler are templates of the workflow."""
    spec = context.workflow.spec
    if "workflowTemplateRef" in (context.raw(("spec",)) or {}):
        return  # refused by name; entrypoint and templates would be the other object's
    if not spec.entrypoint:
        hint = f"write entrypoint: {spec.templates[-1].name}" if len(spec.templates) == 1 else ""
        yield context.fault(("spec",), "missing-field", "spec.entrypoint is required", hint)
    for key, name in (("entrypoint", spec.entrypoint), ("onExit", spec.on_exit)):
        if name and name not in context.by_name:
            hint = suggest(name, frozenset(context.by_name), "templates")
            yield context.fault(("spec", key), "undefined-template", f"template name '{name}' undefined", hint)


def templates(context: Context) -> Iterator[Diagnostic]:
    """Templates have names of their own."""
    names = [(("spec", "templates", i, "name"), t.name) for i, t in enumerate(context.workflow.spec.templates)]
    yield from _check(context, names, _NAME)


def parameters_and_artifacts(context: Context) -> Iterator[Diagnostic]:
    """Parameters and artifacts have names of their own within their list."""
    owners: list[Path] = [("spec", "arguments")]
    for placed in context.templates:
        owners += [(*placed.path, "inputs"), (*placed.path, "outputs")]
        owners += [(*call.path, "arguments") for call in placed.calls]
    for owner in owners:
        for kind in ("parameters", "artifacts"):
            path = (*owner, kind)
            found = context.raw(path) or ()
            names = [
                ((*path, i, "name"), one.get("name") or "") for i, one in enumerate(found) if isinstance(one, dict)
            ]
            yield from _check(context, names, _WITH_UNDERSCORE)


def calls(context: Context) -> Iterator[Diagnostic]:
    """Steps and tasks have names of their own over the whole template."""
    for placed in context.templates:
        yield from _check(context, [((*call.path, "name"), call.step.name) for call in placed.calls], _NAME)


def _check(context: Context, names: Iterable[tuple[Path, str]], pattern: re.Pattern[str]) -> Iterator[Diagnostic]:
    seen: dict[str, int] = {}
    for path, name in names:
        if not name:
            yield context.fault(path[:-1], "missing-field", "`name` is required")
            continue
        if not pattern.fullmatch(name) or len(name) > _LONGEST:
            allowed = "letters, digits and `-`" if pattern is _NAME else "letters, digits, `-`, `_` and `.`"
            hint = f"use {allowed}, at most {_LONGEST} characters"
            yield context.fault(path, "invalid-name", f"name '{name}' is invalid", hint)
        if name in seen:
            yield context.fault(path, "duplicate-name", f"name '{name}' is not unique", f"see line {seen[name]}")
        seen.setdefault(name, context.document.position(path).line)
