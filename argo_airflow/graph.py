"""What will run: the compiler's result, read by ``compiler.dag`` and by the worker.

A :class:`Graph` holds one :class:`DagGraph` for the workflow itself and one for each template that Airflow can only run
as a DAG of its own (recursion, loops over composites, retried composites). All dataclasses are frozen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

END, EXIT, GATE, ITEMS, MAIN = "_end", "_onExit", "_when", "_items", "_main"
"""Our own task ids, the first four of nodes; no Argo name has an underscore (validate.go: name rules).

``_main`` is no node: a leaf that carries the workflow's own phase into the run's state beside an exit handler.
"""


@dataclass(frozen=True)
class Ref:
    """A value known only when the workflow runs.

    ``source`` says where the worker finds it:

    - ``node``: ``name`` is a task id of the same DAG, ``field`` what of it (``outputs.result``,
      ``outputs.parameters.x``, ``outputs.artifacts.y``, ``status``, ``exitCode`` …);
    - ``loop``: the same of a looped task, its items' outputs together;
    - ``input``: ``name`` of a parameter or artifact of the run;
    - ``item``: ``field`` is a key, or empty;
    - ``run``: the own node of the DAG's template: its Argo ``node_name``, with ``field`` behind it, or its ``name``;
    - ``workflow``: ``name`` is the variable without ``workflow.``.

    ``tag`` is what the user wrote; ``default`` stands in for a producer that was skipped.
    """

    source: str
    name: str = ""
    field: str = ""
    tag: str = ""
    default: str | None = None

    def __str__(self) -> str:
        inner = ".".join(filter(None, (self.source, self.name, self.field)))
        return f"{{{inner}}}" if self.default is None else f"{{{inner} ?? {self.default!r}}}"


Text = tuple["str | Ref", ...]
"""A string whose tags have become references."""


def show(text: Text) -> str:
    """The text as one readable line, references in braces."""
    return json.dumps("".join(map(str, text)), ensure_ascii=False)


@dataclass(frozen=True)
class Binding:
    """The value of one input parameter of a node: the argument, or the template's own default."""

    name: str
    text: Text | None
    default: str | None = None

    def __str__(self) -> str:
        default = "" if self.default is None else f" ?? {self.default!r}"
        return f"{self.name} = {'(none)' if self.text is None else show(self.text)}{default}"


@dataclass(frozen=True)
class ArtifactBinding:
    """Where one input artifact of a node comes from: a producer (``ref``) or literal content (``raw``)."""

    name: str
    ref: Ref | None = None
    raw: Text | None = None
    optional: bool = False


@dataclass(frozen=True)
class Loop:
    """``withItems`` (``items``), ``withParam`` (``param``) or ``withSequence`` (``sequence``: count, start, end…)."""

    items: tuple[Any, ...] | None = None
    param: Text | None = None
    sequence: tuple[tuple[str, Text], ...] = ()
    producer: str = ""
    """Task id whose XCom ``return_value`` is the list; empty: the literal list itself."""

    @property
    def literal(self) -> bool:
        """Whether the list is known before the workflow runs."""
        return self.items is not None and not any(self.texts())

    def texts(self) -> Iterator[Text]:
        """All texts of the loop that hold references."""
        yield from (text for _, text in self.sequence)
        if self.param is not None:
            yield self.param
        yield from _item_texts(list(self.items or ()))


def _item_texts(item: Any) -> Iterator[Text]:
    """The texts inside an item: a tuple is a text, lists and maps are the user's own."""
    if isinstance(item, tuple):
        yield item
    elif isinstance(item, dict | list):
        for value in item.values() if isinstance(item, dict) else item:
            yield from _item_texts(value)


@dataclass(frozen=True)
class InputArtifact:
    """An input artifact of a pod template."""

    name: str
    path: str
    optional: bool = False
    mode: int | None = None
    archive: str | None = None


@dataclass(frozen=True)
class OutputParameter:
    """An output parameter read from ``path`` of the container, or a literal ``value``."""

    name: str
    path: str = ""
    default: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class OutputArtifact:
    """An output artifact saved from ``path`` of the container; ``archive`` is ``tar`` or ``none``."""

    name: str
    path: str
    archive: str = "tar"
    compression_level: int | None = None
    optional: bool = False
    mode: int | None = None


@dataclass(frozen=True)
class Pod:
    """A container or script template as the user wrote it, its tags still in it."""

    template: str
    container: Mapping[str, Any]
    source: str | None = None
    input_artifacts: tuple[InputArtifact, ...] = ()
    output_parameters: tuple[OutputParameter, ...] = ()
    output_artifacts: tuple[OutputArtifact, ...] = ()
    service_account_name: str = ""
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A composite template run as child DAG ``dag_id``; a ``tail`` call is started and not waited for.

    ``tails`` names, for each DAG of the recursion, the task ids that are tail calls and the DAG each starts, so that
    the waiting call can follow the chain.
    """

    dag_id: str
    template: str
    tail: bool = False
    tails: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    parameters: tuple[Binding, ...] = ()
    """The callee's outputs, to be evaluated in its run."""
    artifacts: tuple[ArtifactBinding, ...] = ()


@dataclass(frozen=True)
class Node:
    """One Airflow task.

    ``kind``: ``pod`` · ``call`` · ``gate`` (decides for the tasks in ``skips``, and makes the list of a loop) · ``end``
    (Argo's assessment of a group, where Airflow's own rule is not exact).
    ``path`` is the node's name relative to the DAG's root node, as Argo builds it: ``[0].a`` in steps, ``.a`` in a dag.
    ``depends`` is None where Airflow's trigger rule ``none_failed`` is exact.
    """

    id: str
    kind: str
    name: str
    path: str = ""
    group: str = ""
    template: str = ""
    upstream: tuple[str, ...] = ()
    depends: str | None = None
    siblings: tuple[tuple[str, str], ...] = ()
    """The names that ``depends`` (or the assessment) mentions, with their task ids."""
    when: Text | None = None
    loop: Loop | None = None
    parameters: tuple[Binding, ...] = ()
    artifacts: tuple[ArtifactBinding, ...] = ()
    limit: int | None = None
    """retryStrategy.limit; None without a retryStrategy, -1 for unlimited."""
    pod: Pod | None = None
    call: Call | None = None
    skips: tuple[str, ...] = ()
    tasks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For an ``end``: the group's task names, each with those it depends on; empty dependencies of steps stay empty."""
    steps: bool = False
    """For an ``end``: the template is steps, not a dag."""
    captures_result: bool = False
    returns_list: bool = False
    """The node's result is the list that a loop maps over, so it is also its ``return_value``."""

    def lines(self) -> Iterator[str]:
        """The node as readable text, for ``argo-airflow compile`` and golden files."""
        yield f"{self.id}: {self.kind}" + (f" {self.template}" if self.template else "")
        simple = {"upstream": " ".join(self.upstream), "depends": self.depends, "skips": " ".join(self.skips)}
        yield from (f"  {name}: {value}" for name, value in simple.items() if value)
        if self.when is not None:
            yield f"  when: {show(self.when)}"
        if self.loop is not None:
            yield f"  loop: {_show_loop(self.loop)}"
        yield from (f"  {binding}" for binding in self.parameters)
        for artifact in self.artifacts:
            yield f"  @{artifact.name} = {artifact.ref if artifact.ref else show(artifact.raw or ())}"
        if self.limit is not None:
            yield f"  retries: {'unlimited' if self.limit < 0 else self.limit}"
        if self.call is not None:
            yield f"  runs: {self.call.dag_id}{' (tail call)' if self.call.tail else ''}"


def _show_loop(loop: Loop) -> str:
    if loop.producer:
        return f"over the list of {loop.producer}"
    if loop.items is not None:
        return f"withItems {json.dumps([_show_item(item) for item in loop.items], ensure_ascii=False)}"
    if loop.param is not None:
        return f"withParam {show(loop.param)}"
    return "withSequence " + " ".join(f"{name}={show(text)}" for name, text in loop.sequence)


def _show_item(item: Any) -> Any:
    if isinstance(item, tuple):
        return "".join(map(str, item))
    if isinstance(item, dict):
        return {key: _show_item(value) for key, value in item.items()}
    return [_show_item(value) for value in item] if isinstance(item, list) else item


@dataclass(frozen=True)
class WorkflowInfo:
    """What every run of the workflow knows of it."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    entrypoint: str = ""
    service_account_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkflowParameter:
    """A workflow argument: a field of Airflow's trigger form; without ``value`` it must be given."""

    name: str
    value: str | None = None
    description: str = ""
    enum: tuple[str, ...] = ()


@dataclass(frozen=True)
class DagGraph:
    """One Airflow DAG. ``child`` DAGs are started by call nodes only; ``inputs`` are then their template's."""

    dag_id: str
    template: str
    workflow: WorkflowInfo
    nodes: tuple[Node, ...]
    child: bool = False
    parameters: tuple[WorkflowParameter, ...] = ()
    on_exit: Node | None = None
    outputs: tuple[Binding, ...] = ()
    output_artifacts: tuple[ArtifactBinding, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """All tasks by their id, the exit handler among them."""
        nodes = (*self.nodes, self.on_exit) if self.on_exit else self.nodes
        return {node.id: node for node in nodes}

    @property
    def leaves(self) -> tuple[str, ...]:
        """Ids of the tasks that no other task of the DAG waits for."""
        waited = {upstream for node in self.nodes for upstream in node.upstream}
        return tuple(node.id for node in self.nodes if node.id not in waited)

    def __str__(self) -> str:
        kind = "child dag" if self.child else "dag"
        lines = [f"{kind} {self.dag_id} ({self.template})"]
        lines += [f"  param {p.name} = {p.value!r}" for p in self.parameters]
        nodes = (*self.nodes, self.on_exit) if self.on_exit else self.nodes
        lines += [f"  {line}" for node in nodes for line in node.lines()]
        lines += [f"  output {b}" for b in self.outputs]
        lines += [f"  output @{a.name} = {a.ref}" for a in self.output_artifacts]
        return "\n".join(lines)


@dataclass(frozen=True)
class Graph:
    """A whole workflow: its own DAG first, then the child DAGs."""

    dags: tuple[DagGraph, ...]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.dags)) + "\n"


@dataclass(frozen=True)
class Work:
    """What one operator is given: its node and the DAG that the node stands in.

    Airflow stores an operator's arguments by their ``repr``; it is short, and differs when the node does.
    """

    dag: DagGraph
    node: Node

    def __repr__(self) -> str:
        digest = hashlib.sha256(json.dumps(asdict(self.node), sort_keys=True, default=str).encode()).hexdigest()
        return f"{self.dag.dag_id}/{self.node.id}@{digest[:12]}"
