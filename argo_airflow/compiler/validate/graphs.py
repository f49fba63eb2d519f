"""DAGs: tasks exist, dependencies can be read and make no circle (semantics.md §3.4)."""

from __future__ import annotations

from collections.abc import Iterator

from argo_airflow.compiler.source import Path
from argo_airflow.compiler.validate.context import Context, Placed, suggest
from argo_airflow.errors import Diagnostic
from argo_airflow.lang import depends as depends_language
from argo_airflow.lang.variables import looped
from argo_airflow.spec import DAGTask


def _dags(context: Context) -> Iterator[Placed]:
    return (placed for placed in context.templates if placed.template.dag is not None)


def tasks(context: Context) -> Iterator[Diagnostic]:
    """A DAG has tasks, and uses either ``depends`` or ``dependencies``."""
    for placed in _dags(context):
        path = (*placed.path, "dag")
        found = [(call.path, call.step) for call in placed.calls if isinstance(call.step, DAGTask)]
        if not found:
            yield context.fault(path, "missing-field", "a dag must have at least one task")
        old = any(task.dependencies for _path, task in found)
        for task_path, task in found:
            if old and task.depends:
                message = "cannot use both 'depends' and 'dependencies' in the same DAG template"
                yield context.fault((*task_path, "depends"), "invalid-depends", message)
            if (task.depends or task.dependencies) and task.name[:1].isdigit():
                message = "name cannot begin with a digit when using either 'depends' or 'dependencies'"
                yield context.fault((*task_path, "name"), "invalid-name", message)


def dependencies(context: Context) -> Iterator[Diagnostic]:
    """The tasks that a task waits for exist, and the conditions on them have a meaning."""
    for placed in _dags(context):
        names = frozenset(call.step.name for call in placed.calls)
        for call in placed.calls:
            task = call.step
            if not isinstance(task, DAGTask):
                continue
            for index, name in enumerate(task.dependencies or ()):
                if name not in names:
                    path = (*call.path, "dependencies", index)
                    hint = suggest(name, names - {task.name}, "tasks")
                    yield context.fault(path, "undefined-dependency", f"dependency '{name}' not defined", hint)
            if task.depends:
                yield from _depends(context, placed, task.name, (*call.path, "depends"), task.depends)


def _depends(context: Context, placed: Placed, task: str, path: Path, text: str) -> Iterator[Diagnostic]:
    try:
        parsed = depends_language.parse(text)
    except depends_language.DependsError as error:
        yield context.fault(path, "invalid-depends", str(error), error.hint)
        return
    names = frozenset(call.step.name for call in placed.calls)
    for name in sorted(parsed.tasks() - names):
        message = f"dependency '{name}' not defined"
        yield context.fault(path, "undefined-dependency", message, suggest(name, names - {task}, "tasks"), needle=name)
    for one in parsed.conditions():
        call = placed.call(one.task)
        if one.result in ("AnySucceeded", "AllFailed") and call is not None and not looped(call.step):
            message = f"`{one}` is a condition on the items of a loop, but task '{one.task}' has no items"
            yield context.fault(path, "invalid-depends", message, needle=str(one))


def cycles(context: Context) -> Iterator[Diagnostic]:
    """No task waits for itself, directly or through others."""
    for placed in filter(lambda one: one.readable, _dags(context)):
        done: set[str] = set()
        for call in placed.calls:
            cycle = _cycle(call.step.name, placed.waits_for, done)
            if cycle:
                message = f"dependency cycle detected: {'->'.join(cycle)}"
                yield context.fault(call.path, "dependency-cycle", message)
                break


def _cycle(start: str, waits_for: dict[str, frozenset[str]], done: set[str]) -> list[str]:
    """The first circle met when walking the dependencies from ``start``; ``done`` tasks lead to none."""
    trail = {start: iter(sorted(waits_for.get(start, ())))}
    while trail:
        last = next(reversed(trail))
        name = next(trail[last], None)
        if name is None:
            done.add(last)
            del trail[last]
        elif name in trail:
            names = list(trail)
            return [*names[names.index(name) :], name]
        elif name not in done:
            trail[name] = iter(sorted(waits_for.get(name, ())))
    return []
