"""What every rule looks at: the document, and its templates with their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from argo_airflow.compiler.parse import Document, did_you_mean
from argo_airflow.compiler.source import Path
from argo_airflow.errors import Diagnostic
from argo_airflow.lang import depends as depends_language
from argo_airflow.spec import DAGTask, Template, Workflow, WorkflowStep


@dataclass(frozen=True)
class Call:
    """A step or task, its place in the file, and the index of its group of steps."""

    path: Path
    step: WorkflowStep
    group: int = 0


@dataclass(frozen=True)
class Placed:
    """A template, its place in the file, and its steps or tasks."""

    path: Path
    template: Template
    calls: tuple[Call, ...] = ()

    @property
    def kind(self) -> str:
        """The word its tags use for its calls."""
        return "steps" if self.template.steps is not None else "tasks"

    @property
    def composite(self) -> bool:
        """Whether it calls other templates."""
        return self.template.steps is not None or self.template.dag is not None

    @cached_property
    def _by_name(self) -> dict[str, Call]:
        return {call.step.name: call for call in reversed(self.calls)}

    def call(self, name: str) -> Call | None:
        """The step or task of that name."""
        return self._by_name.get(name)

    @cached_property
    def _named(self) -> dict[str, frozenset[str] | None]:
        every = frozenset(call.step.name for call in self.calls)
        tasks = [call.step for call in self.calls if isinstance(call.step, DAGTask)]
        return {task.name: _named(task, every) for task in tasks}

    @property
    def readable(self) -> bool:
        """Whether it can be told for every task what it waits for."""
        return None not in self._named.values()

    @cached_property
    def waits_for(self) -> dict[str, frozenset[str]]:
        """For each DAG task the tasks it names; all others where that cannot be told."""
        return {
            task: frozenset(self._named) - {task} if names is None else names for task, names in self._named.items()
        }

    def knows(self, call: Call, name: str) -> bool:
        """Whether ``call`` may use the results of the call ``name``: an earlier group's, or an ancestor's."""
        if self.template.steps is not None:
            other = self.call(name)
            return other is not None and other.group < call.group
        direct = self.waits_for.get(call.step.name, frozenset())
        return name != call.step.name and (name in direct or name in self._ancestors(call.step.name))

    def _ancestors(self, task: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(self.waits_for.get(task, ()))
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(self.waits_for.get(name, ()))
        return seen


def _named(task: DAGTask, every: frozenset[str]) -> frozenset[str] | None:
    """The tasks that ``task`` waits for; None if one does not exist or ``depends`` cannot be read."""
    names = frozenset(task.dependencies or ())
    try:
        names |= depends_language.parse(task.depends).tasks() if task.depends else frozenset()
    except depends_language.DependsError:
        return None
    return names if names <= every else None


@dataclass(frozen=True)
class Context:
    """One document under examination."""

    document: Document

    @property
    def workflow(self) -> Workflow:
        """The model."""
        return self.document.workflow

    @cached_property
    def templates(self) -> tuple[Placed, ...]:
        """All templates, those written inline among them."""
        return tuple(_place(self.workflow))

    @cached_property
    def by_name(self) -> dict[str, Placed]:
        """The templates of ``spec.templates`` that have a name; the first of equal ones."""
        found: dict[str, Placed] = {}
        for placed in self.templates:
            if len(placed.path) == 3:
                found.setdefault(placed.template.name, placed)
        return found

    def target(self, step: WorkflowStep) -> Template | None:
        """What the step or task calls; None if there is no such template."""
        if step.inline is not None:
            return step.inline
        placed = self.by_name.get(step.template or "")
        return placed.template if placed else None

    def raw(self, path: Path) -> Any:
        """The data as written at ``path``; None where there is nothing."""
        data: Any = self.document.data
        for part in path:
            if isinstance(data, dict):
                data = data.get(part)
            elif isinstance(data, list) and isinstance(part, int) and part < len(data):
                data = data[part]
            else:
                return None
        return data

    def texts(self, path: Path) -> Iterator[tuple[Path, str]]:
        """Every text at or below ``path``, with its place."""
        data = self.raw(path)
        if isinstance(data, str):
            yield path, data
        elif isinstance(data, dict):
            for key in data:
                yield from self.texts((*path, key))
        elif isinstance(data, list):
            for index in range(len(data)):
                yield from self.texts((*path, index))

    def fault(
        self, path: Path, code: str, message: str, hint: str = "", *, needle: str = "", severity: str = "error"
    ) -> Diagnostic:
        """A fault at ``path``, or at ``needle`` within the text there."""
        place = self.document.locate(path, needle) if needle else self.document.position(path)
        return Diagnostic(place, code, message, self.document.name(path), hint, severity)


Rule = Callable[[Context], Iterator[Diagnostic]]


def suggest(word: str, known: tuple[str, ...] | frozenset[str], what: str = "known here") -> str:
    """The nearest known word, else the few that there are."""
    if near := did_you_mean(word, known):
        return near
    if len(known) == 1 and what == "declared":
        return f"did you mean `{next(iter(known))}`?"
    return f"{what}: {', '.join(sorted(known)[:10])}" if known else ""


def _place(workflow: Workflow) -> Iterator[Placed]:
    waiting: list[tuple[Path, Template]] = [
        (("spec", "templates", index), template) for index, template in enumerate(workflow.spec.templates)
    ]
    while waiting:
        path, template = waiting.pop(0)
        calls = tuple(_calls(path, template))
        yield Placed(path, template, calls)
        waiting += [((*call.path, "inline"), call.step.inline) for call in calls if call.step.inline is not None]


def _calls(path: Path, template: Template) -> Iterator[Call]:
    for inner, step in template.calls():
        group = inner[1] if inner[0] == "steps" else 0
        yield Call((*path, *inner), step, group if isinstance(group, int) else 0)
