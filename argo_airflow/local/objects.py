"""Kubernetes objects in memory: names, resource versions, selectors, watch."""

from __future__ import annotations

import asyncio
import copy
import datetime
import re
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
_HISTORY = 2000
_QUEUE = 10_000


class ApiError(Exception):
    """An answer other than success, as a Kubernetes Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Object:
        """The Status object."""
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.code,
                "reason": self.reason, "message": self.message}  # fmt: skip


def now() -> str:
    """This moment as Kubernetes writes it, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(value: object, path: str) -> object:
    """The value at a dotted path, None where there is none."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def merge(target: Object, patch: Object) -> None:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


Test = Callable[[Object], bool]
_SET = re.compile(r"([^\s!=,]+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUAL = re.compile(r"([^\s!=,]+)\s*(==|!=|=)\s*([^\s=,]*)")
_EXISTS = re.compile(r"(!?)\s*([^\s!=,]+)")


def label_selector(text: str) -> Test:
    """A label selector as a test.

    Raises:
        ApiError: 400, the selector cannot be read.
    """
    tests = [_label_test(part.strip()) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, inside = found[1], found[2] == "in"
        values = {value.strip() for value in found[3].split(",")}
        return lambda labels: (labels.get(key) in values) == inside
    if found := _EQUAL.fullmatch(part):
        key, same, value = found[1], found[2] != "!=", found[3]
        return lambda labels: (labels.get(key) == value) == same
    if found := _EXISTS.fullmatch(part):
        key, present = found[2], not found[1]
        return lambda labels: (key in labels) == present
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {part!r}")


def field_selector(text: str) -> Test:
    """A field selector as a test; an absent field is the empty string.

    Raises:
        ApiError: 400, the selector cannot be read.
    """
    tests: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        found = _EQUAL.fullmatch(part.strip())
        if not found:
            raise ApiError(400, "BadRequest", f"invalid field selector: {part!r}")
        tests.append((found[1], found[2] != "!=", found[3]))
    return lambda item: all((str(at(item, path) or "") == value) == same for path, same, value in tests)


@dataclass
class Collection:
    """All objects of one resource."""

    resource: str
    kind: str
    version: Callable[[], int]
    limit: int = 0
    """Greatest number kept, the oldest go; 0: no limit."""
    items: dict[Key, Object] = field(default_factory=dict)
    _history: deque[tuple[int, str, Object]] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _watchers: set[asyncio.Queue[tuple[str, Object] | None]] = field(default_factory=set)
    _first: int = 0

    def create(self, namespace: str, item: Object) -> Object:
        """Add an object under its name or a generated one.

        Raises:
            ApiError: 409, the name is taken; 422, there is none.
        """
        meta = item.setdefault("metadata", {})
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise ApiError(422, "Invalid", f"{self.kind}: metadata.name: Required value: name or generateName")
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        key = (namespace, meta["name"])
        if key in self.items:
            raise ApiError(409, "AlreadyExists", f'{self.resource} "{meta["name"]}" already exists')
        item.update(kind=self.kind, apiVersion="v1")
        meta.update(namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=now())
        self.items[key] = item
        self.changed("ADDED", item)
        while self.limit and len(self.items) > self.limit:
            self.remove(next(iter(self.items)))
        return item

    def get(self, namespace: str, name: str) -> Object:
        """The object.

        Raises:
            ApiError: 404.
        """
        item = self.items.get((namespace, name))
        if item is None:
            raise ApiError(404, "NotFound", f'{self.resource} "{name}" not found')
        return item

    def remove(self, key: Key) -> None:
        """Take an object out, if it is there."""
        if item := self.items.pop(key, None):
            self.changed("DELETED", item)

    def changed(self, change: str, item: Object) -> None:
        """Give the object a new resource version and tell who watches."""
        version = self.version()
        item["metadata"]["resourceVersion"] = str(version)
        seen = copy.deepcopy(item)
        if len(self._history) == _HISTORY:
            self._first = self._history[0][0]
        self._history.append((version, change, seen))
        for queue in list(self._watchers):
            if queue.qsize() >= _QUEUE:
                self._watchers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait((change, seen))

    def list(self, namespace: str | None, test: Test) -> list[Object]:
        """The objects of a namespace (None: of all) that pass."""
        return [item for (space, _), item in self.items.items() if namespace in (None, space) and test(item)]

    def watch(self, namespace: str | None, test: Test, since: int, seconds: float) -> Watch:
        """What happens from resource version ``since`` on; 0: what is, first, as ADDED.

        Raises:
            ApiError: 410, ``since`` is too long ago.
        """
        if since and since < self._first:
            raise ApiError(410, "Expired", f"too old resource version: {since} ({self._first})")
        if since:
            first = [(change, item) for version, change, item in self._history if version > since]
        else:
            first = [("ADDED", copy.deepcopy(item)) for item in self.items.values()]
        return Watch(self, namespace, test, first, time.monotonic() + seconds)

    def subscribe(self, queue: asyncio.Queue[tuple[str, Object] | None]) -> None:
        """Tell ``queue`` of changes."""
        self._watchers.add(queue)

    def unsubscribe(self, queue: asyncio.Queue[tuple[str, Object] | None]) -> None:
        """Tell it no more."""
        self._watchers.discard(queue)


class Watch:
    """An asynchronous iterator over changes; ends after its time, or if its reader is too slow. Close it."""

    def __init__(
        self, collection: Collection, namespace: str | None, test: Test, first: list[tuple[str, Object]], end: float
    ) -> None:
        self._collection, self._namespace, self._test, self._end = collection, namespace, test, end
        self._queue: asyncio.Queue[tuple[str, Object] | None] = asyncio.Queue()
        for change in first:
            self._queue.put_nowait(change)
        collection.subscribe(self._queue)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> tuple[str, Object]:
        while True:
            try:
                change = await asyncio.wait_for(self._queue.get(), max(0.0, self._end - time.monotonic()))
            except TimeoutError:
                raise StopAsyncIteration from None
            if change is None:
                raise StopAsyncIteration
            if self._namespace in (None, change[1]["metadata"]["namespace"]) and self._test(change[1]):
                return change

    def close(self) -> None:
        """Stop listening."""
        self._collection.unsubscribe(self._queue)


class Store:
    """The collections, with one resource version for all, larger than any of an earlier run of the server."""

    def __init__(self, events: int = 5000) -> None:
        self._version = int(time.time() * 1000)
        self.pods = Collection("pods", "Pod", self.next_version)
        self.events = Collection("events", "Event", self.next_version, events)
        self.secrets = Collection("secrets", "Secret", self.next_version)
        self.configmaps = Collection("configmaps", "ConfigMap", self.next_version)

    def __iter__(self) -> Iterator[Collection]:
        return iter((self.pods, self.events, self.secrets, self.configmaps))

    @property
    def version(self) -> int:
        """The newest resource version."""
        return self._version

    def next_version(self) -> int:
        """A new one."""
        self._version += 1
        return self._version

    def event(self, pod: Object, reason: str, message: str, kind: str = "Normal") -> None:
        """Record an Event of a pod."""
        meta = pod["metadata"]
        involved = {"kind": "Pod", "apiVersion": "v1", **{key: meta[key] for key in ("namespace", "name", "uid")}}
        self.events.create(meta["namespace"], {
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}"}, "involvedObject": involved, "type": kind,
            "reason": reason, "message": message, "firstTimestamp": now(), "lastTimestamp": now(), "count": 1,
            "source": {"component": "argo-airflow-local"}, "reportingComponent": "argo-airflow-local",
        })  # fmt: skip
