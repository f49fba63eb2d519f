"""Stage 4: draw the resolved workflow as a :class:`~argo_airflow.graph.Graph`.

A composite template is drawn into its caller's DAG, its inputs replaced by what the caller passes, so that leaves bind
straight to their producers. Where Airflow has no form for it (recursion, a loop over it, a retry of it) it becomes a
child DAG and the caller gets a call node. ``compiler.bind`` turns the tags of a text into references;
``compiler.finish`` adds what is known only when all DAGs are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from heapq import heappop, heappush

from argo_airflow.compiler.bind import Frame, Placed, loop_of, needs_phase, with_default
from argo_airflow.compiler.finish import finish
from argo_airflow.compiler.pods import pod_of
from argo_airflow.compiler.resolve import Resolved, Task
from argo_airflow.graph import (
    END,
    EXIT,
    GATE,
    ITEMS,
    ArtifactBinding,
    Binding,
    Call,
    DagGraph,
    Graph,
    Loop,
    Node,
    Pod,
    Ref,
    Text,
    WorkflowInfo,
    WorkflowParameter,
)
from argo_airflow.spec import Template, WorkflowStep

_LARGEST_GROUP = 1000
"""Most tasks that a call is drawn inline with: templates that call each other twice would double at every level."""
_LONGEST_ID = 250
"""Characters of a DAG's or task's id that Airflow takes."""


def dag_id(resolved: Resolved) -> str:
    """The workflow's DAG id: ``metadata.name``, or ``generateName`` without its dash."""
    metadata = resolved.workflow.metadata
    return _short(metadata.name or (metadata.generate_name or "").rstrip("-."))


def plan(resolved: Resolved) -> Graph:
    """Draw the workflow and every child DAG it needs."""
    drawing = _Drawing(resolved)
    root = drawing.root()
    children: dict[str, DagGraph] = {}
    while drawing.wanted:
        name = drawing.wanted.pop(0)
        if name not in children:
            children[name] = drawing.child(name)
    return finish(root, children, resolved)


class _Drawing:
    """The state of one ``plan``: the templates, and the child DAGs still wanted."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.wanted: list[str] = []
        self.pods: dict[str, Pod] = {}
        spec, metadata = resolved.workflow.spec, resolved.workflow.metadata
        self.info = WorkflowInfo(
            name=metadata.name or "",
            generate_name=metadata.generate_name or "",
            namespace=metadata.namespace or "",
            entrypoint=spec.entrypoint or "",
            service_account_name=spec.service_account_name or "",
            labels=dict(metadata.labels or {}),
            annotations=dict(metadata.annotations or {}),
        )

    def root(self) -> DagGraph:
        spec = self.resolved.workflow.spec
        entry = spec.entrypoint or ""
        nodes: list[Node] = []
        frame = self._argument_frame(self.resolved.templates[entry])
        self._entry(entry, frame, nodes)
        on_exit = None
        if spec.on_exit:
            on_exit = self._exit(spec.on_exit, tuple(_leaves(nodes)))
        return DagGraph(
            dag_id=dag_id(self.resolved),
            template=entry,
            workflow=self.info,
            nodes=tuple(nodes),
            parameters=tuple(
                WorkflowParameter(p.name, p.value, p.description or "", tuple(p.enum or ()))
                for p in spec.arguments.parameters
            ),
            on_exit=on_exit,
            outputs=tuple(frame.output_parameters()),
            output_artifacts=tuple(frame.output_artifacts()),
        )

    def child(self, name: str) -> DagGraph:
        template = self.resolved.templates[name]
        inputs = template.inputs
        frame = Frame(
            template,
            {p.name: (Ref("input", p.name, tag=f"inputs.parameters.{p.name}"),) for p in inputs.parameters},
            {a.name: ArtifactBinding(a.name, Ref("input", a.name, "artifact")) for a in inputs.artifacts},
        )
        nodes: list[Node] = []
        self._draw(name, frame, nodes)
        return DagGraph(
            dag_id=self._child_id(name),
            template=name,
            workflow=self.info,
            nodes=tuple(nodes),
            child=True,
            outputs=tuple(frame.output_parameters()),
            output_artifacts=tuple(frame.output_artifacts()),
        )

    def _child_id(self, name: str) -> str:
        return _short(f"{dag_id(self.resolved)}.{name}")

    def _argument_frame(self, template: Template) -> Frame:
        """Entrypoint and exit handler get the workflow's arguments by name (semantics.md §2.9)."""
        arguments = self.resolved.workflow.spec.arguments
        given = {p.name for p in arguments.parameters}
        raw = {a.name: a for a in arguments.artifacts}
        outer = Frame(template, {}, {})
        parameters: dict[str, Text] = {}
        for parameter in template.inputs.parameters:
            if parameter.name in given:
                parameters[parameter.name] = (
                    Ref("workflow", f"parameters.{parameter.name}", tag=f"workflow.parameters.{parameter.name}"),
                )
            elif (own := parameter.value if parameter.value is not None else parameter.default) is not None:
                parameters[parameter.name] = (own,)
        inside = Frame(template, parameters, {})
        artifacts = {
            a.name: (outer if a.name in raw else inside).artifact(raw.get(a.name), a)
            for a in template.inputs.artifacts
            if a.name in raw or a.raw
        }
        return Frame(template, parameters, artifacts)

    def _entry(self, name: str, frame: Frame, nodes: list[Node]) -> None:
        """The entrypoint's own node: its tasks, a call where it recurses, or its pod."""
        if self._drawable(name):
            self._draw(name, frame, nodes)
            return
        nodes.append(self._node(_own_call(name, name, ""), frame, frame.passed_on()))

    def _exit(self, name: str, upstream: tuple[str, ...]) -> Node:
        template = self.resolved.templates[name]
        frame = self._argument_frame(template)
        node = self._node(_own_call(EXIT, name, ".onExit"), frame, frame.passed_on())
        return replace(node, name="onExit", upstream=upstream)

    def _drawable(self, name: str) -> bool:
        """Whether tasks of composite ``name`` can be drawn into another DAG."""
        retried = self.resolved.templates[name].retry_strategy is not None
        return self.resolved.composite(name) and not self.resolved.recursive(name) and not retried

    def _inline(self, task: Task, group: str) -> bool:
        if _looped(task) or not self._drawable(task.target) or self.resolved.size(task.target) > _LARGEST_GROUP:
            return False
        inner = max((len(one.name) for one in self.resolved.tasks[task.target]), default=0)
        return len(f"{group}.{ITEMS}") + inner <= _LONGEST_ID

    def _draw(self, name: str, frame: Frame, nodes: list[Node]) -> tuple[str, ...]:
        """Draw all tasks of composite ``name``; returns the task ids to wait for."""
        tasks = self.resolved.tasks[name]
        exact = all(task.plain for task in tasks) and not needs_phase(frame.template)
        frame.exact = exact
        for task in _in_order(tasks):
            frame.placed[task.name] = self._place(task, frame, nodes)
        waited = {waited for task in tasks for waited in task.waits_for}
        leaves = tuple(leaf for task in tasks if task.name not in waited for leaf in frame.placed[task.name].leaves)
        leaves = leaves or frame.upstream
        if exact and not frame.phase_wanted:
            return leaves
        end = Node(
            id=frame.task_id(END),
            kind="end",
            name=END,
            group=frame.group,
            template=name,
            upstream=leaves,
            siblings=tuple((task.name, frame.placed[task.name].phase) for task in tasks),
            steps=frame.template.steps is not None,
            tasks=tuple((task.name, () if frame.template.steps is not None else task.waits_for) for task in tasks),
        )
        nodes.append(end)
        return (end.id,)

    def _place(self, task: Task, frame: Frame, nodes: list[Node]) -> Placed:
        template = self.resolved.templates[task.target]
        upstream, depends, siblings = _dependency(task, frame)
        if self._inline(task, frame.task_id(task.name)):
            if task.call.when is None and depends is None:
                return self._group(task, frame, nodes, upstream)
            gate = Node(
                id=frame.task_id(task.name, GATE),
                kind="gate",
                name=task.name,
                path=frame.path + task.path,
                group=frame.task_id(task.name),
                template=task.target,
                upstream=upstream,
                depends=depends,
                siblings=siblings,
                when=None if task.call.when is None else frame.bind(task.call.when),
            )
            at = len(nodes)
            nodes.append(gate)
            placed = self._group(task, frame, nodes, (gate.id,))
            nodes[at] = replace(gate, skips=tuple(node.id for node in nodes[at + 1 :]))
            return replace(placed, may_omit=depends is not None)
        node = replace(
            self._node(task, frame, frame.arguments(task.call.arguments, template)),
            upstream=upstream,
            depends=depends,
            siblings=siblings,
        )
        return self._loop(task, frame, node, nodes)

    def _loop(self, task: Task, frame: Frame, node: Node, nodes: list[Node]) -> Placed:
        """Add the node, with a gate before it where its list must be computed."""
        loop, may_omit = loop_of(task.call, frame), node.depends is not None
        if loop is not None:
            whole = node.when if node.when is not None and not _of_item(node.when) else None
            producer = "" if whole is not None else _producer(loop, node, nodes)
            gated = not producer and (not loop.literal or node.depends is not None)
            if gated:
                gate = Node(
                    id=frame.task_id(task.name + ITEMS),
                    kind="gate",
                    name=node.name,
                    path=node.path,
                    group=node.group,
                    template=node.template,
                    upstream=node.upstream,
                    depends=node.depends,
                    siblings=node.siblings,
                    when=whole,
                    loop=loop,
                    skips=(node.id,),
                )
                nodes.append(gate)
                own = node.when if whole is None else None
                node = replace(node, upstream=(gate.id,), depends=None, siblings=(), when=own)
                producer = gate.id
            node = replace(node, loop=replace(loop, producer=producer))
        nodes.append(node)
        declared = self.resolved.templates[task.target].outputs.parameters
        defaults = {p.name: p.value_from.default for p in declared if p.value_from is not None}
        return Placed(
            leaves=(node.id,),
            phase=node.id,
            defaults=defaults,
            may_omit=may_omit,
            looped=loop is not None,
        )

    def _group(self, task: Task, frame: Frame, nodes: list[Node], upstream: tuple[str, ...]) -> Placed:
        template = self.resolved.templates[task.target]
        parameters, artifacts = frame.arguments(task.call.arguments, template)
        inner = Frame(
            template,
            {b.name: text for b in parameters if (text := with_default(b)) is not None},
            {a.name: a for a in artifacts},
            group=frame.task_id(task.name),
            path=frame.path + task.path,
            upstream=upstream,
            phase_wanted=not frame.exact,
        )
        leaves = self._draw(task.target, inner, nodes)
        end = inner.task_id(END)
        return Placed(leaves=leaves, phase=end if leaves == (end,) else "", inner=inner)

    def _node(
        self,
        task: Task,
        frame: Frame,
        bindings: tuple[tuple[Binding, ...], tuple[ArtifactBinding, ...]],
    ) -> Node:
        """The pod or call node of ``task``; who calls adds edges and loop."""
        template = self.resolved.templates[task.target]
        retry = template.retry_strategy
        node = Node(
            id=frame.task_id(task.name),
            kind="pod",
            name=task.name,
            path=frame.path + task.path,
            group=frame.group,
            template=task.target,
            when=None if task.call.when is None else frame.bind(task.call.when),
            parameters=bindings[0],
            artifacts=bindings[1],
            limit=None if retry is None else -1 if retry.limit is None else int(retry.limit),
        )
        if self.resolved.composite(task.target):
            self.wanted.append(task.target)
            return replace(node, kind="call", call=Call(self._child_id(task.target), task.target))
        if task.target not in self.pods:
            self.pods[task.target] = pod_of(template, self.resolved.workflow.spec)
        return replace(node, pod=self.pods[task.target])


def _short(name: str) -> str:
    """An id that Airflow takes, and that is no other's."""
    if len(name) <= _LONGEST_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST_ID - 13]}-{digest}"


def _own_call(name: str, template: str, path: str) -> Task:
    """The task by which the workflow itself runs a template."""
    return Task(name, template, path, WorkflowStep(name=name, template=template))


def _in_order(tasks: Iterable[Task]) -> list[Task]:
    """Tasks, each after those it waits for; otherwise as written."""
    written = list(tasks)
    missing = [set(task.waits_for) for task in written]
    waiting: dict[str, list[int]] = {}
    for index, names in enumerate(missing):
        for name in names:
            waiting.setdefault(name, []).append(index)
    ready = [index for index, names in enumerate(missing) if not names]
    order: list[Task] = []
    while ready:
        task = written[heappop(ready)]
        order.append(task)
        for index in waiting.pop(task.name, ()):
            missing[index].discard(task.name)
            if not missing[index]:
                heappush(ready, index)
    return order


def _dependency(task: Task, frame: Frame) -> tuple[tuple[str, ...], str | None, tuple[tuple[str, str], ...]]:
    """Edges, and the expression to evaluate where Airflow's ``none_failed`` is not exact (design §4.5)."""
    befores = [frame.placed[name] for name in task.waits_for]
    upstream = tuple(dict.fromkeys(leaf for placed in befores for leaf in placed.leaves)) or frame.upstream
    if task.plain and not any(placed.may_omit for placed in befores):
        return upstream, None, ()
    return upstream, task.depends, tuple((name, frame.placed[name].phase) for name in task.waits_for)


def _looped(task: Task) -> bool:
    call = task.call
    return call.with_items is not None or call.with_param is not None or call.with_sequence is not None


def _producer(loop: Loop, node: Node, nodes: list[Node]) -> str:
    """The task whose result is the loop's whole list and that surely ran before ``node``; empty if there is none."""
    if loop.param is None or len(loop.param) != 1 or node.depends is not None:
        return ""
    ref = loop.param[0]
    if not isinstance(ref, Ref) or ref.source != "node" or ref.field != "outputs.result":
        return ""
    producer = next((n for n in nodes if n.id == ref.name), None)
    sure = producer is not None and producer.kind == "pod" and producer.id in node.upstream
    if not sure or producer is None or producer.loop or producer.when is not None or producer.depends is not None:
        return ""
    return "" if any(producer.id in gate.skips for gate in nodes) else producer.id


def _of_item(text: Text) -> bool:
    return any(isinstance(part, Ref) and part.source == "item" for part in text)


def _leaves(nodes: list[Node]) -> list[str]:
    waited = {upstream for node in nodes for upstream in node.upstream}
    return [node.id for node in nodes if node.id not in waited]
