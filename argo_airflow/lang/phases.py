"""The phase of a steps or dag template from those of its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from argo_airflow.errors import NodeError, NodeFailed

COMPLETED = frozenset({"Succeeded", "Failed", "Error"})
"""Phases of a node that ran (Argo: workflow_types.go, NodePhase.Completed)."""


def conclude(tasks: Mapping[str, tuple[str, ...]], phases: Mapping[str, str], *, steps: bool = False) -> None:
    """End a template as Argo assesses it (Argo: controller/dag.go:140-246, semantics.md §2.5).

    ``tasks`` names each task with those it depends on, none of them for steps. A task that ran counts with its own
    phase, one that did not (Skipped, Omitted) with that of the branch it stands in; only leaves decide.
    Steps never end in Error (Argo: controller/steps.go:366-378).

    Raises:
        NodeFailed, NodeError: the template's phase.
    """
    waited = {before for befores in tasks.values() for before in befores}
    branch: dict[str, str] = {}
    for name in TopologicalSorter(tasks).static_order():
        own = phases[name]
        branch[name] = own if own in COMPLETED else _worst([branch[before] for before in tasks[name]])
    for name in sorted(set(tasks) - waited):
        if branch[name] == "Error" and not steps:
            raise NodeError(f"task '{name}' ended in phase {phases[name]}")
        if branch[name] in ("Failed", "Error"):
            raise NodeFailed(f"task '{name}' ended in phase {phases[name]}")


def of_loop(items: Sequence[str]) -> str:
    """The phase of a looped task: of its last failing item, else Succeeded (Argo: controller/dag.go:703-716).

    Without items it is Skipped (semantics.md §2.7).
    """
    if not items:
        return "Skipped"
    return next((phase for phase in reversed(items) if phase in ("Failed", "Error")), "Succeeded")


def _worst(phases: list[str]) -> str:
    return next((bad for bad in ("Failed", "Error") if bad in phases), "Succeeded")
