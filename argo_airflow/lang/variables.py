"""The variables that tags may name, and where each is known (Argo: docs/variables.md, util/variables/keys)."""

from __future__ import annotations

from argo_airflow.spec import Template, Workflow, WorkflowStep

PREFIXES = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
"""What Argo's lint checks; every other tag may be the container's own (Argo: workflow/common/common.go:303)."""

WORKFLOW = (
    "name",
    "namespace",
    "uid",
    "mainEntrypoint",
    "serviceAccountName",
    "parameters",
    "parameters.json",
    "labels",
    "labels.json",
    "annotations",
    "annotations.json",
    "creationTimestamp",
    "creationTimestamp.RFC3339",
    "creationTimestamp.s",
    *(f"creationTimestamp.{char}" for char in "BbmAadHIMSYypZzL"),
    "duration",
)
"""Known everywhere, after ``workflow.``."""

EXIT = ("workflow.status", "workflow.failures")
"""Known in the exit handler, and in what it calls."""

NODE = ("node.name", "steps.name", "tasks.name")
"""Known in every template."""

LEAF_ONLY = ("inputs.parameters",)
"""Known in every template, but supported in the text of containers and scripts only."""

RETRY = ("retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message")
"""Known in the body of a retried template; not supported yet."""

UNSUPPORTED = ("workflow.outputs.", "workflow.scheduledTime", "workflow.priority")
"""Argo's, not supported yet: global outputs, cron, priorities."""

CALL = ("id", "status", "startedAt", "finishedAt", "hostNodeName")
"""Known of every step or task that has run, after ``steps.<name>.``."""


def of_workflow(workflow: Workflow) -> frozenset[str]:
    """What ``{{workflow.…}}`` may name."""
    metadata, arguments = workflow.metadata, workflow.spec.arguments
    names = {
        *WORKFLOW,
        *(f"parameters.{p.name}" for p in arguments.parameters),
        *(f"labels.{label}" for label in metadata.labels),
        *(f"annotations.{annotation}" for annotation in metadata.annotations),
    }
    return frozenset(f"workflow.{name}" for name in names)


def of_inputs(template: Template) -> frozenset[str]:
    """What a template knows of its own inputs; artifacts themselves only count in ``from``."""
    names = {"inputs.parameters", *(f"inputs.parameters.{p.name}" for p in template.inputs.parameters)}
    return frozenset(names | {f"inputs.artifacts.{a.name}.path" for a in template.inputs.artifacts})


def of_pod(template: Template) -> frozenset[str]:
    """What the text of a container or script knows besides."""
    outputs = template.outputs
    names = {"pod.name", *(f"outputs.artifacts.{a.name}.path" for a in outputs.artifacts)}
    return frozenset(names | {f"outputs.parameters.{p.name}.path" for p in outputs.parameters})


def runs_pod(template: Template) -> bool:
    """Whether the template is a leaf with a container."""
    return template.container is not None or template.script is not None


def looped(call: WorkflowStep) -> bool:
    """Whether the step or task runs over items."""
    return not (call.with_items is None and call.with_param is None and call.with_sequence is None)


def of_call(call: WorkflowStep, template: Template) -> frozenset[str]:
    """What is known of a step or task that has run, after ``steps.<name>.``; of a loop, its items together (§2.7)."""
    names = {*CALL, *(f"outputs.parameters.{p.name}" for p in template.outputs.parameters)}
    if runs_pod(template):
        names |= {"outputs.result", "exitCode"}
    if looped(call):
        names.add("outputs.parameters")
    return frozenset(names)


def artifacts_of(template: Template) -> tuple[str, ...]:
    """Names of the output artifacts."""
    return tuple(a.name for a in template.outputs.artifacts)
