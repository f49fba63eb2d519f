"""After main: output parameters, the result and the output artifacts are read from the shared folder and reported."""

from __future__ import annotations

import fcntl
import signal
import time
from pathlib import Path

from argo_airflow.helper import HelperError, contract
from argo_airflow.helper.contract import Job, Location, OutputParameter, Report
from argo_airflow.helper.outputs import Left, SaveError

_LOOK_SECONDS = 0.05


class NotStarted(HelperError):
    """The pod ends without main having run."""


def run(job: Job, root: str) -> Report:
    """Wait for the end of main, then save what it left, also when it failed or was killed."""
    if job.artifacts:
        from argo_airflow.helper import upload  # while main runs: what S3 needs takes its time to import

        upload.prepare(job.artifacts)
    try:
        _wait_for_main(Path(contract.state_path(root=root), "lock"))
    except NotStarted as error:
        return Report(error=str(error))
    left = Left(root)
    errors: list[str] = []
    return Report(
        result=_result(left.state("stdout")) if job.result else None,
        parameters=_parameters(job, left, errors),
        artifacts=_artifacts(job, left, errors),
        error="; ".join(errors),
        exit_code=left.exit_code,
        message=left.state("message").decode(errors="replace"),
    )


def _wait_for_main(lock: Path) -> None:
    """Until main's wrapper has taken its lock, and then let go of it: at its end, however it ended."""
    signal.signal(signal.SIGTERM, _end)  # the first process of a container has no default action
    while not (lock.exists() and lock.stat().st_size):
        time.sleep(_LOOK_SECONDS)
    # Kubernetes ends all containers of a pod at once; main gets the signal too, and its outputs are still to be saved
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def _end(*_: object) -> None:
    raise NotStarted("the pod was ended before its main container started")


def _parameters(job: Job, left: Left, errors: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    room = contract.REPORT_LIMIT
    for parameter in job.parameters:
        try:
            value = _parameter(parameter, left, room)
        except (SaveError, OSError) as error:
            errors.append(f"output parameter {parameter.name}: {error}")
        else:
            values[parameter.name] = value
            room -= len(value.encode())
    return values


def _parameter(parameter: OutputParameter, left: Left, room: int) -> str:
    """The file's content, or the default, less one newline at the end (Argo: executor.go:781)."""
    copy = left.find(contract.parameter_output(parameter.name), parameter.path)
    if copy is None:
        if parameter.default is None:
            raise left.missing(parameter.path)
        return parameter.default.removesuffix("\n")
    if copy.is_tar:
        raise SaveError(f"{parameter.path}: is not one file")
    if copy.size >= room:
        raise SaveError(
            f"{parameter.path}: has {copy.size} bytes; all output parameters of a template together may have"
            f" {contract.REPORT_LIMIT} (make it an artifact)"
        )
    with copy.open() as file:
        try:
            return file.read().decode().removesuffix("\n")
        except UnicodeDecodeError as error:
            raise SaveError(f"{parameter.path}: not UTF-8 text at byte {error.start}: {error.reason}") from None


def _artifacts(job: Job, left: Left, errors: list[str]) -> dict[str, Location]:
    saved: dict[str, Location] = {}
    for artifact in job.artifacts:
        from argo_airflow.helper import upload

        try:
            location = upload.save(artifact, left)
        except SaveError as error:
            errors.append(f"artifact {artifact.name} failed to save: {error}")
        else:
            if location is not None:
                saved[artifact.name] = location
    return saved


def _result(data: bytes) -> str:
    """The end of main's stdout, out of the ring that the wrapper wrote (wrapper.c), less one newline."""
    total, ring = int.from_bytes(data[:8], "little"), data[8:]
    at = total % len(ring) if ring and total > len(ring) else 0
    text = (ring[at:] + ring[:at]).removesuffix(b"\n")
    # Go turns what is not UTF-8 into U+FFFD when it writes the status as JSON
    return text[-contract.RESULT_LIMIT :].decode(errors="replace")
