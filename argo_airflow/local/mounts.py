"""What a container's file system is made of, as steps that any engine can carry out.

Two ways to a root that can be written anywhere without touching the host: an *overlay* (the image's folder below, a
folder of the container above), and, where the kernel allows no overlay, a *skeleton*: a tmpfs whose entries are the
image's own, bound read-only, opened up where something must be made inside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Bind:
    """``source`` of the host seen at ``target`` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Tmpfs:
    """An empty file system in memory."""

    target: str


@dataclass(frozen=True)
class Folder:
    """A folder made in what is mounted so far."""

    target: str


@dataclass(frozen=True)
class Link:
    """A symbolic link at ``target``."""

    text: str
    target: str


@dataclass(frozen=True)
class Kernel:
    """The container's own /proc, or a minimal /dev."""

    kind: Literal["proc", "dev"]


Step = Bind | Tmpfs | Folder | Link | Kernel


@dataclass(frozen=True)
class Overlay:
    """A merged root: ``lower`` shows through, writes go to ``upper``; ``work`` is the kernel's own."""

    lower: str
    upper: str
    work: str
    merged: str
    in_memory: bool = False
    """``upper`` and ``work`` cannot be on the runtime's disk: they are made on a tmpfs at ``merged``'s parent."""


_OWN = ("/proc", "/dev", "/sys", "/run", "/tmp")
"""Made new for each container, never the host's."""
_OPEN = ("/", "/home", "/mnt", "/opt", "/root", "/srv", "/var")
"""Folders of a skeleton where files can be made, as an image lets its root user."""


def under(path: str, folders: Iterable[str]) -> bool:
    """True if ``path`` is one of ``folders`` or inside one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def resolve(root: str, path: str) -> str:
    """``path`` with its symbolic links followed inside ``root``; what does not exist is kept as written."""
    done, todo, hops = "/", [part for part in path.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        if part in (".", ".."):
            done = os.path.dirname(done) if part == ".." else done
            continue
        place = os.path.join(done, part)
        try:
            text = os.readlink(root.rstrip("/") + place)
        except OSError:
            done = place
            continue
        hops += 1
        if hops > 40:
            return path
        done = "/" if text.startswith("/") else done
        todo = [piece for piece in text.split("/") if piece] + todo
    return done


def host_mounts() -> list[str]:
    """Mount points of the host an overlay over ``/`` would not show: the outermost ones, kernel ones left out."""
    found: list[str] = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [line.split(" ")[4].encode().decode("unicode_escape") for line in lines]
    for point in sorted(set(points)):
        if point != "/" and not under(point, (*_OWN, *found)) and os.access(point, os.R_OK):
            found.append(point)
    return found


@dataclass(frozen=True)
class Root:
    """The root of one container: ``image`` is a folder of the host, ``scratch`` the container's own folder."""

    image: str
    scratch: Path
    hidden: str
    """A folder of the host no container may look into: the runtime's home."""

    def overlay(self, in_memory: bool = False) -> Overlay:
        """Make the folders of an overlay over the image."""
        stage = self.scratch / "root"
        upper, work, merged = (str(stage / name) for name in ("upper", "work", "merged"))
        for folder in (upper, work, merged) if not in_memory else (merged,):
            os.makedirs(folder, exist_ok=True)
        if not in_memory:
            os.chmod(upper, 0o755)
        return Overlay(self.image, upper, work, merged, in_memory)

    def overlay_steps(self, targets: Iterable[Bind]) -> list[Step]:
        """The steps on top of an overlay, the mounts ``targets`` last."""
        binds = [Bind(bind.source, resolve(self.image, bind.target), bind.read_only) for bind in targets]
        return [*self._host_steps(), *self._own_steps(), *binds]

    def skeleton_steps(self, targets: Iterable[Bind]) -> list[Step]:
        """All steps of a root without overlay."""
        binds = [Bind(bind.source, resolve(self.image, bind.target), bind.read_only) for bind in targets]
        opened = {*_OPEN, *self._closed()}
        for bind in binds:
            place = os.path.dirname(bind.target)
            while place not in opened and not os.path.lexists(self._in_image(bind.target)):
                opened.add(place)
                place = os.path.dirname(place)
        host: list[Step] = [Bind(bind.source, bind.target, True) for bind in self._host_steps()]
        return [Tmpfs("/"), *self._entries("/", opened), *host, *self._own_steps(), *binds]

    def _entries(self, place: str, opened: set[str]) -> Iterator[Step]:
        try:
            names = sorted(os.listdir(self._in_image(place)))
        except OSError:
            return
        for name in names:
            target = os.path.join(place, name)
            source = self._in_image(target)
            if target in _OWN or (self.image == "/" and under(target, (self.hidden,))):
                continue
            if os.path.islink(source):
                yield Link(os.readlink(source), target)
            elif target in opened:
                yield Folder(target)
                yield from self._entries(target, opened)
            elif os.access(source, os.R_OK):
                yield Bind(source, target, True)

    def _own_steps(self) -> list[Step]:
        steps: list[Step] = [Kernel("proc"), Kernel("dev")]
        for place in ("/tmp", "/run", *self._closed()):
            mine = self.scratch / place.strip("/").replace("/", "-")
            mine.mkdir(exist_ok=True)
            mine.chmod(0o1777 if place == "/tmp" else 0o755)
            steps.append(Bind(str(mine), place))
        names = os.path.realpath("/etc/resolv.conf")
        if self.image == "/" and under(names, ("/run",)) and os.path.isfile(names):
            steps.append(Bind(names, names, True))
        if self.image == "/" and not under(self.hidden, _OWN):
            steps.append(Tmpfs(self.hidden))
        return steps

    def _host_steps(self) -> list[Bind]:
        if self.image != "/":
            return []
        return [Bind(point, point, True) for point in host_mounts() if not under(point, (self.hidden,))]

    def _closed(self) -> list[str]:
        """Folders of the image we may not read; the container gets its own, empty."""
        return [place for place in ("/root",) if not os.access(self._in_image(place), os.R_OK | os.X_OK)]

    def _in_image(self, path: str) -> str:
        return self.image.rstrip("/") + path
