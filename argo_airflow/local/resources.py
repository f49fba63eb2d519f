"""Secrets and ConfigMaps: from folders of Kubernetes YAML, and from the API."""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

log = logging.getLogger(__name__)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {"Secret": "secrets", "ConfigMap": "configmaps"}


def data_of(document: dict[str, Any]) -> dict[str, bytes]:
    """The keys of a Secret or ConfigMap with their bytes.

    Raises:
        ValueError: a value is not text, or not base64 where it must be; the message names the key.
    """
    secret = document.get("kind") == "Secret"
    out: dict[str, bytes] = {}
    for part, encoded in (("binaryData", True), ("data", secret), ("stringData", False)):
        for key, value in (document.get(part) or {}).items():
            text = "" if value is None else value
            if not isinstance(text, str):
                raise ValueError(f"{part}.{key}: expected a string, not {type(value).__name__}")
            try:
                out[str(key)] = base64.b64decode(text) if encoded else text.encode()
            except binascii.Error as error:
                raise ValueError(f"{part}.{key}: not base64: {error}") from None
    return out


@dataclass
class Folders:
    """Secrets and ConfigMaps of all YAML files below some folders; a file is read again when it changed."""

    folders: Iterable[Path] = ()
    _files: dict[Path, tuple[tuple[int, int], list[dict[str, Any]]]] = field(default_factory=dict)

    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The document, with ``namespace`` set; one without a namespace of its own is found from any."""
        for document in self.documents(resource):
            meta = document["metadata"]
            if meta["name"] == name and meta.get("namespace", namespace) == namespace:
                return {**document, "metadata": {**meta, "namespace": namespace}}
        return None

    def documents(self, resource: str) -> Iterator[dict[str, Any]]:
        """All documents of ``secrets`` or ``configmaps``."""
        seen = set()
        for path in self._paths():
            seen.add(path)
            for document in self._read(path):
                if KINDS[document["kind"]] == resource:
                    yield document
        for gone in set(self._files) - seen:
            del self._files[gone]

    def _paths(self) -> list[Path]:
        found = []
        for folder in self.folders:
            for place, _, names in os.walk(folder):
                found += [Path(place, name) for name in names if name.endswith((".yaml", ".yml"))]
        return sorted(found)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._files.get(path)
            if known and known[0] == stamp:
                return known[1]
            documents = [document for document in yaml.load_all(path.read_bytes(), _LOADER) if _is_ours(document)]
        except (OSError, UnicodeError, yaml.YAMLError, ValueError) as error:
            log.warning("%s: skipped, cannot be read for Secrets and ConfigMaps: %s", path, error)
            documents, stamp = [], (0, 0)
            if path.exists():
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
        self._files[path] = (stamp, documents)
        return documents


def _is_ours(document: object) -> bool:
    if not isinstance(document, dict) or document.get("kind") not in KINDS:
        return False
    meta = document.get("metadata")
    return isinstance(meta, dict) and isinstance(meta.get("name"), str)
