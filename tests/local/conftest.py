"""A real server per engine and kind of user, driven by the real Kubernetes client."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")
pytest.importorskip("aiohttp")

from kubernetes import client, config

NOBODY = 65534
REPOSITORY = Path(__file__).parents[2]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true value of ``condition``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


class Server:
    """One ``python -m argo_airflow.local`` with a client of its own."""

    def __init__(self, home: Path, engine: str, user: int | None = None, *more: str) -> None:
        self.home, self.user = home, user
        before = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        line = [*before, sys.executable, "-m", "argo_airflow.local", "--home", str(home), "--engine", engine, *more]
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the server)
        self.process = subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "HOME": str(home)},
        )
        assert self.process.stdout
        self.ready = self.process.stdout.readline()
        self.stderr.seek(0)
        assert "ready" in self.ready, self.stderr.read()
        configuration = client.Configuration()
        config.load_kube_config(str(home / "kubeconfig"), client_configuration=configuration)
        configuration.retries = 0
        self.core = client.CoreV1Api(client.ApiClient(configuration))

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout
        self.process.stdout.close()
        return code

    def pod(
        self, command: Any, name: str = "", container: dict | None = None, meta: dict | None = None, **spec: Any
    ) -> str:
        """Create a pod of one container ``main``; its name."""
        name = name or f"p-{uuid.uuid4().hex[:10]}"
        main = {"name": "main", "image": "any:1", **(container or {})}
        if command:
            main["command"] = ["sh", "-c", command] if isinstance(command, str) else command
        body = {
            "metadata": {"name": name, **(meta or {})},
            "spec": {"restartPolicy": "Never", "containers": [main], **spec},
        }
        self.core.create_namespaced_pod("default", body)
        return name

    def read(self, name: str) -> client.V1Pod:
        return self.core.read_namespaced_pod(name, "default")

    def end(self, name: str) -> client.V1Pod:
        """The pod when it has finished."""
        return wait_for(lambda: (p := self.read(name)).status.phase in ("Succeeded", "Failed") and p, f"end of {name}")

    def run(self, command: Any, **more: Any) -> tuple[client.V1Pod, str]:
        """Run a pod to its end; it and the log of main."""
        pod = self.end(self.pod(command, **more))
        return pod, self.log(pod.metadata.name)

    def log(self, name: str, **options: Any) -> str:
        return self.core.read_namespaced_pod_log(name, "default", _preload_content=False, **options).data.decode()

    def running(self, name: str) -> client.V1Pod:
        return wait_for(lambda: (p := self.read(name)).status.phase == "Running" and p, f"{name} running")

    def gone(self, name: str) -> bool:
        return name not in [pod.metadata.name for pod in self.core.list_namespaced_pod("default").items]


def ended(pod: client.V1Pod, name: str = "main") -> client.V1ContainerStateTerminated:
    statuses = [*pod.status.container_statuses, *(pod.status.init_container_statuses or [])]
    return next(status.state.terminated for status in statuses if status.name == name)


def flavours() -> list[Any]:
    users = [None, NOBODY] if os.getuid() == 0 else [None]
    out = []
    for engine, binary in (("bubblewrap", "bwrap"), ("unshare", "unshare")):
        missing = pytest.mark.skipif(not shutil.which(binary), reason=f"{binary} is not installed")
        out += [
            pytest.param((engine, user), marks=missing, id=f"{engine}-{'nobody' if user else 'self'}") for user in users
        ]
    return out


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder anyone can reach (pytest's own is closed to other users)."""
    path = Path(tempfile.mkdtemp(prefix="argo-pods-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session", params=flavours())
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    engine, user = request.param
    path = Path(tempfile.mkdtemp(prefix="argo-pods-", dir="/var/tmp"))
    resources = path / "resources"
    resources.mkdir()
    (resources / "good.yaml").write_text(RESOURCES)
    (resources / "broken.yaml").write_text("kind: Secret\n  metadata: [")
    (path / "stand-in").mkdir()
    (path / "stand-in" / "tool").write_text("#!/bin/sh\necho tool $X $@; id -u")
    (path / "stand-in" / "tool").chmod(0o755)
    index = path / "images.yaml"
    index.write_text(
        "images:\n  'tool*':\n    path: [/tools]\n    mounts: {/tools: stand-in}\n    entrypoint: [tool, one]\n"
        "    cmd: [two]\n    env: {X: image}\n    workdir: /usr\n"
    )
    (path / "home").mkdir()
    if user:
        path.chmod(0o755)
        shutil.chown(path / "home", user, user)
    running = Server(path / "home", engine, user, "--resources", str(resources), "--images", str(index))
    running.resources = resources
    yield running
    code = running.stop()
    shutil.rmtree(path, ignore_errors=True)
    assert code == 0


RESOURCES = """
apiVersion: v1
kind: Secret
metadata: {name: login}
data: {password: aHVudGVyMg==, file.bin: /wD+}
stringData: {user: anna}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {color: blue, page: "<b>hi</b>\\n"}
---
apiVersion: v1
kind: Deployment
metadata: {name: login}
---
apiVersion: v1
kind: Secret
metadata: {name: elsewhere, namespace: other}
stringData: {a: b}
"""
