"""Steps and tasks: what they call and pass, over which items, on which condition (semantics.md §3.2, §3.4)."""

from __future__ import annotations

from collections.abc import Iterator

from argo_airflow.compiler.source import Path
from argo_airflow.compiler.validate.context import Call, Context, suggest
from argo_airflow.errors import Diagnostic
from argo_airflow.lang import loops as loop_language
from argo_airflow.lang import when as when_language
from argo_airflow.lang.substitute import substitute
from argo_airflow.spec import Arguments, Parameter, Template


def _all(context: Context) -> Iterator[Call]:
    return (call for placed in context.templates for call in placed.calls)


def targets(context: Context) -> Iterator[Diagnostic]:
    """A step or task calls one template that exists."""
    for call in _all(context):
        step, name = call.step, call.step.template or ""
        written = context.raw(call.path) or {}
        if step.inline is not None and name:
            yield context.fault(call.path, "invalid-value", "choose one of template, inline")
        elif step.inline is None and not name and "templateRef" not in written:
            yield context.fault(call.path, "missing-field", "template name is required")
        elif "{{" in name:
            message = "a template name with tags is not supported yet"
            yield context.fault((*call.path, "template"), "unsupported-feature", message)
        elif name and name not in context.by_name:
            hint = suggest(name, frozenset(context.by_name), "templates")
            yield context.fault(
                (*call.path, "template"), "undefined-template", f"template name '{name}' undefined", hint
            )


def arguments_have_values(context: Context) -> Iterator[Diagnostic]:
    """What is passed has a value; a workflow's own parameters may get theirs when it is started."""
    for call in _all(context):
        for index, parameter in enumerate(call.step.arguments.parameters):
            path = (*call.path, "arguments", "parameters", index)
            yield from _value_from(context, path, parameter)
            if parameter.value is None and parameter.value_from is None and parameter.default is None:
                yield context.fault(path, "missing-field", f"argument {parameter.name} needs a `value`")
        yield from _artifacts(context, (*call.path, "arguments"), call.step.arguments)
    path = ("spec", "arguments")
    for index, parameter in enumerate(context.workflow.spec.arguments.parameters):
        yield from _value_from(context, (*path, "parameters", index), parameter)
    yield from _artifacts(context, path, context.workflow.spec.arguments)


def _value_from(context: Context, path: Path, parameter: Parameter) -> Iterator[Diagnostic]:
    source = parameter.value_from
    if source is not None and (source.path is not None or source.parameter is not None):
        message = "valueFrom of an argument only allows: default, configMapKeyRef and supplied"
        yield context.fault((*path, "valueFrom"), "invalid-value", message, "pass it by `value: '{{…}}'`")


def _artifacts(context: Context, path: Path, arguments: Arguments) -> Iterator[Diagnostic]:
    for index, artifact in enumerate(arguments.artifacts):
        written = context.raw((*path, "artifacts", index)) or {}
        if set(written) <= {"name", "optional", "mode", "path", "archive"} and not artifact.optional:
            message = f"artifact {artifact.name}: `from` or `raw` is required"
            yield context.fault((*path, "artifacts", index), "missing-field", message)


def inputs_are_supplied(context: Context) -> Iterator[Diagnostic]:
    """Every input without a default gets an argument."""
    spec = context.workflow.spec
    for call in _all(context):
        template = context.target(call.step)
        if template is not None:
            yield from _supplied(context, call.path, template, call.step.arguments)
    for key, name in (("entrypoint", spec.entrypoint), ("onExit", spec.on_exit)):
        placed = context.by_name.get(name or "")
        if placed is not None:
            yield from _supplied(context, ("spec", key), placed.template, spec.arguments)


def _supplied(context: Context, path: Path, template: Template, arguments: Arguments) -> Iterator[Diagnostic]:
    declared = {p.name for p in template.inputs.parameters}
    passed = {p.name for p in arguments.parameters}
    where = f"templates.{template.name} " if template.name else ""
    for parameter in template.inputs.parameters:
        bare = parameter.value is None and parameter.default is None and parameter.value_from is None
        if bare and parameter.name not in passed:
            near = (
                suggest(parameter.name, frozenset(passed - declared), "passed")
                if path[0] == "spec" and len(path) > 2
                else ""
            )
            hint = f"pass it under arguments.parameters; {near}" if near else "pass it under arguments.parameters"
            message = f"{where}inputs.parameters.{parameter.name} was not supplied"
            yield context.fault(path, "missing-argument", message, _argument_hint(path, hint))
    given = {a.name for a in arguments.artifacts}
    for index, artifact in enumerate(template.inputs.artifacts):
        located = artifact.raw is not None or _has_location(context, template, index)
        if not artifact.optional and not located and artifact.name not in given:
            message = f"{where}inputs.artifacts.{artifact.name} was not supplied"
            hint = "pass it under arguments.artifacts"
            yield context.fault(path, "missing-argument", message, _argument_hint(path, hint))


def _argument_hint(path: Path, hint: str) -> str:
    return hint.replace("pass it under ", "declare it under spec.") if len(path) == 2 else hint


def _has_location(context: Context, template: Template, index: int) -> bool:
    """Whether the artifact has a location (s3, git …) of its own: refused elsewhere, but not missing."""
    placed = next((one for one in context.templates if one.template is template), None)
    written = context.raw((*placed.path, "inputs", "artifacts", index)) if placed else None
    return bool(
        set(written or {}) - {"name", "path", "optional", "mode", "archive", "from", "recurseMode", "globalName"}
    )


def enums(context: Context) -> Iterator[Diagnostic]:
    """A value is one of its enum."""
    lists: list[tuple[Path, tuple[Parameter, ...]]] = [
        (("spec", "arguments", "parameters"), context.workflow.spec.arguments.parameters)
    ]
    lists += [((*one.path, "inputs", "parameters"), one.template.inputs.parameters) for one in context.templates]
    for path, parameters in lists:
        for index, parameter in enumerate(parameters):
            if parameter.enum is None:
                continue
            if not parameter.enum:
                yield context.fault((*path, index, "enum"), "invalid-value", "enum should contain at least one value")
            elif parameter.value is not None and "{{" not in parameter.value and parameter.value not in parameter.enum:
                hint = f"one of: {', '.join(parameter.enum)}"
                message = f"value {parameter.value!r} should be present in the enum list"
                yield context.fault((*path, index, "value"), "invalid-value", message, hint)


def loops(context: Context) -> Iterator[Diagnostic]:
    """A step or task has at most one kind of loop; a list that is written out can be read."""
    for call in _all(context):
        step = call.step
        found = [
            key
            for key, value in (
                ("withItems", step.with_items),
                ("withParam", step.with_param),
                ("withSequence", step.with_sequence),
            )
            if value is not None
        ]
        if len(found) > 1:
            message = "only one of withItems, withParam, withSequence can be specified"
            yield context.fault((*call.path, found[1]), "invalid-loop", message)
        if found == ["withItems"]:
            continue
        for key in found:
            source = step.with_param if key == "withParam" else step.with_sequence
            written = source if isinstance(source, str) else source.model_dump_json() if source else ""
            if source is not None and "{{" not in written:
                try:
                    loop_language.items(source)
                except loop_language.LoopError as error:
                    yield context.fault((*call.path, key), "invalid-loop", str(error))
            elif step.with_sequence and step.with_sequence.count and step.with_sequence.end:
                message = "only one of count or end can be defined in withSequence"
                yield context.fault((*call.path, key), "invalid-loop", message)


def conditions(context: Context) -> Iterator[Diagnostic]:
    """A condition can be read; where it holds tags, as far as that can be told before they have values."""
    for call in _all(context):
        text = call.step.when
        if not text or "{{=" in text:
            continue
        try:
            when_language.check(substitute(text, lambda _name: "x"))
        except when_language.WhenError as error:
            reason = (
                str(error.__cause__ or error)
                if "{{" not in text
                else str(error).replace(substitute(text, lambda _name: "x"), text)
            )
            if "{{" not in text or "Invalid token" in reason or "Unbalanced" in reason:
                yield context.fault((*call.path, "when"), "invalid-when", reason)
