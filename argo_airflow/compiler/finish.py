"""The end of ``plan``: what is known only when all DAGs are drawn.

Tail calls (design §4.3), the outputs of what is called, and the results that somebody wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from argo_airflow.compiler.resolve import Resolved
from argo_airflow.graph import DagGraph, Graph, Node, Ref, Text

_Tails = tuple[tuple[str, str], ...]
"""Task id of a tail call, and the DAG it starts."""


def finish(root: DagGraph, children: Mapping[str, DagGraph], resolved: Resolved) -> Graph:
    """The workflow's graph; ``children`` are its child DAGs by template."""
    tails = {name: _tails(child, resolved) for name, child in children.items()}
    return Graph(
        (
            _finished(root, (), children, tails, resolved),
            *(_finished(child, tails[name], children, tails, resolved) for name, child in children.items()),
        )
    )


def _finished(
    dag: DagGraph,
    own_tails: _Tails,
    children: Mapping[str, DagGraph],
    tails: Mapping[str, _Tails],
    resolved: Resolved,
) -> DagGraph:
    lists = {node.loop.producer for node in dag.nodes if node.loop is not None}
    wanted = {ref.name for ref in _refs(dag) if ref.field.startswith("outputs.result")} | lists
    tail_ids = {task_id for task_id, _ in own_tails}

    def finished(node: Node) -> Node:
        node = replace(node, captures_result=node.id in wanted, returns_list=node.id in lists)
        if node.call is None:
            return node
        name = node.call.template
        call = replace(
            node.call,
            tail=node.id in tail_ids,
            tails=tuple(
                (other.dag_id, tails[called])
                for called, other in children.items()
                if tails[called] and (called == name or resolved.same_recursion(called, name))
            ),
            parameters=children[name].outputs,
            artifacts=children[name].output_artifacts,
        )
        return replace(node, call=call)

    on_exit = None if dag.on_exit is None else finished(dag.on_exit)
    return replace(dag, nodes=tuple(map(finished, dag.nodes)), on_exit=on_exit)


def _tails(dag: DagGraph, resolved: Resolved) -> _Tails:
    """Recursive calls that nothing waits for but the template's own end."""
    used = {ref.name for ref in _refs(dag) if ref.source in ("node", "loop")}
    leaves = set(dag.leaves)
    return tuple(
        (node.id, node.call.dag_id)
        for node in dag.nodes
        if node.call is not None
        and node.limit is None
        and node.id in leaves
        and node.id not in used
        and resolved.same_recursion(dag.template, node.call.template)
    )


def _refs(dag: DagGraph) -> Iterator[Ref]:
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
