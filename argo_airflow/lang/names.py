"""Names of workflows, nodes and pods, as Argo makes them."""

from __future__ import annotations

import hashlib
from typing import Protocol

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes: apimachinery/pkg/util/rand, no vowels and nothing that looks like one."""
_PREFIX = 242
"""Longest prefix of a pod name (Argo: workflow/util/pod_name.go:50-79)."""

_GENERATED = 58
"""Longest prefix of a generated name (Kubernetes: apiserver/pkg/storage/names); with its suffix it fits a label."""


def fnv32a(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def node_id(workflow: str, node_name: str) -> str:
    """Argo's node id; the root node's is the workflow's name."""
    return workflow if node_name == workflow else f"{workflow}-{fnv32a(node_name)}"


def pod_name(workflow: str, template: str, node_name: str, run: str = "") -> str:
    """Argo's pod name (version 2): workflow, template and the node's hash; the root pod has the workflow's name.

    ``run`` is what tells runs of a workflow with a fixed name apart: Argo runs it once, Airflow as often as one likes.
    """
    if node_name == workflow and not run:
        return workflow
    prefix = f"{workflow}-{template}" if template else workflow
    return f"{prefix[:_PREFIX]}-{fnv32a(run + node_name)}"


class Named(Protocol):
    """What has a ``name`` or a ``generate_name``: ``spec.ObjectMeta``, ``graph.WorkflowInfo``."""

    @property
    def name(self) -> str: ...

    @property
    def generate_name(self) -> str: ...


def workflow_name(metadata: Named, seed: str) -> str:
    """``metadata.name``, else ``generateName``, cut as Kubernetes does, and five characters that ``seed`` decides."""
    if metadata.name:
        return metadata.name
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    suffix = ""
    for _ in range(5):
        number, digit = divmod(number, len(_ALPHABET))
        suffix += _ALPHABET[digit]
    return f"{metadata.generate_name[:_GENERATED]}{suffix}"
