"""Drawing a tree of nodes: as lines that fit a screen, or as one line for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from argo_airflow.cli.tree import FINISHED, MARKS, TreeNode, duration

_SIDE_BY_SIDE = (8, 5, 3)
"""How many siblings are shown: as many as fit the screen."""
_TAIL = 3
_COLUMNS = (44, 20, 9)


def draw(root: TreeNode, width: int, height: int) -> list[str]:
    """At most ``height`` lines of at most ``width`` characters; what is left out is counted, by mark."""
    for limit in _SIDE_BY_SIDE:
        for expand_finished in (True, False):
            rows = list(_rows(root, "", "", limit, expand_finished))
            if len(rows) <= height:
                return [_fit(row, width) for row in rows]
    left = len(rows) - (height - 1)
    return [_fit(row, width) for row in [*rows[: height - 1], f"… {left} more lines"]]


def changes(root: TreeNode, told: dict[str, str]) -> list[str]:
    """A line for each node whose phase is not the one in ``told`` (path → phase), which is brought up to date."""
    lines = []
    for node in root.walk():
        if node.children and node.phase not in FINISHED:
            continue
        if node.phase != "Pending" and told.get(node.path) != node.phase:
            told[node.path] = node.phase
            words = [MARKS[node.phase], node.path, node.phase, f"({node.template})" if node.template else ""]
            lines.append(" ".join(word for word in [*words, duration(node), node.message] if word))
    return lines


def _rows(node: TreeNode, lead: str, below: str, limit: int, expand_finished: bool) -> Iterator[str]:
    name = f"{lead}{MARKS[node.phase]} {node.name}"
    cells = (name, node.template, duration(node))
    yield "".join(f"{cell:<{size}} " for cell, size in zip(cells, _COLUMNS, strict=True)) + _one_line(node.message)
    if node.phase == "Succeeded" and not expand_finished and lead:
        return
    shown = _shown(node.children, limit)
    hidden = [child for child in node.children if id(child) not in shown]
    if hidden:
        counts = Counter(MARKS[child.phase] for child in hidden)
        yield f"{below}├─… " + ", ".join(f"{count} more {mark}" for mark, count in counts.items())
    visible = [child for child in node.children if id(child) in shown]
    for child in visible:
        last = child is visible[-1]
        branch, under = ("└─", "  ") if last else ("├─", "│ ")
        # Of the many finished siblings only the last is opened.
        opened = expand_finished and (not hidden or last)
        yield from _rows(child, below + branch, below + under, limit, opened)


def _shown(children: list[TreeNode], limit: int) -> set[int]:
    """All siblings where they are few; else the first troubles, what runs, and the last."""
    if len(children) <= limit:
        return {id(child) for child in children}
    troubles = [child for child in children if child.phase in ("Failed", "Error")][:limit]
    running = [child for child in children if child.phase == "Running"][-limit:]
    begun = [child for child in children if child.phase != "Pending"] or children
    return {id(child) for child in (*troubles, *running, *begun[-_TAIL:])}


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _fit(row: str, width: int) -> str:
    row = row.rstrip()
    return row if len(row) <= width else row[: width - 1] + "…"
