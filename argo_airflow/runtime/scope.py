"""Where a worker finds the values of a node's references."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from argo_airflow.errors import NodeError, UnresolvedVariable
from argo_airflow.graph import ArtifactBinding, DagGraph, Node, Ref, Text
from argo_airflow.lang import loops, names, outputs, phases, when
from argo_airflow.lang.substitute import substitute
from argo_airflow.runtime import airflow_runs

OUTPUTS = "outputs"
"""XCom key under which every node publishes ``{phase, message, result, exitCode, parameters, artifacts, …}``."""
PHASES = {"success": "Succeeded", "failed": "Failed", "skipped": "Skipped", "upstream_failed": "Omitted"}
"""A task's Argo phase by its Airflow state, where it published none itself."""
_STRFTIME = "BbmAadHIMSYypZz"
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class Run:
    """What one DAG run knows: its workflow's variables, its inputs, and its place in the workflow's tree of nodes."""

    dag_id: str
    run_id: str
    workflow: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    node_name: str = ""
    depth: int = 0
    root_run_id: str = ""
    name: str = ""
    """The calling step or task, as ``steps.name`` has it; empty for the workflow itself."""

    @classmethod
    def of(cls, dag: DagGraph, context: Mapping[str, Any], namespace: str = "default") -> Run:
        """The run that a task's context belongs to; ``namespace`` is of workflows that name none."""
        dag_run = context["dag_run"]
        conf = dag_run.conf or {}
        if dag.child:
            return cls.child(dag.dag_id, dag_run.run_id, conf)
        name = names.workflow_name(dag.workflow, f"{dag.dag_id}/{dag_run.run_id}")
        given = {key: value for key, value in (context.get("params") or {}).items()}
        parameters = {p.name: _text(given.get(p.name)) for p in dag.parameters}
        variables = _workflow_variables(dag, name, dag.workflow.namespace or namespace, parameters, dag_run)
        return cls(dag.dag_id, dag_run.run_id, variables, node_name=name, root_run_id=dag_run.run_id)

    @classmethod
    def child(cls, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> Run:
        """The child run that was, or will be, started with ``conf``.

        Raises:
            NodeError: the run was started by hand, not by a call.
        """
        own = conf.get("argo")
        if not isinstance(own, Mapping):
            raise NodeError(f"{dag_id} is part of a workflow and is started by it; trigger the workflow's own DAG")
        return cls(
            dag_id,
            run_id,
            dict(own["workflow"]),
            dict(conf.get("parameters") or {}),
            dict(conf.get("artifacts") or {}),
            own["node_name"],
            own["depth"],
            own["root_run_id"],
            own["name"],
        )

    def conf(self, parent: Mapping[str, Any]) -> dict[str, Any]:
        """The ``conf`` that starts this run; ``parent`` names the calling task."""
        own = {
            "workflow": self.workflow,
            "node_name": self.node_name,
            "depth": self.depth,
            "root_run_id": self.root_run_id,
            "name": self.name,
            "parent": dict(parent),
        }
        return {"argo": own, "parameters": self.parameters, "artifacts": self.artifacts}

    def called(self, dag_id: str, by: str, node_name: str, name: str) -> Run:
        """The child run that call ``by`` starts: its id is the same whenever it is asked for."""
        depth = self.depth + 1
        if len(node_name) > _LONGEST_NAME:  # Argo's names grow with each level; a deep recursion would drown in them
            digest = hashlib.sha256(node_name.encode()).hexdigest()[:12]
            node_name = f"{node_name[:200]}~{digest}~{node_name[-200:]}"
        run_id = child_run_id(self.root_run_id, self.run_id, by, depth)
        place = replace(self, dag_id=dag_id, run_id=run_id, node_name=node_name, name=name, depth=depth)
        return replace(place, parameters={}, artifacts={})


def caller(task_id: str, map_index: int, attempt: int = 0, cleared: int = 0) -> str:
    """How a call is named in the id of the run it starts; each retry and each clear of it starts a run of its own."""
    return "/".join(map(str, (task_id, map_index, attempt, *((cleared,) if cleared else ()))))


def child_run_id(root_run_id: str, run_id: str, by: str, depth: int) -> str:
    """Deterministic, short at any depth, and telling: the root run, how deep, and which call."""
    digest = hashlib.sha256(f"{run_id}\n{by}".encode()).hexdigest()[:12]
    return f"{root_run_id[:200]}.{depth}.{digest}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _workflow_variables(
    dag: DagGraph, name: str, namespace: str, given: dict[str, str], dag_run: Any
) -> dict[str, str]:
    """``workflow.*`` (semantics.md §2.2), fixed for the whole run.

    A workflow parameter may itself use the others (Argo: operator.go:4694-4716, the spec's own substitution), where its
    value is the file's; what the run was given is data.
    """
    created: datetime = (dag_run.run_after or dag_run.start_date or datetime.now(UTC)).astimezone(UTC)
    info = dag.workflow
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    uid = hashlib.sha256(f"{dag.dag_id}/{dag_run.run_id}".encode()).hexdigest()
    fixed = {
        "name": name,
        "namespace": namespace,
        "uid": f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:32]}",
        "mainEntrypoint": info.entrypoint,
        "serviceAccountName": info.service_account_name,
        "creationTimestamp": stamp,
        "creationTimestamp.RFC3339": stamp,
        "creationTimestamp.s": str(int(created.timestamp())),
        "creationTimestamp.L": f"{created.microsecond // 1000:03d}",
        **{f"creationTimestamp.{letter}": created.strftime(f"%{letter}") for letter in _STRFTIME},
        **_listed("labels", info.labels, json.dumps(dict(info.labels))),
        **_listed("annotations", info.annotations, json.dumps(dict(info.annotations))),
    }
    known = {f"workflow.{key}": value for key, value in fixed.items()}
    known |= {f"workflow.parameters.{key}": value for key, value in given.items()}
    written = {p.name: p.value for p in dag.parameters}
    parameters = {k: substitute(value, known.get) if value == written.get(k) else value for k, value in given.items()}
    objects = [{"name": key, "value": value} for key, value in parameters.items()]
    return fixed | _listed("parameters", parameters, json.dumps(objects, separators=(",", ":")))


def _listed(kind: str, values: Mapping[str, str], together: str) -> dict[str, str]:
    """Each value by its name, and all of them together as Argo's JSON."""
    return {kind: together, f"{kind}.json": together} | {f"{kind}.{key}": value for key, value in values.items()}


class Scope:
    """The values of one run, read from Airflow as they are asked for.

    Raises (all lookups):
        UnresolvedVariable: a reference has no value and no default.
    """

    def __init__(self, run: Run, ti: Any, *, item: Any = None) -> None:
        self.run = run
        self.ti = ti
        self.item = item
        self._outputs: dict[str, Any] = {}

    def outputs(self, task_id: str) -> dict[str, Any] | None:
        """What a task that is not mapped published; None if it published nothing."""
        return self._pull(task_id, map_indexes=-1)

    def item_outputs(self, task_id: str) -> list[dict[str, Any]]:
        """What the items of a looped task published, in their order; one item alone comes from Airflow unlisted."""
        found = self._pull(task_id)
        return [found] if isinstance(found, dict) else list(found or ())

    def _pull(self, task_id: str, **which: int) -> Any:
        if task_id not in self._outputs:
            self._outputs[task_id] = self.ti.xcom_pull(
                dag_id=self.run.dag_id, run_id=self.run.run_id, task_ids=task_id, key=OUTPUTS, **which
            )
        return self._outputs[task_id]

    def render(self, text: Text) -> str:
        """The text with its references replaced; values are data and never scanned again."""
        return "".join(part if isinstance(part, str) else self.value(part) for part in text)

    def value(self, ref: Ref) -> str:
        """The value of one reference."""
        found = self._find(ref)
        if found is None:
            found = ref.default
        if found is None:
            raise UnresolvedVariable(f"failed to resolve {{{{{ref.tag}}}}}")
        return found

    def _find(self, ref: Ref) -> str | None:
        if ref.source == "item":
            return loops.item_text(self.item) if not ref.field else loops.item_fields(self.item).get(ref.field)
        if ref.source == "input":
            return self.run.parameters.get(ref.name)
        if ref.source == "run":
            return self.run.name if ref.name == "name" else self.run.node_name + ref.field
        if ref.source == "workflow":
            return self.run.workflow.get(ref.name)
        if ref.source == "loop":
            return self._aggregate(ref)
        return _field(self.outputs(ref.name) or {}, ref.field)

    def _aggregate(self, ref: Ref) -> str | None:
        """A looped task's outputs together (semantics.md §2.7); only items that succeeded count."""
        items = self.item_outputs(ref.name)
        if ref.field == "status":
            return phases.of_loop([found["phase"] for found in items])
        done = [found for found in items if found.get("phase") == "Succeeded"]
        if ref.field == "outputs.result":
            return outputs.aggregate_results([o["result"] for o in done if o.get("result") is not None])
        return outputs.aggregate_parameters(o.get("parameters") or {} for o in done).get(ref.field)

    def artifact(self, binding: ArtifactBinding) -> dict[str, Any] | None:
        """The location of an input artifact (Argo's shape, ``{"s3": {…}}`` or ``{"raw": {"data": …}}``)."""
        found: Any = None
        if binding.raw is not None:
            found = {"raw": {"data": self.render(binding.raw)}}
        elif binding.ref is not None and binding.ref.source == "input":
            found = self.run.artifacts.get(binding.ref.name)
        elif binding.ref is not None:
            published = self.outputs(binding.ref.name) or {}
            name = binding.ref.field.removeprefix("outputs.artifacts.")
            found = (published.get("artifacts") or {}).get(name)
        if found is None and not binding.optional:
            tag = binding.ref.tag if binding.ref else binding.name
            raise UnresolvedVariable(f"artifact {binding.name} was not supplied: {{{{{tag}}}}} has none")
        return found

    def phase(self, dag: DagGraph, task_id: str) -> str:
        """Argo's phase of a task of this run that has ended."""
        node = dag.by_id.get(task_id)
        if node is None:
            return "Succeeded"
        states = self._states([task_id]).get(task_id, {})
        found = self._phases(node, states)
        if node.loop is not None and -1 not in states:
            return phases.of_loop(found)
        if found[0] in phases.COMPLETED:
            return found[0]
        for gate in _deciders(dag, task_id):
            decision = (self.outputs(gate) or {}).get("phase", "Succeeded")
            if decision != "Succeeded":
                return decision
        return found[0]

    def item_phases(self, dag: DagGraph, task_id: str) -> list[str]:
        """Argo's phases of a looped task's items."""
        node = dag.by_id[task_id]
        return self._phases(node, self._states([task_id]).get(task_id, {})) if node.loop else []

    def _states(self, task_ids: list[str]) -> dict[str, dict[int, str]]:
        return airflow_runs.task_states(self.run.dag_id, self.run.run_id, task_ids)

    def _phases(self, node: Node, states: Mapping[int, str]) -> list[str]:
        if node.loop is None:
            published = (self.outputs(node.id) or {}).get("phase")
            return [published or PHASES.get(states.get(-1, ""), "Omitted")]
        published_phases = [found["phase"] for found in self.item_outputs(node.id) if found.get("phase")]
        if len(published_phases) == len(states):
            return published_phases
        return [PHASES.get(state, "Omitted") for _, state in sorted(states.items())]

    def decide(self, text: Text) -> bool:
        """Evaluate a ``when``.

        Raises:
            NodeError: it is not a condition (semantics.md §2.3).
        """
        try:
            return when.evaluate(self.render(text))
        except when.WhenError as error:
            raise NodeError(str(error)) from None


def _deciders(dag: DagGraph, task_id: str) -> list[str]:
    return [node.id for node in dag.nodes if task_id in node.skips]


def _field(published: Mapping[str, Any], name: str) -> str | None:
    """One field of what a node published, as Argo's text."""
    if name == "status":
        return published.get("phase")
    if name == "outputs.result":
        return published.get("result")
    if name.startswith("outputs.parameters."):
        value = (published.get("parameters") or {}).get(name.removeprefix("outputs.parameters."))
    else:
        value = published.get(name)
    return None if value is None else str(value)
