"""Before main: the wrapper, the script and the input artifacts are put on the shared folder."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from argo_airflow.helper import HelperError, contract
from argo_airflow.helper.contract import InputArtifact, Job, Report

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class InitError(HelperError):
    """Main cannot start."""


def run(job: Job, root: str) -> Report:
    """Prepare the shared folder ``root``; the report has an error, or nothing.

    The first input that cannot be had ends it: main will not run, whatever the others are.
    """
    os.umask(0)  # main and wait may run as other users than we
    try:
        for folder in _folders(root):
            os.makedirs(folder, mode=0o777, exist_ok=True)
        if job.needs_wait:
            install(Path(root, "wrapper"))
        if job.script:
            _write_script(Path(root, "staging", "script"), job.script)
        for artifact in job.inputs:
            _load(artifact, Path(contract.inputs_path(artifact.name, root)))
    except InitError as error:
        return Report(error=str(error))
    except OSError as error:
        return Report(error=f"cannot prepare {root}: {error}")
    return Report()


def install(target: Path) -> None:
    """Put the wrapper for this machine at ``target``, executable.

    Raises:
        InitError: there is none for this machine, or the package was built without it.
    """
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine.lower())
    if architecture is None:
        raise InitError(f"no wrapper for this machine ({machine}): only amd64 and arm64 are supported")
    source = Path(__file__).with_name("bin") / f"wrapper-{architecture}"
    if not source.exists():
        raise InitError(f"{source} is missing: build it with `python argo_airflow/helper/build.py`")
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _folders(root: str) -> list[str]:
    outputs = [f"{root}/outputs/parameters", f"{root}/outputs/artifacts"]
    return [f"{root}/staging", f"{root}/inputs/artifacts", *outputs, contract.state_path(root=root)]


def _write_script(target: Path, source: str) -> None:
    target.write_text(source, encoding="utf-8", newline="")
    target.chmod(0o755)


def _load(artifact: InputArtifact, target: Path) -> None:
    loading = target.with_name(f"{target.name}.loading")
    _remove(loading, target.with_name(f"{target.name}.unpacking"), target)  # Kubernetes may run init containers again
    try:
        if not _fetch(artifact, loading):
            return
        _place(artifact, loading, target)
        if artifact.mode is not None:
            _chmod(target, artifact.mode, artifact.recurse_mode)
    except (HelperError, OSError) as error:
        raise InitError(f"artifact {artifact.name} failed to load: {error}") from None


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _fetch(artifact: InputArtifact, target: Path) -> bool:
    """Whether there is something now; False for an optional artifact that does not exist."""
    if artifact.raw is not None:
        target.write_text(artifact.raw, encoding="utf-8", newline="")
        return True
    if artifact.location is None:
        if artifact.optional:
            return False
        raise InitError("it has no location")
    from argo_airflow.helper.s3 import NotFound, Store

    try:
        Store(artifact.location).download(target)
    except NotFound:
        if artifact.optional:
            return False
        raise
    return True


def _place(artifact: InputArtifact, loaded: Path, target: Path) -> None:
    if loaded.is_dir() or artifact.archive == "none":
        loaded.rename(target)
        return
    from argo_airflow.helper.archive import is_tgz, unpack

    if artifact.archive == "tar" or is_tgz(loaded):
        unpack(loaded, target)
        loaded.unlink()
    else:
        loaded.rename(target)


def _chmod(target: Path, mode: int, recurse: bool) -> None:
    inside = list(target.rglob("*")) if recurse and target.is_dir() else []
    for path in (*inside, target):
        if not path.is_symlink():
            path.chmod(mode)
