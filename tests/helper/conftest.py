"""A pod without Kubernetes: init, main under the wrapper, and wait, as real processes on a shared folder; a real S3."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from argo_airflow.helper import build, contract
from argo_airflow.helper.contract import Job, Report

HELPER = Path(build.__file__).parent
KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}


@dataclass
class Pod:
    """``root`` is the shared folder, ``files`` stands for main's own file system."""

    root: Path
    files: Path
    env: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, verb: str, job: Job) -> subprocess.Popen[bytes]:
        env = {**os.environ, **KEYS, **self.env, **job.to_env(), contract.ENV_ROOT: str(self.root)}
        env["PYTHONPATH"] = str(HELPER.parent.parent)
        return self._popen([sys.executable, *contract.init_command()[1:-1], verb], env=env)

    def helper(self, verb: str, job: Job) -> tuple[int, str]:
        process = self.start(verb, job)
        out, err = process.communicate()
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out.decode()

    def init(self, job: Job) -> None:
        code, log = self.helper("init", job)
        assert (code, log) == (0, "")

    def init_error(self, job: Job) -> str:
        code, log = self.helper("init", job)
        assert code == 1
        return Report.from_log(log).error

    def start_main(self, job: Job, *command: str, **options: object) -> subprocess.Popen[bytes]:
        argv = contract.main_command(command, [], job, root=str(self.root))
        return self._popen([word.replace("$$(", "$(") for word in argv], **options)  # as Kubernetes reads them

    def main(self, job: Job, *command: str, **options: object) -> tuple[int, bytes, bytes]:
        process = self.start_main(job, *command, **options)
        out, err = process.communicate()
        return process.returncode, out, err

    def wait(self, job: Job) -> Report:
        code, log = self.helper("wait", job)
        report = Report.from_log(log.splitlines()[-1])
        assert code == (1 if report.error else 0)
        return report

    def run(self, job: Job, *command: str) -> tuple[int, Report]:
        """All three; main's exit code and the report."""
        self.init(job)
        code, _, _ = self.main(job, *command)
        return code, self.wait(job)

    def sh(self, job: Job, script: str) -> tuple[int, Report]:
        return self.run(job, "sh", "-c", script)

    def _popen(self, argv: list[str], **options: object) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.files}
        process: subprocess.Popen[bytes] = subprocess.Popen(argv, **{**pipes, **options})  # type: ignore[call-overload]
        self.processes.append(process)
        return process


@pytest.fixture(scope="session")
def _wrapper() -> None:
    build.compile_wrapper(HELPER)


@pytest.fixture
def pod(tmp_path: Path, _wrapper: None) -> Iterator[Pod]:
    pod = Pod(tmp_path / "argo", tmp_path / "main")
    pod.files.mkdir()
    yield pod
    for process in pod.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@dataclass(frozen=True)
class Bucket:
    """A bucket of a running S3 server; ``folder`` is where its objects are files."""

    name: str
    endpoint: str
    folder: Path

    def location(self, key: str) -> contract.Location:
        return {"s3": {"bucket": self.name, "key": key, "endpoint": self.endpoint, "insecure": True}}

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        self.client().put_object(Bucket=self.name, Key=key, Body=data)

    def client(self) -> Any:
        """Not the folder: the server would not see at once what it did not write itself."""
        keys = {f"aws_{name.lower().removeprefix('aws_')}": value for name, value in KEYS.items()}
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        return boto3.client("s3", endpoint_url=f"http://{self.endpoint}", region_name="x", config=config, **keys)


@pytest.fixture(scope="package")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("s3")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    rclone = Path(sysconfig.get_path("scripts"), "rclone")
    keys = ",".join(KEYS.values())
    log = folder.with_name("rclone.log")
    # not --dir-cache-time 0: rclone then forgets folders without end, with a core to itself
    options = ["--addr", address, "--auth-key", keys, "--config", ""]
    command = [str(rclone), "serve", "s3", *options, "--log-file", str(log), str(folder)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while not _listens(address):
            assert server.poll() is None, log.read_text()
            time.sleep(0.02)
        yield address, folder
    finally:
        server.terminate()
        server.wait()


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True


@pytest.fixture
def bucket(s3_server: tuple[str, Path]) -> Bucket:
    address, folder = s3_server
    name = f"bucket-{len(list(folder.iterdir()))}"
    bucket = Bucket(name, address, folder / name)
    bucket.client().create_bucket(Bucket=name)
    return bucket
