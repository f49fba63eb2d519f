"""Tell Argo Workflows' YAML files from others, and compile one for Airflow, whatever is in it."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from argo_airflow.errors import Diagnostic, InvalidWorkflow, Position

EXTENSIONS = (".yaml", ".yml")

_API_GROUP = "argoproj.io/"
# Kinds in the same API group that are of Argo's other projects (CD, Rollouts, Events): not ours to judge.
_FOREIGN_KINDS = frozenset(
    {
        *("Application", "ApplicationSet", "AppProject", "ArgoCD"),
        *("Rollout", "Experiment", "AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun", "RolloutManager"),
        *("EventSource", "Sensor", "EventBus"),
    }
)
_TRACEBACK_LINES = 12
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Compiled:
    """What a file gave: ``dags`` (airflow DAGs), or ``diagnostics``, never both; ``report`` is their plain text."""

    dags: tuple[Any, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    report: str = ""

    @classmethod
    def failed(cls, diagnostics: Sequence[Diagnostic]) -> Compiled:
        """No DAG, for these reasons."""
        return cls(diagnostics=tuple(diagnostics), report="\n".join(map(str, diagnostics)))

    def errors(self) -> Iterator[dict[str, Any]]:
        """The diagnostics as the fields that Airflow's ``DagImportError`` has in every release."""
        for diagnostic in self.diagnostics:
            yield {
                "message": str(diagnostic),
                "error_type": diagnostic.code,
                "line_number": diagnostic.position.line or None,
                "column_number": diagnostic.position.column or None,
                "suggestion": diagnostic.hint or None,
                # Airflow keeps one text for each file and shows this one: all of them together.
                "stacktrace": self.report,
            }


def is_argo(text: str) -> bool:
    """Whether ``text`` holds a document of Argo Workflows.

    A text that names Argo's API group but is not YAML counts as Argo's: its author wants to see the error.
    """
    if _API_GROUP not in text:
        return False
    try:
        return any(kind not in _FOREIGN_KINDS for kind, _name in _documents(text))
    except (yaml.YAMLError, RecursionError):
        return True


def is_argo_file(path: str | os.PathLike[str]) -> bool:
    """:func:`is_argo` of a file; it is read again only when it changed. False where it cannot be read."""
    try:
        stat = os.stat(path)
        return _is_argo_file(os.fspath(path), stat.st_mtime_ns, stat.st_size)
    except OSError:
        return False


@lru_cache(maxsize=16384)
def _is_argo_file(path: str, _mtime_ns: int, _size: int) -> bool:
    # Damaged bytes do not hide a file: reading it for its DAGs names the damage.
    return is_argo(Path(path).read_bytes().decode("utf-8", errors="replace"))


def workflow_names(text: str) -> list[str]:
    """``metadata.name``, or ``generateName`` without its last hyphen, of each Argo document; none if it is broken."""
    try:
        return [name.rstrip("-") for kind, name in _documents(text) if name and kind not in _FOREIGN_KINDS]
    except (yaml.YAMLError, RecursionError):
        return []


def _documents(text: str) -> Iterator[tuple[str, str]]:
    """Kind and name of each document in Argo's API group, those inside a Kubernetes ``List`` too."""
    for root in yaml.compose_all(text, Loader=_LOADER):
        for fields in _objects(root):
            # Any field, so that a mistyped `apiVersion` is reported and not silently passed over.
            if any(_scalar(value).startswith(_API_GROUP) for value in fields.values()):
                metadata = _fields(fields.get("metadata"))
                yield _scalar(fields.get("kind")), _scalar(metadata.get("name") or metadata.get("generateName"))


def _objects(root: yaml.Node | None) -> Iterator[dict[str, yaml.Node]]:
    fields = _fields(root)
    yield fields
    items = fields.get("items")
    if _scalar(fields.get("kind")) == "List" and isinstance(items, yaml.SequenceNode):
        yield from map(_fields, items.value)


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {_scalar(key): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _scalar(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def compile_file(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Compiled:
    """Compile the DAGs of one Argo file. Nothing is raised: Airflow goes on to the next file.

    Args:
        path: the YAML file; each DAG's ``fileloc`` becomes it, so that the Code tab shows the YAML.
        root: the folder that is searched for workflow templates, and that places are told relative to.
    """
    path, root = os.fspath(path), os.fspath(root) if root is not None else None
    relative = relative_path(path, root)
    try:
        from argo_airflow import compiler

        dags = tuple(compiler.dags(path, text=_read(path), root=root))
        for dag in dags:
            dag.fileloc, dag.relative_fileloc = path, relative
    except InvalidWorkflow as invalid:
        return Compiled.failed([replace(d, position=_relative(d.position, root)) for d in invalid.diagnostics])
    except Exception as error:
        return Compiled.failed([_bug(error, relative)])
    return Compiled(dags=dags)


def relative_path(path: str, root: str | None) -> str:
    """``path`` as seen from ``root``; unchanged where it is not inside."""
    if root is None:
        return path
    try:
        return str(Path(path).relative_to(root))
    except ValueError:
        return path


def _relative(position: Position, root: str | None) -> Position:
    return replace(position, file=relative_path(position.file, root))


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        place = Position(path, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8 text"
        problem = Diagnostic(place, "not-utf-8", message, hint="save the file in the encoding UTF-8")
    except OSError as error:
        problem = Diagnostic(Position(path), "unreadable-file", f"cannot read the file: {error.strerror or error}")
    raise InvalidWorkflow([problem])


def _bug(error: Exception, relative: str) -> Diagnostic:
    lines = re.split(r"\n+", "".join(traceback.format_exception(error)).strip())
    message = (
        f"this is a bug in argo-airflow, not in the file: {type(error).__name__}: {error}\n    "
        + "\n    ".join(lines[-_TRACEBACK_LINES:])
        + "\n   "
    )
    hint = "please report it with the lines above and the YAML; other files are not affected"
    return Diagnostic(Position(relative), "internal-error", message, hint=hint)
