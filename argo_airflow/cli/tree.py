"""A run as a tree of Argo nodes, drawn as ``argo watch`` does; pure functions over what Airflow's REST API answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
RunKey = tuple[str, str]
"""DAG id and run id."""
Caller = tuple[str, str, str, int]
"""DAG id, run id, task id and map index of a task instance."""

MARKS = {
    "Succeeded": "✔",
    "Failed": "✖",
    "Error": "✖",
    "Running": "●",
    "Pending": "◷",
    "Skipped": "○",
    "Omitted": "○",
}
FINISHED = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})

_TASK_PHASES = {
    "success": "Succeeded",
    "failed": "Failed",
    "upstream_failed": "Omitted",
    "skipped": "Skipped",
    "running": "Running",
    "deferred": "Running",
    "restarting": "Running",
    "awaiting_input": "Running",
}
_RUN_PHASES = {"success": "Succeeded", "failed": "Failed", "running": "Running"}

_OURS = re.compile(r"^_(?!onExit)|_items$")
"""Tasks the compiler adds (Argo has no node for them)."""


@dataclass(frozen=True)
class Snapshot:
    """What is known of a run and its child runs at one moment.

    ``instances`` has the task instances of the runs worth drawing; ``messages`` is keyed by DAG, run, task id and map
    index; ``templates`` by DAG and task id.
    """

    run: Json
    instances: Mapping[RunKey, Sequence[Json]]
    children: Sequence[Json] = ()
    messages: Mapping[tuple[str, str, str, int], str] = field(default_factory=dict)
    templates: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class TreeNode:
    """One line of the tree. ``name`` is the last part of ``path``, which is unique in the tree."""

    path: str
    name: str
    template: str = ""
    phase: str = "Pending"
    started: datetime | None = None
    ended: datetime | None = None
    message: str = ""
    children: list[TreeNode] = field(default_factory=list)

    def walk(self) -> Iterator[TreeNode]:
        """This node and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def run_phase(run: Mapping[str, Any]) -> str:
    """Argo's phase for the state of an Airflow run."""
    return _RUN_PHASES.get(str(run.get("state")), "Pending")


def run_key(run: Mapping[str, Any]) -> RunKey:
    """DAG id and run id of a run."""
    return run["dag_id"], run["dag_run_id"]


def build(snapshot: Snapshot) -> TreeNode:
    """The tree of a run: its tasks in their groups, child runs under the task that called them."""
    dag_id = snapshot.run["dag_id"]
    return _Builder(snapshot).run_node(snapshot.run, dag_id, dag_id)


class _Builder:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._called = _by_caller(snapshot.children)

    def run_node(self, run: Json, path: str, name: str) -> TreeNode:
        node = TreeNode(path, name, run["dag_id"].rpartition(".")[2], run_phase(run))
        node.started, node.ended = _time(run.get("start_date")), _time(run.get("end_date"))
        instances = [ti for ti in self._snapshot.instances.get(run_key(run), ()) if ti["state"] != "removed"]
        groups = {"": node}
        for ti in sorted(instances, key=_order):
            group, _, last = ti["task_id"].rpartition(".")
            if not _OURS.search(last):
                self._group(groups, group).children.append(self._task_node(run, ti, self._group(groups, group).path))
        for group_id in sorted(filter(None, groups), key=lambda each: -each.count(".")):  # inner groups first
            _summarise(groups[group_id])
        return node

    def _group(self, groups: dict[str, TreeNode], group: str) -> TreeNode:
        if group not in groups:
            parent, _, last = group.rpartition(".")
            above = self._group(groups, parent)
            groups[group] = TreeNode(f"{above.path}.{last}", last)
            above.children.append(groups[group])
        return groups[group]

    def _task_node(self, run: Json, ti: Json, above: str) -> TreeNode:
        key = (*run_key(run), ti["task_id"], ti["map_index"])
        name = _name(ti)
        node = TreeNode(
            f"{above}.{name}",
            name,
            self._snapshot.templates.get((run["dag_id"], ti["task_id"]), ""),
            _TASK_PHASES.get(str(ti["state"]), "Pending"),
            _time(ti["start_date"]),
            _time(ti["end_date"]),
            self._snapshot.messages.get(key, ""),
        )
        runs = self._called.get(key, [])
        for number, child in enumerate(runs):
            template = child["dag_id"].rpartition(".")[2]
            child_name = template if len(runs) == 1 else f"{template}({number})"
            node.children.append(self.run_node(child, f"{node.path}.{child_name}", child_name))
        if len(runs) == 1:  # the call is the child run: one line for both
            node.template = node.template or node.children[0].template
            node.children = node.children[0].children
        return node


def _by_caller(children: Iterable[Json]) -> dict[Caller, list[Json]]:
    """Child runs by the task instance they are drawn under, the oldest first.

    A recursion's runs each start the next; they are drawn side by side under the call that began it, not one in
    another: a child run moves up to the caller of the outermost ancestor of its own DAG.
    """
    ordered = sorted(children, key=lambda run: (run["run_after"], run["dag_run_id"]))
    runs = {run_key(run): run for run in ordered}
    began: dict[RunKey, dict[str, Caller]] = {}
    called: dict[Caller, list[Json]] = {}
    for run in ordered:
        for key in reversed(_unplaced(run_key(run), runs, began)):
            caller = _parent(runs[key])
            above = began.get(caller[:2], {})
            began[key] = above if key[0] in above else {**above, key[0]: caller}
        called.setdefault(began[run_key(run)][run["dag_id"]], []).append(run)
    return called


def _unplaced(key: RunKey, runs: Mapping[RunKey, Json], placed: Mapping[RunKey, object]) -> list[RunKey]:
    """The run and its ancestors up to the first that is placed (or that is no child run, or closes a circle)."""
    path: dict[RunKey, None] = {}
    while key in runs and key not in placed and key not in path:
        path[key] = None
        key = _parent(runs[key])[:2]
    return list(path)


def _parent(run: Json) -> Caller:
    parent = ((run.get("conf") or {}).get("argo") or {}).get("parent") or {}
    words = [str(parent.get(name, "")) for name in ("dag_id", "run_id", "task_id")]
    return words[0], words[1], words[2], int(parent.get("map_index", -1))


def _name(ti: Json) -> str:
    last = str(ti["task_id"]).rpartition(".")[2]
    if ti["map_index"] < 0:
        return last.removeprefix("_")
    shown = ti.get("rendered_map_index") or str(ti["map_index"])
    return shown if shown.startswith(f"{last}(") else f"{last}({shown})"


def _order(ti: Json) -> tuple[bool, str, int]:
    """By start, what has not started last."""
    start = ti["start_date"]
    return start is None, start or "", ti["map_index"]


def _summarise(group: TreeNode) -> None:
    """A group's phase and times from its members."""
    phases = [child.phase for child in group.children]
    for phase in ("Error", "Failed", "Running", "Pending", "Succeeded", "Omitted", "Skipped"):
        if phase in phases:
            group.phase = phase
            break
    if group.phase == "Pending" and FINISHED & set(phases):
        group.phase = "Running"
    starts = [child.started for child in group.children if child.started]
    ends = [child.ended for child in group.children if child.ended]
    group.started = min(starts, default=None)
    group.ended = max(ends, default=None) if group.phase in FINISHED else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def header(snapshot: Snapshot, namespace: str, root: TreeNode) -> list[str]:
    """The lines above the tree."""
    leaves = [node for node in root.walk() if not node.children and node is not root]
    done = sum(node.phase in FINISHED for node in leaves)
    more = sum(run_key(child) not in snapshot.instances for child in snapshot.children)
    started = root.started.astimezone().strftime("%Y-%m-%d %H:%M:%S") if root.started else "-"
    rows = {
        "Name": f"{snapshot.run['dag_id']} ({snapshot.run['dag_run_id']})",
        "Namespace": namespace,
        "Status": root.phase,
        "Started": started,
        "Duration": duration(root) or "-",
        "Progress": f"{done + more}/{len(leaves) + more}",
    }
    return [f"{name + ':':<12}{value}" for name, value in rows.items()]


def duration(node: TreeNode) -> str:
    """How long the node ran, or has been running; empty before its start and for what did not run."""
    if node.started is None or node.phase in ("Skipped", "Omitted"):
        return ""
    seconds = ((node.ended or datetime.now(UTC)) - node.started).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
