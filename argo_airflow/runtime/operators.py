"""The Airflow operators: one for each kind of node. ``node.node_run`` is what they have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager, detect_pod_terminate_early_issues
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, DownstreamTasksSkipped, TaskDeferred
from kubernetes.client import ApiException

from argo_airflow.errors import NodeError
from argo_airflow.graph import Loop, Work
from argo_airflow.helper import contract
from argo_airflow.lang import phases
from argo_airflow.runtime import airflow_runs
from argo_airflow.runtime import pod as pods
from argo_airflow.runtime.items import items_of, json_item, list_of, shown_label
from argo_airflow.runtime.node import NodeRun, NotStarted, node_run, settings
from argo_airflow.runtime.retry import NodeRetry, retries
from argo_airflow.runtime.scope import Scope

_POLL_SECONDS = (0.02, 1.0)
"""First and longest pause between two looks at a pod that is about to start or to end."""
_FATAL_AFTER_SECONDS = 10.0
"""How long a pod may wait for a Secret or ConfigMap that does not exist (yet)."""


def _airflow_arguments(work: Work) -> dict[str, Any]:
    """What Airflow itself must know of a node."""
    limit = work.node.limit
    return {"retries": retries(limit), "retry_policy": NodeRetry(limit), "retry_delay": 1}


class _PodManager(PodManager):
    """Looks more often than KPO's every two seconds, and does not wait for a helper whose main cannot start."""

    def await_pod_completion(
        self,
        pod: Any,
        istio_enabled: bool = False,  # noqa: ARG002
        container_name: str = pods.MAIN,  # noqa: ARG002
        do_xcom_push: bool = False,  # noqa: ARG002
    ) -> Any:
        """The pod when no container of it will do any more work."""
        pause, longest = _POLL_SECONDS
        while not pods.has_ended(current := self.read_pod(pod)):
            time.sleep(pause)
            pause = min(pause * 1.5, longest)
        return current


class PodOperator(KubernetesPodOperator):
    """A container or script template: a KubernetesPodOperator that binds Argo's tags and publishes Argo's outputs.

    ``item`` is the JSON of the loop's item, None outside loops.
    """

    template_fields = ()  # Jinja would eat Argo's braces
    ui_color = "#e6f4f1"
    custom_operator_name = "Argo pod"

    def __init__(self, *, work: Work, item: str | None = None, **kwargs: Any) -> None:
        options = settings()
        super().__init__(
            kubernetes_conn_id=options.kubernetes_conn_id,
            name="argo",
            base_container_name=pods.MAIN,
            do_xcom_push=False,
            random_name_suffix=False,
            deferrable=options.deferrable,
            startup_timeout_seconds=options.startup_timeout_seconds,
            get_logs=True,
            log_events_on_failure=True,
            on_finish_action="delete_pod",
            **kwargs,
        )
        self.work = work
        self.item = item
        self.bound: pods.BoundPod | None = None
        self.report: contract.Report | None = None
        self.ended: Any = None
        # the list that a loop maps over is this task's return value; KPO's own XCom sidecar stays off
        self.returns = work.node.returns_list
        self.do_xcom_push = self.returns

    def argo_label(self, map_index: int) -> str:
        """Argo's name of the item, for Airflow's ``map_index_template``."""
        return shown_label(self.work, self.item, map_index)

    def execute(self, context: Any) -> Any:
        """Run the node; on the deferrable path Airflow comes back through :meth:`trigger_reentry`."""
        return self._run(context, lambda: super(PodOperator, self).execute(context))

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> Any:
        """Take up the node after the triggerer saw its pod end."""
        return self._run(context, lambda: super(PodOperator, self).trigger_reentry(context, event), resumed=True)

    def _run(self, context: Any, go: Any, *, resumed: bool = False) -> Any:
        with node_run(self.work, context, self.item, decided=resumed) as current:
            self.bound = pods.bind(
                self.work.node,
                current.inputs(),
                current.run,
                settings(),
                name=current.name,
                suffix=current.pod_suffix,
                fixed=bool(self.work.dag.workflow.name),
            )
            current.outputs.more["podName"] = self.bound.name
            self.name = self.bound.name
            self.do_xcom_push = False
            try:
                go()
            except AirflowException as error:
                if self.ended is None:  # otherwise it is KPO's own word for what _collect judges
                    raise NodeError(f"pod {self.bound.name}: {error}") from error
            except ApiException as error:
                if error.status == 404:
                    raise NodeError("pod deleted") from error
                raise  # the API server is in trouble: Airflow tries again and takes up the pod
            finally:
                self.do_xcom_push = self.returns
                self._delete_unless_taken_up(context)
            self._collect(current)
            return list_of(current.outputs.result or "") if self.returns else None

    def _delete_unless_taken_up(self, context: Any) -> None:
        """Delete the pod, but leave it where Airflow will try again and take it up, or waits for it deferred."""
        error = sys.exc_info()[1]
        ti = context["ti"]
        lost = error is not None and not isinstance(error, NodeError)
        if self.pod is None or isinstance(error, TaskDeferred) or (lost and ti.try_number <= ti.max_tries):
            return
        self.process_pod_deletion(self.ended or self.pod, reraise=False)

    def _collect(self, current: NodeRun) -> None:
        """Judge the ended pod and keep what it put out, also when it failed."""
        if self.ended is None:
            raise NodeError("pod deleted")
        report, outputs = self.report, current.outputs
        outputs.exit_code = pods.exit_code(self.ended)
        outputs.more["hostNodeName"] = self.ended.spec.node_name
        outputs.parameters = dict(self.bound.outputs) if self.bound else {}
        if report is not None:
            outputs.result = report.result
            outputs.parameters |= report.parameters
            outputs.artifacts = report.artifacts
        pods.outcome(self.ended, report)

    def build_pod_request_obj(self, context: Any = None, *, dry_run: bool = False) -> Any:  # noqa: ARG002
        """The bound pod, with the labels by which Airflow knows its pods."""
        from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
        from airflow.settings import pod_mutation_hook

        if self.bound is None:
            raise NodeError("the pod of a node is known only while it runs")
        pod = PodGenerator.deserialize_model_dict(self.bound.manifest)
        pod.metadata.labels.update(self._get_ti_pod_labels(context))
        pod_mutation_hook(pod)
        return pod

    def get_or_create_pod(self, pod_request_obj: Any, context: Any) -> Any:
        """Create the pod, or take up the one of the same name: a node's name is the same in every try.

        KPO would delete a pod that ended while no worker looked, and run the step twice.
        """
        namespace = pod_request_obj.metadata.namespace
        look = context["ti"].try_number > 1  # KPO would try for 15 s to create what is there already
        while True:
            found = self.find_pod(namespace, context) if look else None
            if found is None:
                try:
                    return self.pod_manager.create_pod(pod_request_obj)
                except ApiException as error:
                    if error.status == 429 or (error.status or 500) >= 500:
                        raise  # the API server is in trouble: Airflow tries again
                    if error.status != 409:
                        raise NodeError(f"pod {self.name} cannot be created: {_reason(error)}") from error
                look = True
            elif found.metadata.deletion_timestamp is not None:
                time.sleep(_POLL_SECONDS[1])  # the pod of an earlier attempt is still going
            elif _same_task(found, pod_request_obj):
                self.log.info("Taking up pod %s, which an earlier try started", found.metadata.name)
                return found
            else:
                raise NodeError(f"pod {self.name} exists already and belongs to another task")

    def find_pod(self, namespace: str, context: Any, *, exclude_checked: bool = True) -> Any:  # noqa: ARG002
        """This node's pod by its name, which tells more exactly than KPO's labels."""
        try:
            return self.client.read_namespaced_pod(self.name, namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def await_pod_start(self, pod: Any) -> None:
        """Wait until main has started, looking often at first; KPO would find no log of a container that waits.

        Raises:
            NodeError: it cannot start; a missing Secret or a bad image is told after seconds, not after KPO's timeout.
        """
        began = time.monotonic()
        pause, longest = _POLL_SECONDS
        while (current := self.find_pod(pod.metadata.namespace, {})) is not None:
            if pods.has_started(current):
                return
            waited = time.monotonic() - began
            problem = detect_pod_terminate_early_issues(current) or pods.cannot_start(current)
            if problem and waited > (0 if "Image" in problem else _FATAL_AFTER_SECONDS):
                raise NodeError(f"pod {self.name} cannot start: {problem}")
            if waited > self.startup_timeout_seconds:
                raise NodeError(
                    f"pod {self.name} did not start within {self.startup_timeout_seconds} s: "
                    f"{problem or pods.waiting_reason(current)}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, longest)

    @cached_property
    def pod_manager(self) -> PodManager:
        """KPO's, but looking as :class:`_PodManager` does."""
        return _PodManager(kube_client=self.client, callbacks=self.callbacks)

    def await_pod_completion(self, pod: Any) -> None:  # type: ignore[override]  # KPO's is wrapped by a retry
        """Follow main's log, then the helper's, which ends with its report."""
        current = self.find_pod(pod.metadata.namespace, {})
        if current is not None and pods.failed_in_init(current):
            return  # main has no log, which KPO would take for trouble of the API server
        super().await_pod_completion(pod)
        current = self.find_pod(pod.metadata.namespace, {})
        if current is not None and not pods.never_ran(current):
            self.report = self._read_report(pod, follow=True)

    def _read_report(self, pod: Any, *, follow: bool) -> contract.Report | None:
        """The report of the wait container, or of an init container that failed; None if there is none."""
        if self.bound is None or self.bound.job is None:
            return None
        containers = [pods.WAIT, pods.INIT] if self.bound.job.needs_wait else [pods.INIT]
        for container in containers:
            try:
                return contract.Report.from_log(self._log_of(pod, container, follow=follow))
            except contract.ContractError as error:
                self.log.debug("no report of %s: %s", container, error)
        return None

    def _log_of(self, pod: Any, container: str, *, follow: bool) -> str:
        try:
            response = self.client.read_namespaced_pod_log(
                pod.metadata.name, pod.metadata.namespace, container=container, follow=follow, _preload_content=False
            )
        except ApiException:
            return ""  # the container never started
        return b"".join(response.stream()).decode("utf-8", errors="replace")

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Any = None, context: Any = None) -> None:  # noqa: ARG002
        """Keep the ended pod for judgement; KPO calls this once, in both modes, whatever happened."""
        if self._killed or not remote_pod:
            return
        ended = self.find_pod(remote_pod.metadata.namespace, context)
        if ended is not None and pods.has_ended(ended):
            if self.report is None:
                self.report = self._read_report(ended, follow=False)
            self.ended = ended


def _same_task(pod: Any, other: Any) -> bool:
    """Whether two pods are of the same task instance: names end in a hash, which may be another node's too."""
    keys = ("dag_id", "run_id", "task_id", "map_index")
    one, two = pod.metadata.labels or {}, other.metadata.labels or {}
    return all(one.get(key) == two.get(key) for key in keys)


def _reason(error: Any) -> str:
    """What the API server said, in one line."""
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


class GateOperator(BaseOperator):
    """Decides for the tasks behind it, and makes the list of a loop."""

    template_fields = ()
    ui_color = "#f0ead6"
    custom_operator_name = "Argo gate"

    def __init__(self, *, work: Work, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Any) -> list[str] | None:
        """Skip all tasks of the node at once, without a process for each, where it does not run."""
        from airflow.sdk.exceptions import AirflowSkipException

        try:
            with node_run(self.work, context) as current:
                loop = self.work.node.loop
                return None if loop is None else items_of(loop, current.scope)
        except AirflowSkipException as skipped:
            raise DownstreamTasksSkipped(tasks=self._skipped(context["ti"])) from skipped

    def _skipped(self, ti: Any) -> list[tuple[str, int]]:
        """The tasks to skip, by map index: Airflow draws a literal list's items when the run begins.

        The items of other lists are there already where the run has been cleared.
        """
        skips, by_id = self.work.node.skips, self.work.dag.by_id
        drawn = airflow_runs.task_states(ti.dag_id, ti.run_id, [one for one in skips if by_id[one].loop is not None])
        there = {task_id: [i for i in by_index if by_index[i] != "removed"] for task_id, by_index in drawn.items()}
        return [(task_id, index) for task_id in skips for index in there.get(task_id) or (-1,)]


class EndOperator(BaseOperator):
    """Argo's assessment of a steps or dag template, where Airflow's own rule is not exact."""

    template_fields = ()
    ui_color = "#f0ead6"
    custom_operator_name = "Argo end"

    def __init__(self, *, work: Work, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.work = work

    def execute(self, context: Any) -> None:
        """Take the phase of the tasks together.

        Raises:
            NodeFailed, NodeError: the template ended so.
        """
        with node_run(self.work, context) as current:
            scope, node = current.scope, self.work.node
            ended = {name: scope.phase(self.work.dag, task_id) for name, task_id in node.siblings}
            if set(ended.values()) == {"Omitted"}:
                raise _not_started(scope, self.work)
            phases.conclude(dict(node.tasks), ended, steps=node.steps)


def _not_started(scope: Scope, work: Work) -> NodeError:
    """Why no task of a template ran: its gate failed, or what it depends on did."""
    for gate in work.dag.nodes:
        found = scope.outputs(gate.id) if work.node.id in gate.skips else None
        if found and found["phase"] == "Error":
            return NodeError(found["message"])
    return NotStarted("omitted: depends condition not met")


def build(work: Work, **kwargs: Any) -> Any:
    """The Airflow task of a node; ``kwargs`` are Airflow's own (task_id, trigger_rule, …)."""
    from argo_airflow.runtime.calls import CallOperator

    kinds: Mapping[str, Any] = {"pod": PodOperator, "call": CallOperator, "gate": GateOperator, "end": EndOperator}
    kind, loop = kinds[work.node.kind], work.node.loop
    arguments = {"work": work, **_airflow_arguments(work), **kwargs}
    if loop is None or work.node.kind == "gate":
        return kind(**arguments)
    return kind.partial(map_index_template="{{ task.argo_label(ti.map_index) }}", **arguments)


def literal_items(loop: Loop) -> list[str]:
    """The items of a loop that is known before the workflow runs, as :attr:`PodOperator.item` takes them."""
    return [json_item(item) for item in loop.items or ()]
