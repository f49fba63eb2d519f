"""The image index: a YAML file that says what stands in for an image on this machine.

The same file tells a worker an image's entrypoint and cmd, so this module needs nothing but PyYAML.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from argo_airflow.errors import LocalRuntimeError

HELPER = "argo-airflow/helper*"
"""The helper's image, which needs no entry: here it is this very Python environment."""
_FIELDS = ("root", "entrypoint", "cmd", "env", "path", "workdir", "mounts", "user")


@dataclass(frozen=True)
class Image:
    """What an image is here. All folders are absolute; ``root`` ``/`` is the host's own root."""

    root: str = "/"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    """Folders put before PATH."""
    workdir: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Container path → host path, read-only."""
    user: int | None = None
    listed: bool = False
    """True if the index has an entry for the image."""


@dataclass(frozen=True)
class ImageIndex:
    """All entries of one file, in the file's order. ``strict``: an image without an entry cannot be pulled."""

    images: Mapping[str, Image] = field(default_factory=dict)
    strict: bool = False

    @classmethod
    def load(cls, path: str | Path) -> ImageIndex:
        """Read an index file.

        Raises:
            LocalRuntimeError: the file cannot be read, is not YAML or has a field that is unknown or of a wrong type;
                the message names file, line and entry.
        """
        return _Reader(Path(path).absolute()).read()

    def find(self, image: str) -> Image:
        """The entry for ``image``: an exact match wins (first with, then without tag), then the first pattern."""
        names = (image, _without_tag(image))
        for name in names:
            if name in self.images:
                return self.images[name]
        for pattern, entry in self.images.items():
            if any(fnmatchcase(name, pattern) for name in names):
                return entry
        if fnmatchcase(image, HELPER):
            return Image(path=(str(Path(sys.executable).parent),), listed=True)
        return Image()


def _without_tag(image: str) -> str:
    image = image.partition("@")[0]
    head, colon, tail = image.rpartition(":")
    return head if colon and "/" not in tail else image


class _Reader:
    """Reads one file; keeps YAML nodes so that each message has its line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, node: yaml.Node | None, message: str) -> LocalRuntimeError:
        mark = node.start_mark if node is not None else None
        where = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else str(self.path)
        return LocalRuntimeError(f"{where}: image index: {message}")

    def read(self) -> ImageIndex:
        try:
            top = yaml.compose(self.path.read_text("utf-8"), yaml.SafeLoader)
        except (OSError, UnicodeDecodeError) as error:
            raise self.fail(None, f"cannot be read: {error}") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else self.path
            raise LocalRuntimeError(f"{where}: image index: not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise self.fail(None, f"not YAML: {error}") from None
        if top is None:
            return ImageIndex()
        known = {"images": None, "strict": None}
        images: dict[str, Image] = {}
        strict = False
        for key, node in self.items(top, "the file"):
            if key not in known:
                raise self.fail(node, f"unknown field {key!r}; known are images, strict")
            if key == "strict":
                strict = self.boolean(node, "strict")
            else:
                for pattern, entry in self.items(node, "images"):
                    images[pattern] = self.image(pattern, entry)
        return ImageIndex(images, strict)

    def image(self, name: str, node: yaml.Node) -> Image:
        values: dict[str, object] = {}
        for key, value in self.items(node, f"images.{name}"):
            label = f"images.{name}.{key}"
            if key not in _FIELDS:
                raise self.fail(value, f"{label}: unknown field; known are {', '.join(_FIELDS)}")
            values[key] = getattr(self, f"_{key}")(value, label)
        return Image(listed=True, **values)  # type: ignore[arg-type]

    def _root(self, node: yaml.Node, label: str) -> str:
        return self.folder(node, label)

    def _entrypoint(self, node: yaml.Node, label: str) -> tuple[str, ...]:
        return self.strings(node, label)

    _cmd = _entrypoint

    def _path(self, node: yaml.Node, label: str) -> tuple[str, ...]:
        return tuple(self.place(text) for text in self.strings(node, label))

    def _env(self, node: yaml.Node, label: str) -> dict[str, str]:
        return {key: self.text(value, f"{label}.{key}") for key, value in self.items(node, label)}

    def _mounts(self, node: yaml.Node, label: str) -> dict[str, str]:
        out = {}
        for target, value in self.items(node, label):
            if not target.startswith("/"):
                raise self.fail(value, f"{label}: container path {target!r} must start with /")
            out[target] = self.folder(value, f"{label}.{target}")
        return out

    def _workdir(self, node: yaml.Node, label: str) -> str:
        return self.text(node, label)

    def _user(self, node: yaml.Node, label: str) -> int:
        text = self.text(node, label)
        if not text.isdigit():
            raise self.fail(node, f"{label}: expected a numeric user id, not {text!r}")
        return int(text)

    def folder(self, node: yaml.Node, label: str) -> str:
        place = self.place(self.text(node, label))
        if not os.path.exists(place):
            raise self.fail(node, f"{label}: {place} does not exist")
        return place

    def place(self, text: str) -> str:
        """A host path: ``{python}``/``{venv}``, ``${VAR}`` and ``~`` replaced, relative to the file."""
        here = os.path.dirname(sys.executable)
        text = text.replace("{python}", here).replace("{venv}", here)
        return os.path.normpath(self.path.parent / os.path.expanduser(os.path.expandvars(text)))

    def items(self, node: yaml.Node, label: str) -> list[tuple[str, yaml.Node]]:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return []
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{label}: expected a mapping")
        return [(self.text(key, label), value) for key, value in node.value]

    def strings(self, node: yaml.Node, label: str) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, f"{label}: expected a list of strings")
        return tuple(self.text(item, label) for item in node.value)

    def text(self, node: yaml.Node, label: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{label}: expected a string")
        return str(node.value)

    def boolean(self, node: yaml.Node, label: str) -> bool:
        text = self.text(node, label).lower()
        if text not in ("true", "false"):
            raise self.fail(node, f"{label}: expected true or false, not {text!r}")
        return text == "true"
