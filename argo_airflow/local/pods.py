"""A pod's life: volumes, init containers in order, containers together, an end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argo_airflow.images import ImageIndex
from argo_airflow.local import containers, processes, status, volumes
from argo_airflow.local.containers import NotYet, Refused
from argo_airflow.local.logs import Log
from argo_airflow.local.mounts import Bind, Root
from argo_airflow.local.objects import ApiError, Object, Store, now
from argo_airflow.local.processes import Process
from argo_airflow.local.sandbox import Box, Engine, release

log = logging.getLogger(__name__)
_RETRY = 0.5
"""Seconds between tries to make what is missing."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Runtime:
    """What all pods of a server share."""

    home: Path
    engine: Engine
    images: Callable[[], ImageIndex]
    store: Store
    documents: containers.Documents


class Pod:
    """One pod from its creation to its removal; ``task`` ends when no container runs any more."""

    def __init__(self, runtime: Runtime, item: Object) -> None:
        self.runtime, self.item = runtime, item
        self.folder = runtime.home / "pods" / item["metadata"]["uid"]
        self.logs: dict[str, Log] = {}
        self.running: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._initialized = False
        self._expired = False
        self._timers: list[asyncio.Task[None]] = []
        self._removal: asyncio.Task[None] | None = None
        status.begin(item)
        self.task = asyncio.create_task(self._guard())

    @property
    def finished(self) -> bool:
        """True if no container runs or will run."""
        return self.task.done()

    async def _guard(self) -> None:
        """Live; whatever goes wrong ends this pod and nothing else."""
        self._event("Scheduled", f"Successfully assigned {self.item['metadata']['name']} to localhost")
        if seconds := self.item["spec"].get("activeDeadlineSeconds"):
            self._timers.append(asyncio.create_task(self._expire(float(seconds))))
        try:
            await self._live()
        except Refused as problem:
            self._event("Failed", str(problem), "Warning")
            self._finish("Failed", "Refused", str(problem))
        except Exception as error:
            log.exception("pod %s", self.item["metadata"]["name"])
            self._finish("Failed", "RuntimeError", f"the embedded pod runtime failed: {error!r}")
        finally:
            for timer in self._timers:
                timer.cancel()
            for written in self.logs.values():
                written.close()
            await asyncio.to_thread(self._tidy)

    async def _live(self) -> None:
        self.folder.mkdir(parents=True)
        self._changed()
        spec, statuses = self.item["spec"], self.item["status"]["containerStatuses"]
        place = self.folder / "volumes"
        mounted = await self._until_made(
            lambda: volumes.prepare(self.item, place, self.runtime.documents), statuses, "FailedMount"
        )
        if mounted is None:
            return self._finish("Failed")
        for container in spec.get("initContainers") or []:
            if await self._container(container, mounted, init=True) or self._stopping.is_set():
                return self._finish("Failed")
        self._initialized = True
        codes = await asyncio.gather(*(self._container(item, mounted, init=False) for item in spec["containers"]))
        return self._finish("Failed" if any(codes) or self._expired else "Succeeded")

    async def _until_made(self, make: Callable[[], Made], shown: list[Object], reason: str) -> Made | None:
        """Try until it can be made, as a kubelet does, showing why not; None if the pod is stopped before."""
        said = ""
        while not self._stopping.is_set():
            try:
                return make()
            except NotYet as problem:
                if problem.message != said:
                    said = problem.message
                    for item in shown:
                        item["state"] = {"waiting": {"reason": problem.reason, "message": said}}
                    self._event(reason, said, "Warning")
                    self._changed()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY)
        return None

    async def _container(self, container: Object, mounted: dict[str, volumes.Volume], init: bool) -> int:
        """Run one container to its end; its exit code."""
        shown = status.of_container(self.item, container["name"])
        box = await self._until_made(lambda: self._box(container, mounted), [shown], "Failed")
        if box is None:
            status.terminated(shown, 137, "Error", "the pod was stopped before the container was started")
            return 137
        written = self.logs[container["name"]] = Log(self.folder / f"{container['name']}.log")
        try:
            code = await self._run(container, box, written, shown, init)
        finally:
            written.close()
            self.running.pop(container["name"], None)
            await asyncio.to_thread(release, box.root.scratch)
        return code

    async def _run(self, container: Object, box: Box, written: Log, shown: Object, init: bool) -> int:
        if not box.argv:
            image = container["image"]
            problem = f"no command specified: image {image} has no entrypoint in the image index; give a command"
            return self._ended(shown, 128, problem, init)
        try:
            process, info = await processes.start(self.runtime.engine, box, written, self.runtime.home)
        except (OSError, ValueError) as error:
            return self._ended(shown, 128, str(error), init)
        self.running[container["name"]] = process
        started = await process.up(info)
        if started:
            shown.update(state={"running": {"startedAt": now()}}, containerID=f"argo-airflow://{process.pid}")
            shown.update(ready=not init, started=True, imageID=container["image"])
            # as the kubelet has it, a pod is Pending while any container waits
            waits = init or any("waiting" in one["state"] for one in self.item["status"]["containerStatuses"])
            self.item["status"]["phase"] = "Pending" if waits else "Running"
            self._event("Started", f"Started container {container['name']}")
            self._changed()
        if self._stopping.is_set():
            process.signal(signal.SIGKILL)
        code, failure = await process.wait()
        if failure is None and not started:
            failure = f"the container did not start: exit code {code}"
        return self._ended(shown, 128 if failure else code, failure, init)

    def _ended(self, shown: Object, code: int, failure: str | None, init: bool) -> int:
        if failure:
            message = f'failed to start container "{shown["name"]}": {failure}'
            status.terminated(shown, code, "StartError", message)
            self._event("Failed", message, "Warning")
        else:
            status.terminated(shown, code, "Error" if code else "Completed")
        shown["ready"] = init and code == 0
        self._changed()
        return code

    def _box(self, container: Object, mounted: dict[str, volumes.Volume]) -> Box:
        runtime, name = self.runtime, container["name"]
        index = runtime.images()
        image = index.find(container["image"])
        if index.strict and not image.listed:
            message = f'failed to pull image "{container["image"]}": it is not in the image index, which is strict'
            raise NotYet("ErrImagePull", message)
        env = containers.environment(self.item, container, image, runtime.documents)
        binds = tuple(Bind(source, target, True) for target, source in image.mounts.items())
        binds += volumes.binds(container, mounted, env)
        scratch = self.folder / "containers" / name
        scratch.mkdir(parents=True, exist_ok=True)
        root = Root(image.root, scratch, str(runtime.home))
        return Box(
            argv=containers.command(container, image, env), env=env, root=root, binds=binds,
            workdir=container.get("workingDir") or image.workdir or "/",
            hostname=containers.hostname(self.item), user=containers.user_of(self.item, container, image),
        )  # fmt: skip

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._expired = True
        message = "Pod was active on the node longer than the specified deadline"
        self.item["status"].update(reason="DeadlineExceeded", message=message)
        self._event("DeadlineExceeded", message, "Warning")
        # Not through this task: stop waits for the pod's end, which cancels its timers.
        self._removal_of(asyncio.create_task(self.stop(self.grace)))

    def _removal_of(self, task: asyncio.Task[None]) -> None:
        self._removal = self._removal or task

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return float(self.item["spec"]["terminationGracePeriodSeconds"])

    async def stop(self, grace: float) -> None:
        """End all containers: SIGTERM, after ``grace`` seconds SIGKILL."""
        self._stopping.set()
        if grace > 0:
            self._signal(signal.SIGTERM)
            await asyncio.wait([self.task], timeout=grace)
        while not self.finished:
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.task], timeout=1)

    def _signal(self, number: int) -> None:
        for process in list(self.running.values()):
            process.signal(number)

    def log_of(self, name: str) -> Log:
        """The log of a container.

        Raises:
            ApiError: 400, there is no such container or it has not started.
        """
        shown = status.of_container(self.item, name)
        if name not in self.logs:
            why = (shown["state"].get("waiting") or shown["state"].get("terminated") or {}).get("reason", "")
            pod = self.item["metadata"]["name"]
            raise ApiError(400, "BadRequest", f'container "{name}" in pod "{pod}" is waiting to start: {why}')
        return self.logs[name]

    def _finish(self, phase: str, reason: str = "", message: str = "") -> None:
        if reason and not self._expired:
            self.item["status"].update(reason=reason, message=message)
        self.item["status"]["phase"] = phase
        for shown in (*self.item["status"]["containerStatuses"], *self.item["status"].get("initContainerStatuses", ())):
            if "running" in shown["state"]:
                status.terminated(shown, 137, "ContainerStatusUnknown", message)
        self._changed()

    def _tidy(self) -> None:
        """What only running containers need is removed; the logs stay until the pod is deleted."""
        release(self.folder / "containers")
        release(self.folder / "volumes")

    def _changed(self) -> None:
        status.conditions(self.item, self._initialized)
        self.runtime.store.pods.changed("MODIFIED", self.item)

    def _event(self, reason: str, message: str, kind: str = "Normal") -> None:
        self.runtime.store.event(self.item, reason, message, kind)
