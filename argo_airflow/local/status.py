"""A pod's status as a kubelet writes it, and what the API server refuses of a new pod."""

from __future__ import annotations

import re
from collections.abc import Iterator

from argo_airflow.local.objects import ApiError, Object, now

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def admit(pod: Object) -> None:
    """Refuse a pod Kubernetes would refuse, or one whose restarts this runtime does not do.

    Raises:
        ApiError: 422, with the field's path.
    """
    meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    problems = list(_problems(meta, spec))
    if problems:
        raise ApiError(422, "Invalid", f'Pod "{meta.get("name", "")}" is invalid: {"; ".join(problems)}')
    spec.setdefault("restartPolicy", "Never")
    spec.setdefault("terminationGracePeriodSeconds", 30)


def _problems(meta: Object, spec: Object) -> Iterator[str]:
    name = meta.get("name") or meta.get("generateName", "").rstrip("-.") or "x"
    if len(name) > 253 or not _NAME.fullmatch(name):
        yield f'metadata.name: Invalid value: "{name}": must be a lowercase RFC 1123 subdomain'
    for key, value in (meta.get("labels") or {}).items():
        if not isinstance(value, str) or not _LABEL.fullmatch(value):
            yield f'metadata.labels: Invalid value: "{value}" of {key}'
    if not spec.get("containers"):
        yield "spec.containers: Required value"
    if spec.get("restartPolicy", "Never") != "Never":
        yield f'spec.restartPolicy: "{spec["restartPolicy"]}": the embedded pod runtime restarts nothing, use Never'
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    names: set[str] = set()
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or []):
            yield from _container_problems(f"spec.{part}[{index}]", container, volumes, names)


def _container_problems(path: str, container: Object, volumes: set[str], names: set[str]) -> Iterator[str]:
    for field in ("name", "image"):
        if not container.get(field):
            yield f"{path}.{field}: Required value"
    if container.get("name") in names:
        yield f'{path}.name: Duplicate value: "{container["name"]}"'
    names.add(container.get("name", ""))
    if container.get("restartPolicy"):
        yield f"{path}.restartPolicy: the embedded pod runtime has no sidecar init containers"
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            yield f'{path}.volumeMounts[{index}].name: Not found: "{mount.get("name")}"'
        if not str(mount.get("mountPath", "")).startswith("/"):
            yield f'{path}.volumeMounts[{index}].mountPath: "{mount.get("mountPath")}": must be an absolute path'
    for index, item in enumerate(container.get("env") or []):
        if not item.get("name") or "=" in item["name"] or "\0" in item["name"]:
            yield f"{path}.env[{index}].name: Required value"


def begin(pod: Object) -> None:
    """The status of a pod that was just bound to this machine."""
    spec = pod["spec"]
    spec["nodeName"] = "localhost"
    pod["status"] = {
        "phase": "Pending", "qosClass": "BestEffort", "startTime": now(), "hostIP": "127.0.0.1", "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}], "containerStatuses": [_waiting(item) for item in spec["containers"]],
    }  # fmt: skip
    if spec.get("initContainers"):
        pod["status"]["initContainerStatuses"] = [_waiting(item) for item in spec["initContainers"]]


def _waiting(container: Object) -> Object:
    return {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "started": False,
            "restartCount": 0, "lastState": {}, "state": {"waiting": {"reason": "PodInitializing"}}}  # fmt: skip


def of_container(pod: Object, name: str) -> Object:
    """The status of one container.

    Raises:
        ApiError: 400, the pod has none of that name.
    """
    status = pod["status"]
    for item in (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())):
        if item["name"] == name:
            return item
    raise ApiError(400, "BadRequest", f"container {name} is not valid for pod {pod['metadata']['name']}")


def terminated(status: Object, code: int, reason: str, message: str = "") -> None:
    """End a container's status."""
    started = (status["state"].get("running") or {}).get("startedAt") or now()
    end = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now()}
    if message:
        end["message"] = message
    if "containerID" in status:
        end["containerID"] = status["containerID"]
    status.update(state={"terminated": end}, ready=False, started=False)


def conditions(pod: Object, initialized: bool) -> None:
    """Renew a pod's conditions; a time changes only with its value."""
    status = pod["status"]
    ready = all(item["ready"] for item in status["containerStatuses"])
    old = {item["type"]: item for item in status.get("conditions", ())}
    truth = {"PodScheduled": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}
    done = status["phase"] == "Succeeded"
    fresh = []
    for kind, value in truth.items():
        item = {"type": kind, "status": str(value), "lastTransitionTime": now()}
        if done and not value:
            item["reason"] = "PodCompleted"
        same = old.get(kind, {}).get("status") == item["status"]
        fresh.append({**item, "lastTransitionTime": old[kind]["lastTransitionTime"]} if same else item)
    status["conditions"] = fresh
