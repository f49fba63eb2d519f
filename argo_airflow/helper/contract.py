"""Everything that crosses between worker and pod, defined once: paths, the job going in, the report coming out.

The worker writes a :class:`Job` into the environment of the helper containers (:meth:`Job.to_env`), puts
:func:`init_command`, :func:`main_command` and :func:`wait_command` into the pod, and reads the :class:`Report` from the
last line of the wait container's log (:meth:`Report.from_log`); a failed init container reports its error the same way.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1
"""Of the job and the report; worker and helper image must agree."""

ROOT = "/argo"
"""Where the emptyDir shared by init, main and wait is mounted."""
WRAPPER = f"{ROOT}/wrapper"
SCRIPT = f"{ROOT}/staging/script"
"""A script template's source (Argo: workflow/common/common.go, ExecutorScriptSourcePath)."""
INPUTS = f"{ROOT}/inputs/artifacts"
OUTPUTS = f"{ROOT}/outputs"

ENV_JOB = "ARGO_HELPER_JOB"
ENV_ROOT = "ARGO_HELPER_ROOT"
"""Another :data:`ROOT`, for running the helper outside a pod."""

CANNOT_RUN = 64
"""Exit code of the wrapper when the command could not be started (Argo: emissary)."""
RESULT_LIMIT = 262_144
"""Bytes of ``outputs.result`` that are kept, from its end (Argo: executor.go:929-968)."""
REPORT_LIMIT = 1_000_000
"""Bytes of all output parameters and the result together."""
_ENV_CHUNK, _ENV_LIMIT = 100_000, 1_000_000  # Linux: 128 KiB a variable; Kubernetes: 1.5 MiB an object
_MARK = "argo-helper-report:"
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ")

Location = dict[str, Any]
"""An artifact's place in Argo's own shape: ``{"s3": {"bucket", "key", "endpoint", "region", "insecure"}}``."""


class ContractError(ValueError):
    """A job or report that cannot be read or made; the message is meant for the user."""


@dataclass(frozen=True)
class InputArtifact:
    """An artifact to have before main starts, from ``location`` or with the content ``raw``.

    ``archive``: None unpacks what is a gzipped tar, ``tar`` must be one, ``none`` is left as it is.
    ``mode`` is set after loading, with ``recurse_mode`` on all inside as well.
    """

    name: str
    path: str
    location: Location | None = None
    raw: str | None = None
    archive: str | None = None
    optional: bool = False
    mode: int | None = None
    recurse_mode: bool = False


@dataclass(frozen=True)
class OutputParameter:
    """A file of main whose content is the value; ``default`` where it does not exist."""

    name: str
    path: str
    default: str | None = None


@dataclass(frozen=True)
class OutputArtifact:
    """A file, folder or glob of main to be stored at ``location``, whose key is complete and used as it is.

    ``archive``: ``tar`` stores a gzipped tar, ``none`` the file, or each file of the folder below the key.
    """

    name: str
    path: str
    location: Location
    archive: str = "tar"
    compression_level: int | None = None
    optional: bool = False


@dataclass(frozen=True)
class Job:
    """What the helper does in one pod. ``script``: source of a script template; ``result``: capture main's stdout."""

    script: str | None = None
    inputs: tuple[InputArtifact, ...] = ()
    parameters: tuple[OutputParameter, ...] = ()
    artifacts: tuple[OutputArtifact, ...] = ()
    result: bool = False
    version: int = VERSION

    @property
    def needs_wait(self) -> bool:
        """Whether something comes out: then main runs under the wrapper, beside the wait container."""
        return bool(self.parameters or self.artifacts or self.result)

    @property
    def needs_init(self) -> bool:
        """Whether the init container must run: something goes in, or the wrapper is needed."""
        return bool(self.script or self.inputs or self.needs_wait)

    def to_json(self) -> str:
        """One line of ASCII without ``$``, which Kubernetes would expand in the value of a variable."""
        return json.dumps(asdict(self), separators=(",", ":")).replace("$", "\\u0024")

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Raises ContractError for another version or a shape that is not a job."""
        data = _versioned(text, "job")
        kinds = {"inputs": InputArtifact, "parameters": OutputParameter, "artifacts": OutputArtifact}
        try:
            lists: dict[str, Any] = {
                name: tuple(kind(**entry) for entry in data.pop(name)) for name, kind in kinds.items()
            }
            return cls(**data, **lists)
        except (TypeError, KeyError) as error:
            raise ContractError(f"unreadable job: {error}") from None

    def to_env(self) -> dict[str, str]:
        """The variables for init and wait: ``ARGO_HELPER_JOB``, and ``_1``, ``_2``… where one does not hold it.

        Raises:
            ContractError: script and raw artifacts are too big for a pod.
        """
        text = self.to_json()
        if len(text) > _ENV_LIMIT:
            raise ContractError(
                f"script, raw artifacts and outputs of this template need {len(text)} bytes; a pod takes {_ENV_LIMIT}"
                " (hand large content over as an artifact in a bucket)"
            )
        chunks = [text[i : i + _ENV_CHUNK] for i in range(0, len(text), _ENV_CHUNK)]
        return {f"{ENV_JOB}_{i}" if i else ENV_JOB: chunk for i, chunk in enumerate(chunks)}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Job:
        """The counterpart of :meth:`to_env`. Raises ContractError."""
        if ENV_JOB not in environ:
            raise ContractError(f"{ENV_JOB} is not set: the helper is started by argo-airflow, not by hand")
        text, i = environ[ENV_JOB], 1
        while (chunk := environ.get(f"{ENV_JOB}_{i}")) is not None:
            text, i = text + chunk, i + 1
        return cls.from_json(text)


@dataclass(frozen=True)
class Report:
    """What came out of a pod.

    ``artifacts`` holds, by name, the location with the key used and ``archive`` beside it, as an InputArtifact takes
    them; one that was optional and missing is not in it. ``exit_code`` is main's, None if main was killed; ``message``
    says why main could not be started; ``error`` is the helper's own failure, empty if there was none.
    """

    result: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Location] = field(default_factory=dict)
    error: str = ""
    exit_code: int | None = None
    message: str = ""
    version: int = VERSION

    def line(self) -> str:
        """The log line, without its newline."""
        return f"{_MARK} {json.dumps(asdict(self), separators=(',', ':'))}"

    @classmethod
    def from_log(cls, text: str) -> Report:
        """Read the last report of a log; with or without time stamps, also where long lines were broken up.

        Raises:
            ContractError: there is none, it is cut off, or it is of another version.
        """
        lines = text.splitlines()
        for i in range(len(lines) - 1, -1, -1):
            stamp = _STAMP.match(lines[i])
            if lines[i].startswith(_MARK, stamp.end() if stamp else 0):
                rest = [_STAMP.sub("", line, count=1) if stamp else line for line in lines[i:]]
                return cls._parse("".join(rest)[len(_MARK) :])
        last = f"; its last line is: {lines[-1][:500]}" if lines else "; its log is empty"
        raise ContractError(f"the helper container ended without a report{last}")

    @classmethod
    def _parse(cls, text: str) -> Report:
        try:
            return cls(**_versioned(text, "report"))
        except TypeError as error:
            raise ContractError(f"unreadable report: {error}") from None


def _versioned(text: str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ContractError(f"unreadable {what}: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise ContractError(
            f"the {what} has version {version}, expected {VERSION}: helper image and worker are of different releases"
        )
    return data


def root() -> str:
    """The shared folder as the helper itself sees it."""
    return os.environ.get(ENV_ROOT, ROOT)


def _member(folder: str, name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ContractError(f"{name!r} cannot be the name of an artifact or parameter")
    return f"{folder}/{name}"


def inputs_path(name: str, root: str = ROOT) -> str:
    """Where init puts the input artifact ``name``; main has it mounted at the artifact's own path."""
    return _member(f"{root}/inputs/artifacts", name)


def parameter_output(name: str) -> str:
    """Where the wrapper puts an output parameter's file, below the outputs folder."""
    return _member("parameters", name)


def artifact_output(name: str) -> str:
    """Where the wrapper puts an output artifact, below the outputs folder, less ``.tar``."""
    return _member("artifacts", name)


def state_path(container: str = "main", root: str = ROOT) -> str:
    """The folder where the wrapper of ``container`` leaves lock, stdout, message and exitcode."""
    return _member(f"{root}/containers", container)


def output_file_name(name: str, path: str, archive: str = "tar") -> str:
    """The last part of a key that the user did not give (Argo: executor.go:570-696)."""
    return f"{name}.tgz" if archive == "tar" else os.path.basename(path.rstrip("/")) or name


def init_command() -> list[str]:
    """``command`` of the init container."""
    return ["python", "-m", "argo_airflow.helper", "init"]


def wait_command() -> list[str]:
    """``command`` of the wait container."""
    return ["python", "-m", "argo_airflow.helper", "wait"]


def main_command(command: Sequence[str], args: Sequence[str], job: Job, root: str = ROOT) -> list[str]:
    """The user's container's whole ``command`` (leave ``args`` empty): under the wrapper where something comes out.

    A script's file is the last argument; an empty script gives none (Argo: workflowpod.go).

    Raises:
        ContractError: the wrapper is needed and there is no command to give it.
    """
    user = [*command, *args, *([f"{root}/staging/script"] if job.script else [])]
    if not job.needs_wait:
        return user
    if not command:
        raise ContractError("the command of the image must be known to save the outputs of its container")
    own = [f"{root}/wrapper", "--state", state_path(root=root), "--outputs", f"{root}/outputs"]
    if job.result:
        own.append("--capture")
    for parameter in job.parameters:
        own += ["--copy", parameter_output(parameter.name), parameter.path]
    for artifact in job.artifacts:
        own += ["--copy" if artifact.archive == "none" else "--tar", artifact_output(artifact.name), artifact.path]
    # Kubernetes expands $(NAME) in a command: right for the user's words, not for ours
    return [word.replace("$(", "$$(") for word in own] + ["--", *user]
