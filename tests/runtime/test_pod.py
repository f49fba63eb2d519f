"""How an ended pod is judged (semantics.md §2.17; Argo: operator.go:1785-1906). Its making is in ``tests/pods``."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from kubernetes.client import V1Pod

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.helper.contract import Report
from argo_airflow.runtime import pod as pods


def pod(phase: str = "Succeeded", *, message: str | None = None, reason: str | None = None, **states: Any) -> V1Pod:
    """A pod as the Kubernetes client reads it; a state is an exit code, or Kubernetes' own fields."""

    def status(name: str, state: Any) -> dict[str, Any]:
        full = {"terminated": {"exitCode": state}} if isinstance(state, int) else state
        return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": full}

    own = {"phase": phase, "message": message, "reason": reason}
    own["containerStatuses"] = [status(name, state) for name, state in states.items() if name != "init"]
    own["initContainerStatuses"] = [status(name, state) for name, state in states.items() if name == "init"]
    found: V1Pod = PodGenerator.deserialize_model_dict({"metadata": {"name": "p"}, "status": own})
    return found


def judged(ended: V1Pod, report: Report | None = None) -> tuple[str, str]:
    try:
        pods.outcome(ended, report)
    except (NodeFailed, NodeError) as error:
        return error.phase, str(error)
    return "Succeeded", ""


def ended(code: int, reason: str = "Error", message: str | None = None) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "report", "expected"),
    [
        (pod(main=0), None, ("Succeeded", "")),
        (pod(init=0, main=0, wait=0), Report(exit_code=0), ("Succeeded", "")),
        (pod("Failed", main=3), None, ("Failed", "main: Error (exit code 3)")),
        (pod("Failed", main=ended(137, "OOMKilled")), None, ("Failed", "main: OOMKilled (exit code 137)")),
        (pod("Failed", main=ended(1, message="boom\n")), None, ("Failed", "main: Error (exit code 1): boom")),
        # main outranks wait, init outranks main
        (pod("Failed", init=0, main=2, wait=1), Report(error="no /o"), ("Failed", "main: Error (exit code 2)")),
        (
            pod("Failed", init=ended(1, message="why"), main=waiting("PodInitializing")),
            None,
            ("Error", "init: exit code 1: why"),
        ),
        (
            pod("Failed", init=1, main=waiting("PodInitializing")),
            Report(error="artifact x failed to load"),
            ("Error", "artifact x failed to load"),
        ),
        # a helper that failed is an Error, also where main was well
        (
            pod("Failed", init=0, main=0, wait=1),
            Report(error="parameter o: /o does not exist"),
            ("Error", "parameter o: /o does not exist"),
        ),
        (pod("Failed", init=0, main=0, wait=ended(137, "OOMKilled")), None, ("Error", "wait: exit code 137")),
        (pod("Succeeded", init=0, main=0, wait=0), Report(error="upload"), ("Error", "upload")),
        # the command could not be started: the wrapper says why, with Argo's code
        (
            pod("Failed", init=0, main=64, wait=0),
            Report(message="exec: nope: not found"),
            ("Failed", "main: Error (exit code 64): exec: nope: not found"),
        ),
        # Kubernetes' own word about the pod wins
        (
            pod("Failed", reason="Evicted", message="The node was low on memory."),
            None,
            ("Failed", "The node was low on memory."),
        ),
        (
            pod("Failed", reason="DeadlineExceeded", message="Pod was active too long", main=137),
            None,
            ("Failed", "Pod was active too long"),
        ),
        # main never ran
        (
            pod("Failed", main=waiting("ErrImagePull", "no such image")),
            None,
            ("Error", "pod did not start: ErrImagePull: no such image"),
        ),
        (pod("Failed"), None, ("Error", "pod ended in phase Failed without running its main container")),
    ],
)
def test_outcome(found: V1Pod, report: Report | None, expected: tuple[str, str]) -> None:
    assert judged(found, report) == expected


def test_success_is_never_taken_from_a_pod_that_was_killed() -> None:
    """A pod without an ended main, or in phase Failed, is no success whatever else it says."""
    for found in (pod("Failed", main=0), pod("Succeeded"), pod("Running", main={"running": {}}), pod("Unknown")):
        assert judged(found)[0] in ("Failed", "Error")


def test_exit_code() -> None:
    assert pods.exit_code(pod(main=0)) == 0
    assert pods.exit_code(pod("Failed", main=7, wait=1)) == 7
    assert pods.exit_code(pod("Failed", main=waiting("ErrImagePull"))) is None
    assert pods.exit_code(pod("Failed")) is None


def test_what_only_a_person_can_mend() -> None:
    missing = waiting("CreateContainerConfigError", 'secret "db" not found')
    assert pods.cannot_start(pod("Pending", main=missing)) == 'main: CreateContainerConfigError: secret "db" not found'
    assert pods.cannot_start(pod("Pending", main=waiting("ContainerCreating"))) == ""
    assert pods.cannot_start(pod("Pending")) == ""
