"""Tags become references: what a text means inside the composite template where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from argo_airflow.graph import ArtifactBinding, Binding, Loop, Ref, Text
from argo_airflow.lang import loops, variables
from argo_airflow.lang.substitute import Tag, split
from argo_airflow.spec import Arguments, Artifact, DAGTask, Template, WorkflowStep

_PHASE = re.compile(r"(steps|tasks)\.[-\w]+\.status\b")


@dataclass(frozen=True)
class Placed:
    """A drawn task: the ids to wait for, whose phase is its phase, and where its outputs are."""

    leaves: tuple[str, ...]
    phase: str
    may_omit: bool = False
    """It may end Omitted, which Airflow cannot tell from Skipped."""
    defaults: dict[str, str | None] = field(default_factory=dict)
    """``valueFrom.default`` by output parameter, for when the producer was skipped (semantics.md §2.8)."""
    inner: Frame | None = None
    """The frame of an inlined template."""
    looped: bool = False

    def value(self, rest: str, tag: str) -> Text | None:
        """What ``tasks.<name>.<rest>`` stands for; None if an inlined template gives no such thing."""
        parameter = rest.removeprefix("outputs.parameters.") if rest.startswith("outputs.parameters.") else ""
        if self.inner is None:
            source = "loop" if self.looped else "node"
            return (Ref(source, self.phase, rest, tag, self.defaults.get(parameter)),)
        if parameter:
            return next((with_default(b) for b in self.inner.output_parameters() if b.name == parameter), None)
        return (Ref("node", self.phase, rest, tag),) if rest == "status" and self.phase else None

    def artifact(self, rest: str, tag: str) -> ArtifactBinding | None:
        """What ``tasks.<name>.outputs.artifacts.<x>`` stands for."""
        name = rest.removeprefix("outputs.artifacts.")
        if self.inner is None:
            return ArtifactBinding(name, Ref("node", self.phase, rest, tag))
        return next((a for a in self.inner.output_artifacts() if a.name == name), None)


@dataclass
class Frame:
    """A composite template being drawn: what its inputs stand for and where its tasks have been placed."""

    template: Template
    parameters: dict[str, Text]
    artifacts: dict[str, ArtifactBinding]
    group: str = ""
    path: str = ""
    upstream: tuple[str, ...] = ()
    phase_wanted: bool = False
    exact: bool = True
    placed: dict[str, Placed] = field(default_factory=dict)

    def task_id(self, *names: str) -> str:
        """The Airflow task id of a task of this template."""
        return ".".join(filter(None, (self.group, *names)))

    def bind(self, text: str) -> Text:
        """Split ``text``; a tag that has no meaning here stays as written (semantics.md §2.1)."""
        parts: list[str | Ref] = []
        for part in split(text):
            found = self._meaning(part.name) if isinstance(part, Tag) else None
            for piece in found if found is not None else (part.raw if isinstance(part, Tag) else part,):
                if isinstance(piece, str) and parts and isinstance(parts[-1], str):
                    parts[-1] += piece
                else:
                    parts.append(piece)
        return tuple(parts)

    def _meaning(self, name: str) -> Text | None:
        if name == "item" or name.startswith("item."):
            return (Ref("item", field=name[5:], tag=name),)
        if name in variables.NODE:
            return self._own_name(name)
        if name.startswith("workflow."):
            return (Ref("workflow", name.removeprefix("workflow."), tag=name),)
        if name.startswith("inputs.parameters."):
            return self.parameters.get(name.removeprefix("inputs.parameters."))
        if (found := self._sibling(name)) is not None:
            placed, rest = found
            return placed.value(rest, name)
        return None

    def _own_name(self, tag: str) -> Text:
        """``node.name``, ``steps.name`` and ``tasks.name`` of the template's own node."""
        if tag == "node.name":
            return (Ref("run", "node_name", self.path, tag),)
        return (self.path.rpartition(".")[2],) if self.path else (Ref("run", "name", tag=tag),)

    def _sibling(self, name: str) -> tuple[Placed, str] | None:
        """The task that ``steps.<task>.<rest>`` or ``tasks.<task>.<rest>`` names."""
        kind, _, rest = name.partition(".")
        task, _, rest = rest.partition(".")
        if kind in ("steps", "tasks") and rest and task in self.placed:
            return self.placed[task], rest
        return None

    def arguments(
        self, arguments: Arguments, template: Template
    ) -> tuple[tuple[Binding, ...], tuple[ArtifactBinding, ...]]:
        """Bind what a call passes to what ``template`` declares (semantics.md §2.9)."""
        given = {p.name: p for p in arguments.parameters}
        artifacts = {a.name: a for a in arguments.artifacts}
        bindings = []
        for declared in template.inputs.parameters:
            own = declared.value if declared.value is not None else declared.default
            passed = given.get(declared.name)
            value = None if passed is None else passed.value
            if value is None and own is not None and _has_refs(text := _own_text(template, own)):
                bindings.append(Binding(declared.name, text))
            else:
                bindings.append(Binding(declared.name, None if value is None else self.bind(value), own))
        own_inputs = {b.name: bound for b in bindings if (bound := with_default(b)) is not None}
        inside = Frame(template, own_inputs, {})
        return tuple(bindings), tuple(
            (self if declared.name in artifacts else inside).artifact(artifacts.get(declared.name), declared)
            for declared in template.inputs.artifacts
            if declared.name in artifacts or declared.raw
        )

    def passed_on(self) -> tuple[tuple[Binding, ...], tuple[ArtifactBinding, ...]]:
        """This frame's own inputs as bindings, for an entrypoint that is a single node."""
        bindings = tuple(
            Binding(p.name, self.parameters.get(p.name), p.value if p.value is not None else p.default)
            for p in self.template.inputs.parameters
        )
        return bindings, tuple(self.artifacts.values())

    def artifact(self, argument: Artifact | None, declared: Artifact) -> ArtifactBinding:
        """Where input ``declared`` comes from: the argument, or its own raw content."""
        source = argument or declared
        optional = declared.optional or source.optional
        if source.raw is not None:
            return ArtifactBinding(declared.name, raw=self.bind(source.raw.data), optional=optional)
        found = self.source(source.from_ or "")
        if found is None:
            return ArtifactBinding(declared.name, optional=optional)
        return ArtifactBinding(declared.name, found.ref, found.raw, optional or found.optional)

    def source(self, text: str) -> ArtifactBinding | None:
        """What ``from: "{{…}}"`` (braces optional, as in Argo) points at."""
        name = text.strip().removeprefix("{{").removesuffix("}}").strip()
        if name.startswith("inputs.artifacts."):
            return self.artifacts.get(name.removeprefix("inputs.artifacts."))
        if (found := self._sibling(name)) is not None:
            placed, rest = found
            return placed.artifact(rest, name)
        return None

    def output_parameters(self) -> Iterator[Binding]:
        """The template's output parameters, seen from inside it."""
        for parameter in self.template.outputs.parameters:
            source = parameter.value_from
            if source is not None and source.parameter:
                yield Binding(parameter.name, self.bind(source.parameter), source.default)
            elif parameter.value is not None:
                yield Binding(parameter.name, self.bind(parameter.value))

    def output_artifacts(self) -> Iterator[ArtifactBinding]:
        """The template's output artifacts, seen from inside it."""
        for artifact in self.template.outputs.artifacts:
            found = self.source(artifact.from_ or "")
            if found is not None:
                yield ArtifactBinding(artifact.name, found.ref, found.raw, artifact.optional or found.optional)


def with_default(binding: Binding) -> Text | None:
    """What a value of an inlined template stands for; an absent reference gives way to the binding's own default."""
    text, default = binding.text, binding.default
    if text is None:
        return None if default is None else (default,)
    if default is not None and len(text) == 1 and isinstance(text[0], Ref) and text[0].default is None:
        return (replace(text[0], default=default),)
    return text


def _own_text(template: Template, value: str) -> Text:
    """An input's own value or default, in which only the workflow's variables mean something (semantics.md §2.1)."""
    text = Frame(template, {}, {}).bind(value)
    return text if all(part.source == "workflow" for part in text if isinstance(part, Ref)) else (value,)


def needs_phase(template: Template) -> bool:
    """Whether a task of the template asks for another's status, so that groups must publish theirs."""
    return bool(_PHASE.search(template.model_dump_json(include={"steps", "dag", "outputs"})))


def loop_of(call: WorkflowStep | DAGTask, frame: Frame) -> Loop | None:
    """The loop of a step or task, its tags bound; None without one."""
    if call.with_items is not None:
        return Loop(items=tuple(_bind_item(item, frame) for item in loops.items(call.with_items)))
    if call.with_param is not None:
        text = frame.bind(call.with_param)
        literal = _literal_list("".join(map(str, text))) if not _has_refs(text) else None
        return Loop(param=text) if literal is None else Loop(items=tuple(literal))
    if call.with_sequence is not None:
        fields = call.with_sequence.model_dump(exclude_none=True)
        texts = tuple((name, frame.bind(value)) for name, value in fields.items())
        literal = None if any(_has_refs(text) for _, text in texts) else _literal_sequence(texts)
        return Loop(sequence=texts) if literal is None else Loop(items=tuple(literal))
    return None


def _literal_sequence(texts: Iterable[tuple[str, Text]]) -> list[str] | None:
    """The items of a sequence without references; None if they cannot be made: then the node fails when it runs."""
    try:
        return loops.sequence(**{name: "".join(map(str, text)) for name, text in texts})
    except loops.LoopError:
        return None


def _bind_item(item: Any, frame: Frame) -> Any:
    """An item with the tags of its strings bound: a tuple is a text, lists stay lists."""
    if isinstance(item, str):
        text = frame.bind(item)
        return text if _has_refs(text) else item
    if isinstance(item, dict):
        return {key: _bind_item(value, frame) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_bind_item(value, frame) for value in item]
    return item


def _has_refs(text: Iterable[Any]) -> bool:
    return any(isinstance(part, Ref) for part in text)


def _literal_list(text: str) -> list[Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) else None
