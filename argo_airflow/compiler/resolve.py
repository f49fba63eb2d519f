"""Stage 3: one table of templates, and who calls whom.

Steps and dag become the same thing here: a list of :class:`Task` with the names each waits for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from argo_airflow.lang import depends as depends_language
from argo_airflow.spec import DAGTask, Template, Workflow, WorkflowStep


@dataclass(frozen=True)
class Task:
    """A step or a dag task: what it calls, after which siblings, and its name below the node of its template."""

    name: str
    target: str
    path: str
    call: WorkflowStep | DAGTask
    depends: str = ""
    waits_for: tuple[str, ...] = ()
    plain: bool = True
    """The dependency is an AND of bare names (Argo: common/ancestry.go:124)."""


@dataclass(frozen=True)
class Resolved:
    """A workflow's templates by name; an inline template is named ``<template>.<task>``."""

    workflow: Workflow
    templates: dict[str, Template]
    tasks: dict[str, tuple[Task, ...]]
    """The tasks of each composite template."""

    def composite(self, name: str) -> bool:
        """Whether the template is steps or dag."""
        return name in self.tasks

    @cached_property
    def reaches(self) -> dict[str, frozenset[str]]:
        """For each composite template, all templates that a run of it may call."""
        direct = {name: {task.target for task in tasks} for name, tasks in self.tasks.items()}
        return {name: frozenset(_reachable(name, direct)) for name in direct}

    def recursive(self, name: str) -> bool:
        """Whether the template may call itself."""
        return name in self.reaches.get(name, ())

    def size(self, name: str) -> int:
        """How many nodes a run of the template has at least, with all it calls; a recursive call counts as one."""
        return self._sizes[name]

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        waiting = list(self.templates)
        while waiting:
            name = waiting[-1]
            called = [task.target for task in self.tasks.get(name, ())]
            unknown = [] if self.recursive(name) else [target for target in called if target not in sizes]
            if unknown:
                waiting += unknown
                continue
            sizes[waiting.pop()] = 1 if self.recursive(name) else sum(sizes[target] for target in called) or 1
        return sizes

    def same_recursion(self, one: str, other: str) -> bool:
        """Whether the two templates may call each other."""
        return other in self.reaches.get(one, ()) and one in self.reaches.get(other, ())


def _reachable(start: str, direct: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(direct[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(direct.get(name, ()))
    return seen


def resolve(workflow: Workflow) -> Resolved:
    """Build the table. The workflow must have passed ``validate``: every name is defined."""
    templates: dict[str, Template] = {}
    tasks: dict[str, tuple[Task, ...]] = {}
    waiting = [(template.name, template) for template in workflow.spec.templates]
    while waiting:
        name, template = waiting.pop(0)
        templates[name] = template
        found = tuple(_tasks(name, template))
        if template.steps is not None or template.dag is not None:
            tasks[name] = found
        waiting += [(task.target, task.call.inline) for task in found if task.call.inline is not None]
    return Resolved(workflow, templates, tasks)


def _tasks(owner: str, template: Template) -> Iterable[Task]:
    if template.steps is not None:
        before: tuple[str, ...] = ()
        for index, group in enumerate(template.steps):
            for step in group:
                yield Task(
                    name=step.name,
                    target=_target(owner, step),
                    path=f"[{index}].{step.name}",
                    call=step,
                    depends=" && ".join(before),
                    waits_for=before,
                )
            before = tuple(step.name for step in group) or before
    elif template.dag is not None:
        names = {task.name for task in template.dag.tasks}
        for task in template.dag.tasks:
            text = task.depends or " && ".join(task.dependencies or ())
            parsed = depends_language.parse(text, names) if text else None
            yield Task(
                name=task.name,
                target=_target(owner, task),
                path=f".{task.name}",
                call=task,
                depends=text,
                waits_for=tuple(sorted(parsed.tasks())) if parsed else (),
                plain=parsed is None or depends_language.plain(parsed),
            )


def _target(owner: str, call: WorkflowStep | DAGTask) -> str:
    return f"{owner}.{call.name}" if call.inline is not None else call.template or ""
