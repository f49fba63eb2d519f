"""Tags: every variable that is named is known at its place (semantics.md §2.2, §3.6).

A :class:`_Scope` is what a place knows. A tag that no place could know is an error where Argo resolves tags itself
(arguments, when, loops, outputs); in the text of a container Argo hands an unknown tag on as it is, so it is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from argo_airflow.compiler.parse import did_you_mean
from argo_airflow.compiler.source import Path
from argo_airflow.compiler.validate.context import Call, Context, Placed, suggest
from argo_airflow.errors import Diagnostic
from argo_airflow.lang import variables
from argo_airflow.lang.substitute import Tag
from argo_airflow.lang.substitute import tags as tags_of
from argo_airflow.lang.variables import looped
from argo_airflow.spec import Template

_PER_ITEM = ("template", "when")
_CALL_FIELDS = ("template", "when", "withItems", "withParam", "withSequence")
_SIBLING = re.compile(r"(steps|tasks)\.([^.]+)\.(.+)", re.DOTALL)


@dataclass(frozen=True)
class _Scope:
    """What tags may name at a place: ``call`` is the step or task that it belongs to, if it belongs to one."""

    known: frozenset[str]
    placed: Placed | None = None
    call: Call | None = None
    item: bool = False
    strict: bool = True
    artifacts: frozenset[str] = field(default=frozenset())

    @property
    def template(self) -> Template | None:
        return self.placed.template if self.placed else None


def tags(context: Context) -> Iterator[Diagnostic]:
    """Every tag names something known."""
    for scope, path in _places(context):
        for text_path, text in context.texts(path):
            for tag in tags_of(text) if "{{" in text else ():
                yield from _check(context, scope, text_path, tag)


def artifact_sources(context: Context) -> Iterator[Diagnostic]:
    """``from`` names an artifact that is known at its place; braces are optional, as in Argo."""
    for scope, path in _artifact_lists(context):
        for index, artifact in enumerate(context.raw(path) or ()):
            text = artifact.get("from") if isinstance(artifact, dict) else None
            if isinstance(text, str):
                yield from _check_source(context, scope, (*path, index, "from"), text)


def _places(context: Context) -> Iterator[tuple[_Scope, Path]]:
    """Every place where tags are resolved, with what is known there."""
    everywhere = variables.of_workflow(context.workflow)
    scope = _Scope(everywhere)
    yield scope, ("spec", "arguments", "parameters")
    on_exit = context.workflow.spec.on_exit or ""
    missing = bool(on_exit) and on_exit not in context.by_name
    at_exit = [placed.template for placed in context.templates] if missing else _reachable(context, on_exit)
    for placed in context.templates:
        known = everywhere | variables.of_inputs(placed.template) | frozenset(variables.NODE)
        if any(placed.template is template for template in at_exit):
            known |= frozenset(variables.EXIT)
        scope = replace(scope, known=known, placed=placed, call=None)
        yield scope, (*placed.path, "inputs")
        if placed.composite:
            yield from _composite(scope, placed)
        else:
            pod = replace(scope, known=known | variables.of_pod(placed.template), strict=False)
            yield from ((pod, (*placed.path, kind)) for kind in ("container", "script", "outputs"))


def _composite(scope: _Scope, placed: Placed) -> Iterator[tuple[_Scope, Path]]:
    for call in placed.calls:
        here = replace(scope, call=call, item=looped(call.step))
        yield from ((replace(here, item=here.item and key in _PER_ITEM), (*call.path, key)) for key in _CALL_FIELDS)
        yield here, (*call.path, "arguments", "parameters")
        for index, artifact in enumerate(call.step.arguments.artifacts):
            if artifact.raw is not None:
                yield here, (*call.path, "arguments", "artifacts", index, "raw")
    yield scope, (*placed.path, "outputs", "parameters")


def _artifact_lists(context: Context) -> Iterator[tuple[_Scope, Path]]:
    """Every list of artifacts that may have ``from``, with the artifacts of its template's inputs."""
    for placed in context.templates:
        if placed.composite:
            own = frozenset(f"inputs.artifacts.{a.name}" for a in placed.template.inputs.artifacts)
            for call in placed.calls:
                yield _Scope(frozenset(), placed, call, artifacts=own), (*call.path, "arguments", "artifacts")
            yield _Scope(frozenset(), placed, artifacts=own), (*placed.path, "outputs", "artifacts")


def _reachable(context: Context, start: str) -> list[Template]:
    """The templates that a run of ``start`` may use."""
    placed = context.by_name.get(start)
    found: list[Template] = []
    waiting = [placed.template] if placed else []
    while waiting:
        template = waiting.pop()
        if not any(template is one for one in found):
            found.append(template)
            waiting += [target for _, step in template.calls() if (target := context.target(step)) is not None]
    return found


def _check(context: Context, scope: _Scope, path: Path, tag: Tag) -> Iterator[Diagnostic]:
    if tag.expression or tag.nested:
        what = "expression tags `{{=…}}` are" if tag.expression else "tags inside tags are"
        yield context.fault(path, "unsupported-feature", f"{what} not supported yet", needle=tag.raw)
        return
    found = _problem(context, scope, tag.name)
    if found is not None:
        code, reason, hint = found
        lenient = code == "unknown-variable" and not scope.strict
        severity = "warning" if lenient else "error"
        hint = f"{hint}; else the container gets the tag as it is written" if hint and lenient else hint
        yield context.fault(path, code, reason, hint, needle=tag.raw, severity=severity)


_Problem = tuple[str, str, str] | None


def _problem(context: Context, scope: _Scope, name: str) -> _Problem:
    """Code, message and hint of what is wrong with a variable's name; None if it is known."""
    leaf_only = scope.strict and name in variables.LEAF_ONLY
    if name in scope.known and not leaf_only:
        return None
    if name == "item" or name.startswith("item."):
        return _item(scope, name)
    if sibling := _SIBLING.fullmatch(name):
        return _sibling(context, scope, name, *sibling.groups())
    retried = scope.template is not None and scope.template.retry_strategy is not None
    if leaf_only or name.startswith(variables.UNSUPPORTED) or (retried and name in variables.RETRY):
        return "unsupported-feature", f"variable {{{{{name}}}}} is not supported yet", ""
    if name == "workflow.status":
        return "unsupported-feature", "{{workflow.status}} outside the exit handler is not supported yet", ""
    if name in variables.EXIT:
        reason = f"failed to resolve {{{{{name}}}}}"
        return "unresolved-reference", reason, "it is only known in the exit handler (spec.onExit)"
    if name.startswith("inputs.") and scope.template is not None:
        return _declared(scope, name)
    if name.startswith("outputs.") and not scope.strict:
        return "unknown-variable", f"unknown variable {{{{{name}}}}}", did_you_mean(name, scope.known)
    if name.startswith(variables.PREFIXES):
        return "unresolved-reference", f"failed to resolve {{{{{name}}}}}", _hint(scope, name)
    return "unknown-variable", f"unknown variable {{{{{name}}}}}", _bare_hint(scope, name)


def _hint(scope: _Scope, name: str) -> str:
    prefix, _, last = name.rpartition(".")
    if prefix == "workflow.parameters":
        declared = frozenset(
            one.removeprefix("workflow.parameters.") for one in scope.known if one.startswith("workflow.parameters.")
        ) - {"json"}
        near = did_you_mean(last, declared)
        return f"{near} Or " * bool(near) + f"declare {last} under spec.arguments.parameters"
    return did_you_mean(name, scope.known)


def _bare_hint(scope: _Scope, name: str) -> str:
    for prefix in ("inputs.parameters.", "workflow.parameters."):
        if prefix + name in scope.known:
            return f"write {{{{{prefix}{name}}}}}"
    if re.fullmatch(r"[-\w]+", name):
        return f"declare {name} under spec.arguments.parameters and write {{{{workflow.parameters.{name}}}}}"
    return did_you_mean(name, scope.known)


def _item(scope: _Scope, name: str) -> _Problem:
    if scope.item:
        return None
    reason = f"failed to resolve {{{{{name}}}}}"
    if scope.call is not None:
        return "unresolved-reference", reason, "the step or task needs withItems, withParam or withSequence"
    hint = "it is only known in the step or task with the loop; pass it on as an argument"
    code = "unresolved-reference" if scope.strict or name != "item" else "unknown-variable"
    return code, reason, hint


def _declared(scope: _Scope, name: str) -> _Problem:
    """A parameter or artifact that the template does not take."""
    assert scope.template is not None
    _, _, rest = name.partition(".")
    kind, _, what = rest.partition(".")
    inputs = scope.template.inputs
    reason = f"failed to resolve {{{{{name}}}}}"
    if kind == "artifacts":
        return (
            "unresolved-reference",
            reason,
            did_you_mean(name, scope.known) or "an artifact's value is used by `from`",
        )
    known = frozenset(p.name for p in inputs.parameters)
    if kind != "parameters" or not what:
        return "unresolved-reference", reason, did_you_mean(name, scope.known)
    near = suggest(what, known, "declared")
    hint = near or f"declare {what} under inputs.parameters of the template"
    return "unresolved-reference", f"{reason}: the template declares no input parameter `{what}`", hint


def _sibling(context: Context, scope: _Scope, name: str, kind: str, task: str, rest: str) -> _Problem:
    """``steps.<task>.<rest>`` or ``tasks.<task>.<rest>``."""
    reason = f"failed to resolve {{{{{name}}}}}"
    placed = scope.placed
    if placed is None or not placed.composite:
        hint = "a step's or task's outputs are known in its steps or dag template; pass them as an argument"
        return "unresolved-reference", reason, hint
    unreachable = _unreachable(scope, placed, kind, task)
    if unreachable is not None:
        what, hint = unreachable
        return "unresolved-reference", f"{reason}: {what}", hint
    call = placed.call(task)
    template = context.target(call.step) if call else None
    if call is None or template is None:
        return None
    known = variables.of_call(call.step, template)
    if rest in known or not (variables.runs_pod(template) or template.steps is not None or template.dag is not None):
        return None  # the fault of a template without a known type is reported at the template
    if rest == "ip":
        return "unsupported-feature", f"variable {{{{{name}}}}} (of daemons) is not supported yet", ""
    return "unresolved-reference", *_unknown_output(reason, call, template, rest, known)


def _unreachable(scope: _Scope, placed: Placed, kind: str, task: str) -> tuple[str, str] | None:
    """Why the results of ``task`` are not to be had at this place; message and hint."""
    one = placed.kind.removesuffix("s")
    if kind != placed.kind:
        return f"this is a {'steps' if one == 'step' else 'dag'} template", f"write {placed.kind}.{task}"
    if placed.call(task) is None:
        names = frozenset(call.step.name for call in placed.calls) - {scope.call.step.name if scope.call else ""}
        return f"there is no {one} `{task}`", suggest(task, names, placed.kind)
    if scope.call is None or placed.knows(scope.call, task):
        return None
    if task == scope.call.step.name:
        return f"a {one} cannot use its own outputs", ""
    if one == "step":
        return f"step `{task}` does not run in an earlier group", "steps of one group run side by side"
    hint = f"add {task} to its `{'depends' if getattr(scope.call.step, 'depends', None) else 'dependencies'}`"
    return f"task `{task}` is not an ancestor of `{scope.call.step.name}`", hint


def _unknown_output(reason: str, call: Call, template: Template, rest: str, known: frozenset[str]) -> tuple[str, str]:
    """Message and hint for an output that the called template does not have."""
    called = f"template `{template.name}`" if template.name else "the inline template"
    if rest.startswith("outputs.parameters."):
        names = frozenset(p.name for p in template.outputs.parameters)
        what = rest.removeprefix("outputs.parameters.")
        return f"{reason}: {called} declares no output parameter `{what}`", suggest(what, names, "declared")
    if rest.startswith("outputs.artifacts."):
        return reason, "an artifact is passed under arguments.artifacts, by `from`"
    if rest in ("outputs.result", "exitCode") and not looped(call.step):
        return f"{reason}: only container and script templates have it, {called} is neither", ""
    return reason, did_you_mean(rest, known)


def _check_source(context: Context, scope: _Scope, path: Path, text: str) -> Iterator[Diagnostic]:
    found = list(tags_of(text))
    stripped = text.strip()
    if any(tag.expression or tag.nested for tag in found):
        yield from _check(context, scope, path, next(tag for tag in found if tag.expression or tag.nested))
        return
    if len(found) > 1 or (found and found[0].raw != stripped):
        hint = "write from: '{{tasks.<name>.outputs.artifacts.<name>}}'"
        yield context.fault(path, "unresolved-reference", "`from` must be one tag", hint)
        return
    name = found[0].name if found else stripped
    problem = _source_problem(context, scope, name)
    if problem is not None:
        code, reason, hint = problem
        yield context.fault(path, code, reason, hint, needle=found[0].raw if found else stripped)


def _source_problem(context: Context, scope: _Scope, name: str) -> _Problem:
    if name in scope.artifacts:
        return None
    reason = f"failed to resolve {{{{{name}}}}}"
    if name.startswith(variables.UNSUPPORTED):
        return "unsupported-feature", f"{{{{{name}}}}} is not supported yet", ""
    sibling = _SIBLING.fullmatch(name)
    if sibling is None or not sibling[3].startswith("outputs.artifacts."):
        if "parameters" in name or name.endswith("outputs.result"):
            return "unresolved-reference", f"{reason}: it is not an artifact", "pass it under arguments.parameters"
        return "unresolved-reference", reason, suggest(name, scope.artifacts, "artifacts here")
    placed = scope.placed
    assert placed is not None
    kind, task, what = sibling[1], sibling[2], sibling[3].removeprefix("outputs.artifacts.")
    unreachable = _unreachable(scope, placed, kind, task)
    if unreachable is not None:
        return "unresolved-reference", f"{reason}: {unreachable[0]}", unreachable[1]
    call = placed.call(task)
    template = context.target(call.step) if call else None
    if call is None or template is None:
        return None
    known = frozenset(variables.artifacts_of(template))
    if what not in known:
        called = f"template `{template.name}`" if template.name else "the inline template"
        message = f"{reason}: {called} declares no output artifact `{what}`"
        return "unresolved-reference", message, suggest(what, known, "declared")
    if looped(call.step):
        return "unresolved-reference", f"{reason}: artifacts of a loop are not put together", ""
    return None
