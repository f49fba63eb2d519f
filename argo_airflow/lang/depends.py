"""``depends``: which results of other tasks a DAG task waits for (Argo: workflow/common/ancestry.go)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from argo_airflow.errors import NodeError

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
"""Argo: workflow/common/ancestry.go:22-31."""

_DEFAULT = frozenset(("Succeeded", "Skipped", "Daemoned"))
_PHASES = {"Errored": "Error"}
_TOKEN = re.compile(r"\s*(?:(&&|\|\||!|\(|\))|([a-zA-Z0-9][-a-zA-Z0-9]*)(?:\.([A-Za-z]+))?|(\S))")
_WORDS = {"and": "&&", "or": "||", "not": "!"}


class DependsError(NodeError):
    """The expression cannot be read; ``hint`` is the next thing to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True)
class Depends:
    """An expression over results of tasks."""

    def tasks(self) -> frozenset[str]:
        """Names of all tasks that are mentioned."""
        raise NotImplementedError

    def conditions(self) -> tuple[Is, ...]:
        """All mentioned results, in the order of the text."""
        raise NotImplementedError

    def evaluate(
        self, phase: Callable[[str], str], children: Callable[[str], Iterable[str]] = lambda _task: ()
    ) -> bool:
        """Whether the condition holds.

        ``phase`` gives a task's Argo phase (``Daemoned`` for a running daemon), ``children`` the phases of a looped
        task's items. To be asked only when every mentioned task is fulfilled (Argo: controller/dag.go:979).
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Is(Depends):
    """``task.result``; an empty result is the bare name: Succeeded, Skipped or Daemoned, but not Omitted."""

    task: str
    result: str = ""

    def tasks(self) -> frozenset[str]:
        return frozenset((self.task,))

    def conditions(self) -> tuple[Is, ...]:
        return (self,)

    def evaluate(
        self, phase: Callable[[str], str], children: Callable[[str], Iterable[str]] = lambda _task: ()
    ) -> bool:
        if self.result in ("AnySucceeded", "AllFailed"):
            phases = tuple(children(self.task))
            if self.result == "AnySucceeded":
                return "Succeeded" in phases
            return bool(phases) and all(one == "Failed" for one in phases)
        if not self.result:
            return phase(self.task) in _DEFAULT
        return phase(self.task) == _PHASES.get(self.result, self.result)

    def __str__(self) -> str:
        return f"{self.task}.{self.result}" if self.result else self.task


@dataclass(frozen=True)
class Not(Depends):
    """``!of``."""

    of: Depends

    def tasks(self) -> frozenset[str]:
        return self.of.tasks()

    def conditions(self) -> tuple[Is, ...]:
        return self.of.conditions()

    def evaluate(
        self, phase: Callable[[str], str], children: Callable[[str], Iterable[str]] = lambda _task: ()
    ) -> bool:
        return not self.of.evaluate(phase, children)

    def __str__(self) -> str:
        return f"!{self.of}"


@dataclass(frozen=True)
class _Several(Depends):
    parts: tuple[Depends, ...]

    def tasks(self) -> frozenset[str]:
        return frozenset().union(*(part.tasks() for part in self.parts))

    def conditions(self) -> tuple[Is, ...]:
        return tuple(one for part in self.parts for one in part.conditions())


@dataclass(frozen=True)
class And(_Several):
    """``a && b && …``."""

    def evaluate(
        self, phase: Callable[[str], str], children: Callable[[str], Iterable[str]] = lambda _task: ()
    ) -> bool:
        return all(part.evaluate(phase, children) for part in self.parts)

    def __str__(self) -> str:
        return f"({' && '.join(map(str, self.parts))})"


@dataclass(frozen=True)
class Or(_Several):
    """``a || b || …``."""

    def evaluate(
        self, phase: Callable[[str], str], children: Callable[[str], Iterable[str]] = lambda _task: ()
    ) -> bool:
        return any(part.evaluate(phase, children) for part in self.parts)

    def __str__(self) -> str:
        return f"({' || '.join(map(str, self.parts))})"


def parse(text: str, tasks: Collection[str] | None = None) -> Depends:
    """Read ``text``; ``tasks`` are the names that exist (None: any).

    Raises:
        DependsError: bad syntax, an unknown result, a task that does not exist.
    """
    return _Parser(text, tasks).parse()


def of_dependencies(names: Iterable[str]) -> Depends:
    """The legacy ``dependencies`` list: an AND of bare names."""
    return And(tuple(Is(name) for name in names))


def plain(depends: Depends) -> bool:
    """Whether it is a bare name or an AND of bare names."""
    if isinstance(depends, And):
        return all(plain(part) for part in depends.parts)
    return isinstance(depends, Is) and not depends.result


class _Parser:
    def __init__(self, text: str, tasks: Collection[str] | None) -> None:
        self.text, self.known = text, tasks
        self.tokens = [match.groups() for match in _TOKEN.finditer(text)]
        self.at = 0

    def parse(self) -> Depends:
        try:
            found = self._any()
        except RecursionError:
            raise DependsError(f"invalid depends expression {self.text[:60]!r}…: nested too deeply") from None
        if self.at < len(self.tokens):
            raise self._error(f"unexpected {self._shown()}")
        return found

    def _error(self, what: str) -> DependsError:
        hint = "use task names, task.Succeeded (or another result), &&, ||, ! and parentheses"
        return DependsError(f"invalid depends expression {self.text!r}: {what}", hint)

    def _shown(self) -> str:
        if self.at >= len(self.tokens):
            return "end"
        sign, task, _result, other = self.tokens[self.at]
        return f"`{sign or task or other}`"

    def _sign(self) -> str:
        """The operator or parenthesis at hand; and, or, not count as operators unless a task is called so."""
        if self.at >= len(self.tokens):
            return ""
        sign, task, result, _other = self.tokens[self.at]
        if task in _WORDS and not result and not (self.known and task in self.known):
            return _WORDS[task]
        return sign or ""

    def _any(self) -> Depends:
        return self._several("||", self._all, Or)

    def _all(self) -> Depends:
        return self._several("&&", self._one, And)

    def _several(self, sign: str, part: Callable[[], Depends], kind: type[_Several]) -> Depends:
        parts = [part()]
        while self._sign() == sign:
            self.at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _one(self) -> Depends:
        sign = self._sign()
        if sign == "!":
            self.at += 1
            return Not(self._one())
        if sign == "(":
            self.at += 1
            inner = self._any()
            if self._sign() != ")":
                raise self._error(f"expected `)`, found {self._shown()}")
            self.at += 1
            return inner
        if sign or self.at >= len(self.tokens) or not self.tokens[self.at][1]:
            raise self._error(f"expected a task, found {self._shown()}")
        _sign, task, result, _other = self.tokens[self.at]
        self.at += 1
        return self._is(task, result or "")

    def _is(self, task: str, result: str) -> Is:
        if self.known is not None and task not in self.known:
            raise DependsError(f"dependency '{task}' not defined")
        if result and result not in RESULTS:
            raise DependsError(f"task result '{result}' for task '{task}' is invalid", f"one of {', '.join(RESULTS)}")
        return Is(task, result)
