"""What can go wrong, as data: a :class:`Diagnostic` names place, cause and hint; exceptions carry them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file; ``line`` and ``column`` count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One problem of a user's file.

    ``code`` is a stable kebab-case word (``unknown-field``), ``path`` the place by name
    (``templates.main.steps[0].a``), ``hint`` the next thing to try, ``severity`` ``error`` or ``warning``.
    """

    position: Position
    code: str
    message: str
    path: str = ""
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        where = f" (at {self.path})" if self.path else ""
        text = f"{self.position}: {self.severity}: {self.message}{where} [{self.code}]"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class ArgoAirflowError(Exception):
    """Root of all errors this package raises on purpose."""


class InvalidWorkflow(ArgoAirflowError):
    """A file has problems; ``diagnostics`` holds all of them, sorted by place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(map(str, self.diagnostics)))


class NodeError(ArgoAirflowError):
    """Ends a node in Argo's phase ``Error``: the work could not be started or its outputs not be had."""

    phase = "Error"


class NodeFailed(ArgoAirflowError):
    """Ends a node in Argo's phase ``Failed``: the user's container ran and did not succeed."""

    phase = "Failed"

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class UnresolvedVariable(NodeError):
    """A ``{{tag}}`` that must have a value has none."""


class LocalRuntimeError(ArgoAirflowError):
    """The embedded runtime, or a component of the local stack, cannot do its work."""
