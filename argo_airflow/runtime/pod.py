"""A bound node becomes a Kubernetes pod (a plain manifest), and a finished pod becomes outputs or a diagnosis."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.graph import Node, Pod
from argo_airflow.helper import contract
from argo_airflow.images import ImageIndex
from argo_airflow.lang import names
from argo_airflow.lang.substitute import substitute
from argo_airflow.runtime import artifacts
from argo_airflow.runtime.scope import Run
from argo_airflow.settings import Settings

MAIN, INIT, WAIT = "main", "init", "wait"
ARGUMENT_LIMIT = 131_071
"""Bytes of one argument or variable that Linux takes (MAX_ARG_STRLEN, 32 pages)."""
_VOLUME = "argo"
_FATAL_WAITS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "InvalidImageName", "ErrImageNeverPull"}
)
_OWN_LABEL = "workflows.argoproj.io"


@dataclass(frozen=True)
class Inputs:
    """What a node was given: parameter values, and artifact locations by name."""

    parameters: Mapping[str, str]
    artifacts: Mapping[str, dict[str, Any] | None]


@dataclass(frozen=True)
class BoundPod:
    """A node's pod, all tags replaced; ``job`` is the helper's, None for a bare pod."""

    name: str
    manifest: dict[str, Any]
    job: contract.Job | None
    outputs: dict[str, str]
    """Output parameters that are literal values."""


def bind(
    node: Node, inputs: Inputs, run: Run, settings: Settings, *, name: str, suffix: str, fixed: bool = False
) -> BoundPod:
    """Build the pod of ``node``.

    ``name`` is the node's full Argo name; ``suffix`` is what a retry adds to it (``(1)``); ``fixed`` says that all runs
    of the workflow have the same name, and their pods and artifacts must not.

    Raises:
        NodeError: the pod cannot be built (no command known, too much content).
    """
    pod = node.pod
    if pod is None:
        raise TypeError(f"node {node.id} has no pod")
    workflow = run.workflow["name"]
    pod_name = names.pod_name(workflow, pod.template, name + suffix, run.workflow["uid"] if fixed else "")
    lookup = _lookup(pod, inputs, run, {"node.name": name, "pod.name": pod_name, **_own_name(node, name, run)})
    container = _substituted(dict(pod.container), lookup)
    job = _job(node, pod, inputs, workflow, pod_name, settings, lookup)
    _give_command(container, job, settings, pod)
    _refuse_large(container, pod.template)
    own_env = [
        {"name": "ARGO_CONTAINER_NAME", "value": MAIN},
        {"name": "ARGO_NODE_ID", "value": names.node_id(workflow, name + suffix)},
        {"name": "ARGO_WORKFLOW_NAME", "value": workflow},
    ]
    container |= {"name": MAIN, "env": [*container.get("env", ()), *own_env]}
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if job is not None:
        _add_helpers(spec, container, job, settings)
    if pod.service_account_name:
        spec["serviceAccountName"] = pod.service_account_name
    if pod.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in pod.image_pull_secrets]
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name,
            "namespace": _namespace(run, settings),
            "labels": {f"{_OWN_LABEL}/workflow": workflow, f"{_OWN_LABEL}/completed": "false"},
            "annotations": {
                f"{_OWN_LABEL}/node-name": name + suffix,
                f"{_OWN_LABEL}/node-id": names.node_id(workflow, name + suffix),
                "kubectl.kubernetes.io/default-container": MAIN,
            },
        },
        "spec": spec,
    }
    literal = {p.name: substitute(p.value, lookup) for p in pod.output_parameters if p.value is not None}
    return BoundPod(pod_name, manifest, job, literal)


def _namespace(run: Run, settings: Settings) -> str:
    named = run.workflow["namespace"]
    return named if named != "default" else settings.namespace


def _own_name(node: Node, name: str, run: Run) -> dict[str, str]:
    own = name[len(run.node_name) + len(node.path) - len(node.name) :] if node.path else node.name
    return {"steps.name": own, "tasks.name": own}


def _lookup(pod: Pod, inputs: Inputs, run: Run, own: Mapping[str, str]) -> Callable[[str], str | None]:
    """What a tag inside the template means (semantics.md §2.2); unknown tags stay as they are."""
    values = {f"workflow.{name}": value for name, value in run.workflow.items()} | dict(own)
    values |= {f"inputs.parameters.{name}": value for name, value in inputs.parameters.items()}
    objects = [{"name": name, "value": value} for name, value in inputs.parameters.items()]
    values["inputs.parameters"] = json.dumps(objects, separators=(",", ":"), ensure_ascii=False)
    values |= {f"inputs.artifacts.{a.name}.path": a.path for a in pod.input_artifacts}
    values |= {f"outputs.artifacts.{a.name}.path": a.path for a in pod.output_artifacts}
    values |= {f"outputs.parameters.{p.name}.path": p.path for p in pod.output_parameters if p.path}
    return values.get


def _substituted(value: Any, lookup: Callable[[str], str | None]) -> Any:
    if isinstance(value, str):
        return substitute(value, lookup)
    if isinstance(value, dict):
        return {key: _substituted(inner, lookup) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_substituted(inner, lookup) for inner in value]
    return value


def _job(
    node: Node,
    pod: Pod,
    inputs: Inputs,
    workflow: str,
    pod_name: str,
    settings: Settings,
    lookup: Callable[[str], str | None],
) -> contract.Job | None:
    """What the helper has to do, None if nothing: then the pod stays bare."""
    fetched = (artifacts.input_artifact(a, inputs.artifacts.get(a.name)) for a in pod.input_artifacts)
    job = contract.Job(
        script=None if pod.source is None else substitute(pod.source, lookup),
        inputs=tuple(artifact for artifact in fetched if artifact is not None),
        parameters=tuple(
            contract.OutputParameter(p.name, substitute(p.path, lookup), p.default)
            for p in pod.output_parameters
            if p.path
        ),
        artifacts=tuple(artifacts.output_artifact(a, workflow, pod_name, settings) for a in pod.output_artifacts),
        result=node.captures_result,
    )
    return job if job.needs_init else None


def _give_command(container: dict[str, Any], job: contract.Job | None, settings: Settings, pod: Pod) -> None:
    """Put the user's command under the wrapper; look it up where the template leaves it to the image."""
    if job is None:
        return
    command, args = container.get("command"), container.get("args")
    if not job.needs_wait:
        if job.script:
            container["args"] = [*(args or ()), contract.SCRIPT]
        return
    if not command:
        image = _index(settings.images).find(container["image"])
        command = image.entrypoint or (image.cmd if args is None else ())
        args = image.cmd if image.entrypoint and args is None else args
        if not command:
            raise NodeError(
                f"template {pod.template}: the outputs of image {container['image']} can only be saved when its command"
                " is known; write `command` in the template, or give the image an `entrypoint` in the image index"
                " (option [argo] images)"
            )
    try:
        container["command"] = contract.main_command(command, args or [], job)
    except contract.ContractError as error:
        raise NodeError(f"template {pod.template}: {error}") from None
    container.pop("args", None)


@lru_cache(maxsize=4)
def _index(path: str) -> ImageIndex:
    return ImageIndex.load(path) if path else ImageIndex()


def _refuse_large(container: Mapping[str, Any], template: str) -> None:
    """Linux would refuse the container with a message that names nothing."""
    words = [*container.get("command", ()), *container.get("args", ())]
    words += [f"{env['name']}={env.get('value', '')}" for env in container.get("env", ())]
    for word in words:
        if (size := len(word.encode())) > ARGUMENT_LIMIT:
            raise NodeError(
                f"template {template}: an argument or variable of {size:,} bytes ({word[:40]!r}…) is larger than the"
                f" {ARGUMENT_LIMIT:,} that Linux takes; hand it over as an artifact"
            )


def _add_helpers(spec: dict[str, Any], main: dict[str, Any], job: contract.Job, settings: Settings) -> None:
    shared = {"name": _VOLUME, "mountPath": contract.ROOT}
    mounts = [
        {"name": _VOLUME, "mountPath": artifact.path, "subPath": _below_root(contract.inputs_path(artifact.name))}
        for artifact in job.inputs
    ]
    main["volumeMounts"] = [*main.get("volumeMounts", ()), shared, *mounts]
    try:
        variables = job.to_env()
    except contract.ContractError as error:
        raise NodeError(str(error)) from None
    helper: dict[str, Any] = {
        "image": settings.helper_image,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "volumeMounts": [shared],
    }
    if settings.artifact_secret:
        helper["envFrom"] = [{"secretRef": {"name": settings.artifact_secret}}]
    spec["volumes"] = [{"name": _VOLUME, "emptyDir": {}}]
    spec["initContainers"] = [{"name": INIT, "command": contract.init_command(), **helper}]
    if job.needs_wait:
        spec["containers"].append({"name": WAIT, "command": contract.wait_command(), **helper})


def _below_root(path: str) -> str:
    return path.removeprefix(contract.ROOT + "/")


def outcome(pod: Any, report: contract.Report | None) -> None:
    """Judge a pod that has ended, as Argo does (Argo: operator.go:1785-1906).

    Raises:
        NodeFailed: main ended with another exit code than 0, or Kubernetes says why it ended the pod.
        NodeError: init or wait failed, or main never ran.
    """
    status = pod.status
    states = {c.name: c for c in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]}
    init, main, wait = (_terminated(states.get(name)) for name in (INIT, MAIN, WAIT))
    if status.phase == "Failed" and status.message:  # evicted, deadline exceeded: Argo takes Kubernetes' own word
        raise NodeFailed(status.message, main.exit_code if main else None)
    if INIT in states and (init is None or init.exit_code):
        raise NodeError(report.error if report and report.error else f"init: {_why(init, pod)}")
    if main is None:
        raise NodeError(_why(None, pod, states.get(MAIN)))
    if main.exit_code:
        said = (report.message if report else "") or main.message or ""
        code = f"(exit code {main.exit_code})"
        reason = f"{main.reason} " if main.reason and main.reason not in ("Error", "Completed") else "Error "
        raise NodeFailed(f"main: {reason}{code}" + (f": {said.strip()}" if said else ""), main.exit_code)
    if report is not None and report.error:
        raise NodeError(report.error)
    if WAIT in states and (wait is None or wait.exit_code):
        raise NodeError(f"wait: {_why(wait, pod)}")
    if status.phase != "Succeeded":
        raise NodeError(_why(None, pod))


def _main(pod: Any) -> Any:
    """The status of the main container; None before there is one."""
    return next((c for c in pod.status.container_statuses or () if c.name == MAIN), None)


def has_started(pod: Any) -> bool:
    """Whether main runs or ran, or the pod has ended without it."""
    status = _main(pod)
    waits = status is None or status.state is None or status.state.waiting is not None
    return has_ended(pod) or (pod.status.phase != "Pending" and not waits)


def has_ended(pod: Any) -> bool:
    """Whether no container of the pod will do any more work; a helper whose main cannot start waits for nothing."""
    return pod.status.phase in ("Succeeded", "Failed") or never_ran(pod)


def never_ran(pod: Any) -> bool:
    """Whether main's process could not be started, so that nothing tells the helper of its end."""
    ended = _terminated(_main(pod))
    return ended is not None and ended.reason in ("StartError", "ContainerCannotRun")


def failed_in_init(pod: Any) -> bool:
    """Whether an init container failed, so that no other container was ever started."""
    return has_ended(pod) and any(
        (ended := _terminated(status)) is not None and ended.exit_code
        for status in pod.status.init_container_statuses or ()
    )


def exit_code(pod: Any) -> int | None:
    """Exit code of the main container, None if it did not end."""
    ended = _terminated(_main(pod))
    return None if ended is None else ended.exit_code


def cannot_start(pod: Any) -> str:
    """Why a container waits for something that only a person can mend; empty if nothing of the kind."""
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        waiting = status.state.waiting if status.state else None
        if waiting is not None and waiting.reason in _FATAL_WAITS:
            return f"{status.name}: {waiting.reason}: {waiting.message or 'no reason given'}"
    return ""


def waiting_reason(pod: Any) -> str:
    """What a pending pod waits for, as far as Kubernetes says."""
    conditions = [c for c in pod.status.conditions or () if c.status == "False" and c.message]
    return conditions[0].message if conditions else "Kubernetes gives no reason"


def _terminated(status: Any) -> Any:
    return status.state.terminated if status is not None and status.state else None


def _why(terminated: Any, pod: Any, status: Any = None) -> str:
    """The best reason that Kubernetes gives for a pod that did not do its work."""
    if terminated is not None:
        return f"exit code {terminated.exit_code}" + (f": {terminated.message}" if terminated.message else "")
    waiting = status.state.waiting if status is not None and status.state else None
    if waiting is not None and waiting.reason:
        return f"pod did not start: {waiting.reason}" + (f": {waiting.message}" if waiting.message else "")
    known = ": ".join(filter(None, (pod.status.reason, pod.status.message)))
    return f"pod ended in phase {pod.status.phase} without running its main container" + (f": {known}" if known else "")
