"""Text to documents: YAML read, Argo's kinds picked out, the spec models built, every fault located."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from argo_airflow.compiler.source import Path, Source
from argo_airflow.compiler.source import read as read_source
from argo_airflow.errors import Diagnostic, InvalidWorkflow, Position
from argo_airflow.spec import Model, Workflow, words

GROUP, API_VERSION = "argoproj.io/", "argoproj.io/v1alpha1"
UNSUPPORTED_KINDS = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
OTHER_KINDS = words(
    "WorkflowTaskSet WorkflowTaskResult WorkflowArtifactGCTask EventBus EventSource Sensor Application ApplicationSet"
    " AppProject ArgoCD Rollout AnalysisTemplate ClusterAnalysisTemplate AnalysisRun Experiment RolloutManager"
    " NotificationsConfiguration ImageUpdater"
)
"""Kinds of the Argo family that are not for us."""

_API = re.compile(r"""^(?:\{?\s*["'])?apiVersion["']?\s*:\s*["']?argoproj\.io/""", re.M)
_KIND = re.compile(r"""^(?:\{?\s*["'])?kind["']?\s*:\s*["']?(\w+)""", re.M)
_ONE_LINE = re.compile(r"""["']apiVersion["']\s*:\s*["']argoproj\.io/""")


@dataclass(frozen=True)
class Document:
    """One workflow of a file: the data as written, its model, and where everything stands."""

    file: str
    data: dict[str, Any]
    workflow: Workflow
    source: Source = field(repr=False, compare=False)

    def position(self, path: Path) -> Position:
        """Place of the key or item at ``path`` (``("spec", "templates", 0)``), else of its nearest parent."""
        return self.source.position(path)

    def locate(self, path: Path, needle: str) -> Position:
        """Place of ``needle`` inside the text at ``path``."""
        return self.source.locate(path, needle)

    def name(self, path: Path) -> str:
        """``path`` as Argo words it: ``templates.main.steps[0].a``."""
        return path_name(self.data, path)


def parse(text: str | bytes, file: str) -> tuple[Document, ...]:
    """All workflows of a file; documents of other kinds are skipped.

    Raises:
        InvalidWorkflow: with all faults of all documents.
    """
    documents, diagnostics = read(text, file)
    if any(d.severity == "error" for d in diagnostics):
        raise InvalidWorkflow(diagnostics)
    return documents


def read(text: str | bytes, file: str) -> tuple[tuple[Document, ...], list[Diagnostic]]:
    """Like :func:`parse`, without raising: what could be read in spite of faults, and the faults.

    A document comes back although it has faults when dropping these leaves a usable model, so that the next stage
    can report its own faults in the same go.
    """
    sources, diagnostics = read_source(text, file)
    documents = []
    for one in sources:
        if _is_ours(one, diagnostics):
            workflow = _build(one, diagnostics)
            if workflow is not None:
                documents.append(Document(file, one.data, workflow, one))
    return tuple(documents), diagnostics


def is_argo(text: str | bytes) -> bool:
    """Whether the text looks like Argo Workflows' YAML (or JSON); cheap, does not parse."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    for part in re.split(r"^---", text, flags=re.M):
        kind = _KIND.search(part)
        if _API.search(part) and (kind is None or kind[1] not in OTHER_KINDS):
            return True
        if _ONE_LINE.search(part) or (kind and kind[1] == "Workflow" and "apiVersion" not in part):
            return True
    return False


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean `x`?`` for the nearest of the known words, or an empty string."""
    lowered = {name.lower(): name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"did you mean `{lowered[close[0]]}`?" if close else ""


def path_name(data: Any, path: Path) -> str:
    """A path as Argo words it: named items by name, ``spec`` and ``dag`` left out where Argo leaves them out."""
    parts: list[str] = []
    for index, part in enumerate(path):
        following = path[index + 1] if index + 1 < len(path) else None
        data = _step_into(data, part)
        if isinstance(part, int):
            name = data.get("name") if isinstance(data, dict) else None
            parts.append(f".{name}" if isinstance(name, str) and name else f"[{part}]")
        elif (part, following) not in (("spec", "templates"), ("dag", "tasks")):
            parts.append(f".{part}")
    return "".join(parts).lstrip(".")


def _step_into(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _is_ours(one: Source, diagnostics: list[Diagnostic]) -> bool:
    """Whether the document is a Workflow; adds a fault for Argo documents that are not one."""
    data = one.data
    if not isinstance(data, dict):
        return False
    version, kind = data.get("apiVersion"), data.get("kind")
    if version is None and kind == "Workflow" and "spec" in data:
        version = API_VERSION  # Argo looks at the kind alone

    def add(key: str, code: str, message: str, hint: str = "") -> bool:
        diagnostics.append(Diagnostic(one.position((key,)), code, message, key, hint))
        return False

    if not isinstance(version, str) or not version.startswith(GROUP) or kind in OTHER_KINDS:
        return False
    if kind is None:
        return add("kind", "missing-field", "`kind` is required", "write kind: Workflow")
    if kind in UNSUPPORTED_KINDS:
        return add("kind", "unsupported-feature", f"kind `{kind}` is not supported yet")
    if kind != "Workflow":
        hint = did_you_mean(str(kind), ("Workflow", *UNSUPPORTED_KINDS)) or "write kind: Workflow"
        return add("kind", "unknown-kind", f"unknown kind `{kind}`", hint)
    if version != API_VERSION:
        return add("apiVersion", "unknown-version", f"unknown apiVersion `{version}`", f"write {API_VERSION}")
    return True


def _build(one: Source, diagnostics: list[Diagnostic]) -> Workflow | None:
    """The model; unknown fields are reported and left out, other faults leave no model."""
    try:
        return Workflow.model_validate(one.data)
    except ValidationError as error:
        faults: list[dict[str, Any]] = [dict(item) for item in error.errors(include_url=False)]
    data = one.data
    for fault in faults:
        path = tuple(part for part in fault["loc"] if part != "[key]")
        diagnostics.append(_diagnostic(one, path, fault))
        if fault["type"] == "extra_forbidden":
            data = _without(data, path)
    if any(fault["type"] != "extra_forbidden" for fault in faults):
        return None
    return Workflow.model_validate(data)


def _without(data: Any, path: Path) -> Any:
    """A copy of ``data`` without the key at ``path``."""
    head, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_without(item, rest) if index == head else item for index, item in enumerate(data)]
    if not rest:
        return {key: value for key, value in data.items() if key != head}
    return {key: _without(value, rest) if key == head else value for key, value in data.items()}


def _diagnostic(one: Source, path: Path, error: dict[str, Any]) -> Diagnostic:
    kind, last = error["type"], path[-1] if path else ""
    where = path_name(one.data, path[:-1] if kind in ("extra_forbidden", "missing") else path)
    place = one.position(path)
    if kind == "extra_forbidden":
        model = _model_at(path[:-1])
        if last in model.unsupported:
            return Diagnostic(place, "unsupported-feature", f"`{last}` is not supported yet", where)
        known = [f.alias or name for name, f in model.model_fields.items()]
        hint = did_you_mean(str(last), [*known, *model.unsupported]) or f"known here: {', '.join(sorted(known))}"
        return Diagnostic(place, "unknown-field", f"unknown field `{last}`", where, hint)
    if kind == "missing":
        return Diagnostic(place, "missing-field", f"`{last}` is required", where)
    if kind == "text_not_structure":
        return Diagnostic(place, "wrong-type", error["msg"], where, error["ctx"]["hint"])
    wanted = next((word for start, word in _WANTED if kind.startswith(start)), "")
    got, hint = error.get("input"), ""
    if wanted == "text" and isinstance(got, bool | int | float):
        hint = "put the value in quotes"
        hint += "; YAML reads y, yes, on, n, no and off as true and false" if isinstance(got, bool) else ""
    if wanted == "a list" and "steps" in path and isinstance(got, dict):
        hint = "each group of steps is itself a list: start it with `- - name:`"
    if last == "withParam" and isinstance(got, list):
        hint = "withParam takes a JSON text; a list written out goes under withItems"
    message = f"expected {wanted}, not {_shown(got)}" if wanted else str(error["msg"])
    return Diagnostic(place, "wrong-type", message, where, hint)


_WANTED = (
    ("string", "text"),
    ("tuple", "a list"),
    ("list", "a list"),
    ("dict", "a map"),
    ("model", "a map"),
    ("bool", "true or false"),
    ("int", "a whole number"),
)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return f"the text {_cut(text)}" if isinstance(value, str) else f"the number {_cut(text)}"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _model_at(path: Path) -> type[Model]:
    """The model whose fields stand at ``path`` of a Workflow."""
    kind: Any = Workflow
    for part in path:
        if isinstance(part, str):
            kind = next(f.annotation for name, f in kind.model_fields.items() if part in (f.alias, name))
            kind = next((a for a in typing.get_args(kind) if _optional(kind) and a is not type(None)), kind)
        else:
            kind = typing.get_args(kind)[0]
    assert issubclass(kind, BaseModel)
    return typing.cast("type[Model]", kind)


def _optional(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)
