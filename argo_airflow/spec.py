"""The spec model: what the user wrote, with Argo's type names (Argo: pkg/apis/workflow/v1alpha1/workflow_types.go).

Attributes are snake_case, YAML keys camelCase. A field of Argo's that is not supported stands in the model's
``unsupported``: it is refused by name instead of being called unknown. There are no union types, so the place of an
error is a path in the user's file. A ``null`` counts as not written, as in Go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

_M = TypeVar("_M", bound=BaseModel)


def number_text(value: float) -> str:
    """A YAML number as Argo's text: shortest decimal without exponent, ``1e3`` is ``1000`` and ``1.0`` is ``1``.

    Argo: pkg/apis/workflow/v1alpha1/anystring.go (``FormatFloat(v, 'f', -1, 64)``; JSON numbers are 64-bit floats).
    """
    if isinstance(value, int) and abs(value) <= 1 << 53:
        return str(value)
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _any_text(value: Any) -> Any:
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list | dict):
        shown = json.dumps(value, default=str)
        hint = f"'{shown}'" if len(shown) < 60 else "its JSON between single quotes"
        raise PydanticCustomError("text_not_structure", "expected text, not a list or map", {"hint": f"write {hint}"})
    return value


def _int_text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


AnyString = Annotated[StrictStr, BeforeValidator(_any_text)]
"""Argo's AnyString: text; a number or boolean becomes its text."""
IntOrString = Annotated[StrictStr, BeforeValidator(_int_text)]
"""Kubernetes' IntOrString, kept as text (it may hold tags)."""


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class Model(BaseModel):
    """Base of all spec models: frozen, unknown fields refused, null means absent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Argo's further fields of this type, camelCase."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None}
        return data


class ObjectMeta(Model):
    """Kubernetes' object metadata."""

    name: StrictStr = ""
    generate_name: StrictStr = ""
    namespace: StrictStr = ""
    labels: dict[StrictStr, StrictStr] = {}
    annotations: dict[StrictStr, StrictStr] = {}
    unsupported = words(
        "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation managedFields"
        " ownerReferences resourceVersion selfLink uid clusterName"
    )


class ValueFrom(Model):
    """Where a parameter's value comes from."""

    path: StrictStr | None = None
    parameter: StrictStr | None = None
    default: AnyString | None = None
    unsupported = words("configMapKeyRef event expression jqFilter jsonPath supplied")


class Parameter(Model):
    """A named text: declared (inputs, outputs) or passed (arguments)."""

    name: StrictStr = ""
    value: AnyString | None = None
    default: AnyString | None = None
    value_from: ValueFrom | None = None
    enum: tuple[AnyString, ...] | None = None
    description: AnyString | None = None
    unsupported = words("globalName")


class RawArtifact(Model):
    """An artifact whose content stands in the YAML."""

    data: StrictStr = ""


class NoneStrategy(Model):
    """Store the file or folder as it is."""


class TarStrategy(Model):
    """Store as tar; compressionLevel 0 means no gzip compression."""

    compression_level: StrictInt | None = None


class ArchiveStrategy(Model):
    """How an output artifact is packed; nothing given means tar.gz."""

    none: NoneStrategy | None = None
    tar: TarStrategy | None = None
    unsupported = words("zip")


class Artifact(Model):
    """A file or folder handed from node to node."""

    name: StrictStr = ""
    path: StrictStr | None = None
    from_: StrictStr | None = Field(default=None, alias="from")
    raw: RawArtifact | None = None
    archive: ArchiveStrategy | None = None
    optional: StrictBool = False
    mode: StrictInt | None = None
    unsupported = words(
        "archiveLogs artifactGC artifactory azure deleted fromExpression gcs git globalName hdfs http oss plugin"
        " recurseMode s3 subPath"
    )


class Arguments(Model):
    """What is passed to a template."""

    parameters: tuple[Parameter, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


class Inputs(Model):
    """What a template wants."""

    parameters: tuple[Parameter, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


class Outputs(Model):
    """What a template gives."""

    parameters: tuple[Parameter, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    unsupported = words("exitCode result")


class KeySelector(Model):
    """One key of a secret or config map."""

    name: StrictStr = ""
    key: StrictStr
    optional: StrictBool = False


class ObjectFieldSelector(Model):
    """A field of the pod."""

    field_path: StrictStr
    api_version: StrictStr | None = None


class EnvVarSource(Model):
    """Where an environment variable's value comes from."""

    secret_key_ref: KeySelector | None = None
    config_map_key_ref: KeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    unsupported = words("fileKeyRef resourceFieldRef")


class EnvVar(Model):
    """One environment variable."""

    name: StrictStr
    value: StrictStr | None = None
    value_from: EnvVarSource | None = None


class EnvSource(Model):
    """A whole secret or config map."""

    name: StrictStr = ""
    optional: StrictBool = False


class EnvFromSource(Model):
    """All keys of a secret or config map as environment variables."""

    prefix: StrictStr | None = None
    secret_ref: EnvSource | None = None
    config_map_ref: EnvSource | None = None


_CONTAINER = words(
    "lifecycle livenessProbe ports readinessProbe resizePolicy restartPolicy restartPolicyRules securityContext"
    " startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts"
)


class Container(Model):
    """The main container of a container template; ``name`` is accepted and, as in Argo, always becomes ``main``."""

    name: StrictStr | None = None
    image: StrictStr = ""
    command: tuple[StrictStr, ...] | None = None
    args: tuple[StrictStr, ...] | None = None
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    working_dir: StrictStr | None = None
    image_pull_policy: StrictStr | None = None
    resources: dict[str, Any] = {}
    unsupported = _CONTAINER | words("mirrorVolumeMounts")


class ScriptTemplate(Container):
    """A container whose last argument is a file holding ``source``."""

    source: StrictStr = ""


class Sequence(Model):
    """withSequence; numbers are kept as text, they may hold tags."""

    count: IntOrString | None = None
    start: IntOrString | None = None
    end: IntOrString | None = None
    format: StrictStr | None = None


class RetryStrategy(Model):
    """How often a failed node is tried again."""

    limit: IntOrString | None = None
    unsupported = words("affinity backoff expression retryPolicy")


class WorkflowStep(Model):
    """One call of a template within a steps group."""

    name: StrictStr = ""
    template: StrictStr | None = None
    inline: Template | None = None
    arguments: Arguments = Arguments()
    when: StrictStr | None = None
    with_items: tuple[Any, ...] | None = None
    with_param: StrictStr | None = None
    with_sequence: Sequence | None = None
    unsupported = words("continueOn hooks onExit templateRef")


class DAGTask(WorkflowStep):
    """One call of a template within a DAG."""

    dependencies: tuple[StrictStr, ...] | None = None
    depends: StrictStr | None = None


class DAGTemplate(Model):
    """Tasks with dependencies."""

    tasks: tuple[DAGTask, ...] = ()
    unsupported = words("failFast target")


class Template(Model):
    """One unit of work, or a composition (steps, dag) of such."""

    name: StrictStr = ""
    inputs: Inputs = Inputs()
    outputs: Outputs = Outputs()
    container: Container | None = None
    script: ScriptTemplate | None = None
    steps: tuple[tuple[WorkflowStep, ...], ...] | None = None
    dag: DAGTemplate | None = None
    retry_strategy: RetryStrategy | None = None
    unsupported = words(
        "activeDeadlineSeconds affinity annotations archiveLocation arguments automountServiceAccountToken"
        " containerSet daemon data executor failFast hostAliases http initContainers memoize metadata metrics"
        " nodeSelector parallelism pendingTimeout plugin podResources podSpecPatch priority priorityClassName resource"
        " resourceClaims resubmitPendingPods schedulerName securityContext serviceAccountName sidecars suspend"
        " synchronization template templateRef timeout tolerations volumes"
    )

    def calls(self) -> Iterator[tuple[tuple[str | int, ...], WorkflowStep]]:
        """Every step or task with its path inside the template."""
        for group, steps in enumerate(self.steps or ()):
            for index, step in enumerate(steps):
                yield ("steps", group, index), step
        for index, task in enumerate(self.dag.tasks if self.dag else ()):
            yield ("dag", "tasks", index), task


class LocalObjectReference(Model):
    """A name in the same namespace."""

    name: StrictStr = ""


class WorkflowSpec(Model):
    """What a workflow does."""

    entrypoint: StrictStr | None = None
    arguments: Arguments = Arguments()
    templates: tuple[Template, ...] = ()
    on_exit: StrictStr | None = None
    service_account_name: StrictStr | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    unsupported = words(
        "activeDeadlineSeconds affinity archiveLogs artifactGC artifactRepositoryRef automountServiceAccountToken"
        " dnsConfig dnsPolicy executor executorPlugins hooks hostAliases hostNetwork metrics nodeSelector parallelism"
        " podDisruptionBudget podGC podMetadata podPriority podPriorityClassName podResources podSpecPatch priority"
        " resourceClaims retryStrategy schedulerName securityContext shutdown suspend synchronization templateDefaults"
        " tolerations ttlSecondsAfterFinished ttlStrategy volumeClaimGC volumeClaimTemplates volumes workflowMetadata"
        " workflowTemplateRef"
    )


class Workflow(Model):
    """One run, as the user wrote it."""

    api_version: StrictStr = "argoproj.io/v1alpha1"
    kind: StrictStr
    metadata: ObjectMeta = ObjectMeta()
    spec: WorkflowSpec
    unsupported = words("status")


WorkflowStep.model_rebuild()
DAGTask.model_rebuild()
DAGTemplate.model_rebuild()
Template.model_rebuild()
WorkflowSpec.model_rebuild()
Workflow.model_rebuild()
