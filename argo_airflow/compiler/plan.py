"""Stage 4: draw the resolved workflow as a :class:`~argo_airflow.graph.Graph`.

A composite template is drawn into its caller's DAG, its inputs replaced by what the caller passes, so that leaves bind
straight to their producers. Where Airflow has no form for it (recursion, a loop over it, a retry of it) it becomes a
child DAG and the caller gets a call node. ``compiler.bind`` turns the tags of a text into references.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from argo_airflow.compiler.bind import Frame, Placed, loop_of, needs_phase
from argo_airflow.compiler.pods import pod_of
from argo_airflow.compiler.resolve import Resolved, Task
from argo_airflow.graph import (
    ArtifactBinding,
    Binding,
    Call,
    DagGraph,
    Graph,
    Loop,
    Node,
    Ref,
    Text,
    WorkflowInfo,
    WorkflowParameter,
)
from argo_airflow.spec import Template, WorkflowStep

END, EXIT, GATE, ITEMS = "_end", "_onExit", "_when", "_items"
"""Our own task ids; an underscore cannot start an Argo name (validate.go: name rules), so they never clash."""


def dag_id(resolved: Resolved) -> str:
    """The workflow's DAG id: ``metadata.name``, or ``generateName`` without its dash."""
    metadata = resolved.workflow.metadata
    return metadata.name or (metadata.generate_name or "").rstrip("-.")


def plan(resolved: Resolved) -> Graph:
    """Draw the workflow and every child DAG it needs."""
    drawing = _Drawing(resolved)
    root = drawing.root()
    children: dict[str, DagGraph] = {}
    while drawing.wanted:
        name = drawing.wanted.pop(0)
        if name not in children:
            children[name] = drawing.child(name)
    return Graph(tuple(_finish(dag, resolved, children) for dag in (root, *children.values())))


class _Drawing:
    """The state of one ``plan``: the templates, and the child DAGs still wanted."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.wanted: list[str] = []
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
        return f"{dag_id(self.resolved)}.{name}"

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
        artifacts = {
            a.name: outer.artifact(raw.get(a.name), a) for a in template.inputs.artifacts if a.name in raw or a.raw
        }
        return Frame(template, parameters, artifacts)

    def _entry(self, name: str, frame: Frame, nodes: list[Node]) -> None:
        """The entrypoint's own node: its tasks, a call where it recurses, or its pod."""
        template = self.resolved.templates[name]
        if self._inline(name, template):
            self._draw(name, frame, nodes)
            return
        nodes.append(self._node(_own_call(name, name, ""), frame, frame.passed_on()))

    def _exit(self, name: str, upstream: tuple[str, ...]) -> Node:
        template = self.resolved.templates[name]
        frame = self._argument_frame(template)
        node = self._node(_own_call(EXIT, name, ".onExit"), frame, frame.passed_on())
        return replace(node, upstream=upstream)

    def _inline(self, name: str, template: Template) -> bool:
        return self.resolved.composite(name) and not self.resolved.recursive(name) and (template.retry_strategy is None)

    def _draw(self, name: str, frame: Frame, nodes: list[Node]) -> tuple[str, ...]:
        """Draw all tasks of composite ``name``; returns the task ids to wait for."""
        tasks = self.resolved.tasks[name]
        exact = all(task.plain for task in tasks) and not needs_phase(frame.template)
        frame.exact = exact
        for task in _in_order(tasks):
            frame.placed[task.name] = self._place(task, frame, nodes)
        waited = {waited for task in tasks for waited in task.waits_for}
        leaves = tuple(leaf for task in tasks if task.name not in waited for leaf in frame.placed[task.name].leaves)
        if (exact and not frame.phase_wanted) or not tasks:
            return leaves or frame.upstream
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
        if task.call.when is None and not _looped(task) and not depends and self._inline(task.target, template):
            return self._group(task, frame, nodes, upstream, ())
        if not _looped(task) and self._inline(task.target, template):
            gate = Node(
                id=frame.task_id(task.name, GATE),
                kind="gate",
                name=GATE,
                path=task.path,
                group=frame.task_id(task.name),
                template=task.target,
                upstream=upstream,
                depends=depends,
                siblings=siblings,
                when=None if task.call.when is None else frame.bind(task.call.when),
            )
            at = len(nodes)
            nodes.append(gate)
            placed = self._group(task, frame, nodes, (gate.id,), (gate.id,))
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
        loop = loop_of(task.call, frame)
        if loop is not None:
            producer = _producer(loop, node, nodes)
            gated = not producer and (not loop.literal or node.depends is not None)
            if gated:
                gate = Node(
                    id=frame.task_id(task.name + ITEMS),
                    kind="gate",
                    name=ITEMS,
                    path=node.path,
                    group=node.group,
                    template=node.template,
                    upstream=node.upstream,
                    depends=node.depends,
                    siblings=node.siblings,
                    loop=loop,
                    skips=(node.id,),
                )
                nodes.append(gate)
                node = replace(node, upstream=(gate.id,), depends=None, siblings=())
                producer = gate.id
            node = replace(node, loop=replace(loop, producer=producer))
        nodes.append(node)
        declared = self.resolved.templates[task.target].outputs.parameters
        defaults = {p.name: p.value_from.default for p in declared if p.value_from is not None}
        return Placed(
            leaves=(node.id,),
            phase=node.id,
            defaults=defaults,
            may_omit=_omits(node, nodes),
            looped=loop is not None,
        )

    def _group(
        self, task: Task, frame: Frame, nodes: list[Node], upstream: tuple[str, ...], gate: tuple[str, ...]
    ) -> Placed:
        template = self.resolved.templates[task.target]
        inner = Frame(
            template,
            {b.name: text for b in frame.arguments(task.call.arguments, template)[0] if (text := _with_default(b))},
            {a.name: a for a in frame.arguments(task.call.arguments, template)[1]},
            group=frame.task_id(task.name),
            path=frame.path + task.path,
            upstream=upstream,
            phase_wanted=not frame.exact,
        )
        leaves = self._draw(task.target, inner, nodes)
        phase = inner.task_id(END) if any(node.id == inner.task_id(END) for node in nodes) else ""
        return Placed(leaves=leaves or gate, phase=phase, inner=inner)

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
        return replace(node, pod=pod_of(template, self.resolved.workflow.spec))


def _own_call(name: str, template: str, path: str) -> Task:
    """The task by which the workflow itself runs a template."""
    return Task(name, template, path, WorkflowStep(name=name, template=template))


def _in_order(tasks: Iterable[Task]) -> list[Task]:
    """Tasks, each after those it waits for; otherwise as written."""
    waiting, done, order = list(tasks), set[str](), list[Task]()
    while waiting:
        ready = next(task for task in waiting if done.issuperset(task.waits_for))
        waiting.remove(ready)
        done.add(ready.name)
        order.append(ready)
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
    return producer.id


def _omits(node: Node, nodes: list[Node]) -> bool:
    if node.depends is not None:
        return True
    return any(other.depends is not None and node.id in other.skips for other in nodes)


def _with_default(binding: Binding) -> Text | None:
    """What an inlined input stands for; an absent argument gives way to the input's own default."""
    text, default = binding.text, binding.default
    if text is None:
        return None if default is None else (default,)
    if default is not None and len(text) == 1 and isinstance(text[0], Ref) and text[0].default is None:
        return (replace(text[0], default=default),)
    return text


def _leaves(nodes: list[Node]) -> list[str]:
    waited = {upstream for node in nodes for upstream in node.upstream}
    return [node.id for node in nodes if node.id not in waited]


def _finish(dag: DagGraph, resolved: Resolved, children: dict[str, DagGraph]) -> DagGraph:
    """What is known only when all DAGs are drawn: tail calls, callees' outputs, results to capture."""
    lists = {node.loop.producer for node in dag.nodes if node.loop is not None}
    refs = set(_refs(dag))
    wanted = {ref.name for ref in refs if ref.field.startswith("outputs.result")} | lists

    def finished(node: Node) -> Node:
        node = replace(node, captures_result=node.id in wanted, returns_list=node.id in lists)
        if node.call is None:
            return node
        callee = children[node.call.template]
        call = replace(
            node.call,
            tail=any(node.id == task_id for task_id, _ in _tails(dag, resolved)),
            tails=tuple(
                (other.dag_id, tails)
                for name, other in children.items()
                if (name == node.call.template or resolved.same_recursion(name, node.call.template))
                and (tails := _tails(other, resolved))
            ),
            parameters=callee.outputs,
            artifacts=callee.output_artifacts,
        )
        return replace(node, call=call)

    on_exit = None if dag.on_exit is None else finished(dag.on_exit)
    return replace(dag, nodes=tuple(map(finished, dag.nodes)), on_exit=on_exit)


def _tails(dag: DagGraph, resolved: Resolved) -> tuple[tuple[str, str], ...]:
    """Recursive calls that nothing waits for but the template's own end (design §4.3)."""
    used = {ref.name for ref in _refs(dag) if ref.source in ("node", "loop")}
    return tuple(
        (node.id, node.call.dag_id)
        for node in dag.nodes
        if dag.child
        and node.call is not None
        and node.limit is None
        and node.id in dag.leaves
        and node.id not in used
        and resolved.same_recursion(dag.template, node.call.template)
    )


def _refs(dag: DagGraph) -> Iterable[Ref]:
    texts: list[Text] = [b.text for b in dag.outputs if b.text is not None]
    artifacts = list(dag.output_artifacts)
    for node in (*dag.nodes, *((dag.on_exit,) if dag.on_exit else ())):
        texts += [b.text for b in node.parameters if b.text is not None]
        artifacts += node.artifacts
        if node.when is not None:
            texts.append(node.when)
        if node.loop is not None:
            texts += node.loop.texts()
    yield from (part for text in texts for part in text if isinstance(part, Ref))
    yield from (artifact.ref for artifact in artifacts if artifact.ref is not None)
