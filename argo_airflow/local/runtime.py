"""All pods of a server: creation, deletion, bounds, and the objects they read."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import yaml

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.images import ImageIndex
from argo_airflow.local import processes, status
from argo_airflow.local.objects import ApiError, Key, Object, Store, now
from argo_airflow.local.pods import Pod, Runtime
from argo_airflow.local.resources import Folders
from argo_airflow.local.sandbox import choose, release

FINISHED_PODS_KEPT = 1000


class Documents:
    """Secrets and ConfigMaps: those made through the API, then those of the folders."""

    def __init__(self, store: Store, folders: Folders) -> None:
        self._store, self._folders = store, folders

    def document(self, resource: str, namespace: str, name: str) -> Object | None:
        """One of ``secrets`` or ``configmaps``."""
        made = (self._store.secrets if resource == "secrets" else self._store.configmaps).items.get((namespace, name))
        return made or self._folders.find(resource, namespace, name)

    def all(self, resource: str, namespace: str | None) -> list[Object]:
        """The folders' documents of a namespace (None: all)."""
        out = []
        for document in self._folders.documents(resource):
            meta = {"namespace": namespace or "default", **document["metadata"]}
            if namespace in (None, meta["namespace"]):
                out.append({"apiVersion": "v1", **document, "metadata": meta})
        return out


class _Images:
    """The image index, read again when its file changed; a broken change leaves the last good one."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._stamp, self._index = path, 0, ImageIndex()
        if path:
            self._stamp, self._index = path.stat().st_mtime_ns if path.exists() else 0, ImageIndex.load(path)

    def __call__(self) -> ImageIndex:
        with contextlib.suppress(OSError, LocalRuntimeError):
            if self._path and (stamp := self._path.stat().st_mtime_ns) != self._stamp:
                self._stamp, self._index = stamp, ImageIndex.load(self._path)
        return self._index


class Pods:
    """The pods of one home folder; only one server may use it."""

    def __init__(
        self, home: Path, images: Path | None = None, resources: Iterable[Path] = (), engine: str = ""
    ) -> None:
        """Take the home, remove what a crash left in it, find an engine.

        Raises:
            LocalRuntimeError: another server uses the home, no engine works, or the image index is broken.
        """
        home = home.absolute().resolve()
        home.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(home / "lock")
        processes.sweep(home)
        for left in (home / "pods", *home.glob("trial-*")):
            release(left)
        self.store = Store()
        self.documents = Documents(self.store, Folders([folder.absolute() for folder in resources]))
        index = _Images(images)
        self.engine = choose(home, engine)
        self._runtime = Runtime(home, self.engine, index, self.store, self.documents)
        self.home = home
        self.running: dict[Key, Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, namespace: str, item: Object) -> Object:
        """Admit a pod and start it.

        Raises:
            ApiError: 409 or 422.
        """
        status.admit(item)
        item["status"] = {"phase": "Pending"}
        self.store.pods.create(namespace, item)
        key = (namespace, item["metadata"]["name"])
        self.running[key] = Pod(self._runtime, item)
        self._bound()
        return item

    def get(self, namespace: str, name: str) -> Pod:
        """The pod.

        Raises:
            ApiError: 404.
        """
        if (namespace, name) not in self.running:
            raise ApiError(404, "NotFound", f'pods "{name}" not found')
        return self.running[namespace, name]

    def delete(self, namespace: str, name: str, grace: float | None) -> Object:
        """Begin to delete a pod; it vanishes when its containers have ended.

        Raises:
            ApiError: 404.
        """
        pod = self.get(namespace, name)
        meta = pod.item["metadata"]
        grace = pod.grace if grace is None else grace
        if "deletionTimestamp" not in meta or grace < meta["deletionGracePeriodSeconds"]:
            meta.update(deletionTimestamp=now(), deletionGracePeriodSeconds=int(grace))
            self.store.pods.changed("MODIFIED", pod.item)
            task = asyncio.create_task(self._remove((namespace, name), pod, grace))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return pod.item

    async def _remove(self, key: Key, pod: Pod, grace: float) -> None:
        await pod.stop(grace)
        if self.running.get(key) is pod:
            del self.running[key]
            self.store.pods.remove(key)
        await asyncio.to_thread(release, pod.folder)

    def _bound(self) -> None:
        finished = [key for key, pod in self.running.items() if pod.finished]
        for key in finished[: max(0, len(finished) - FINISHED_PODS_KEPT)]:
            self.delete(*key, 0)

    async def close(self) -> None:
        """End all pods at once."""
        await asyncio.gather(*(pod.stop(0) for pod in self.running.values()))
        release(self.home / "pods")


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise LocalRuntimeError(f"another pod runtime uses {path.parent}: stop it, or give another --home") from None
    return fd


def token_of(path: Path) -> str:
    """The bearer token of a file, made at the first call."""
    if path.exists() and (token := path.read_text().strip()):
        return token
    token = secrets.token_urlsafe(32)
    _private(path, token)
    return token


def write_kubeconfig(path: Path, port: int, token: str) -> None:
    """Write a kubeconfig for a server on this machine, readable by its owner only."""
    name = "argo-airflow-local"
    _private(path, yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    }))  # fmt: skip


def _private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
