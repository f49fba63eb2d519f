"""The volumes of a pod: folders of the pod, filled once, and the binds of a container that mounts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argo_airflow.local.containers import Documents, NotYet, Refused, expand, keys_of
from argo_airflow.local.mounts import Bind
from argo_airflow.local.objects import Object

_KINDS = ("emptyDir", "configMap", "secret", "projected", "hostPath")


@dataclass(frozen=True)
class Volume:
    """A volume's place on the host; None: nothing is mounted (a service account token)."""

    place: str | None
    read_only: bool = False


def prepare(pod: Object, folder: Path, documents: Documents) -> dict[str, Volume]:
    """Make all volumes of a pod below ``folder``.

    Raises:
        NotYet: a Secret or ConfigMap is missing.
        Refused: a kind of volume this runtime does not have, or a hostPath that is not there.
    """
    out = {}
    for volume in pod["spec"].get("volumes") or []:
        kind = next((kind for kind in _KINDS if kind in volume), None)
        if kind is None and set(volume) - {"name"}:
            named = ", ".join(sorted(set(volume) - {"name"}))
            have = ", ".join(_KINDS)
            raise Refused(
                f'volume "{volume["name"]}": {named} is not supported by the embedded pod runtime (it has {have})'
            )
        place = folder / volume["name"]
        source = volume.get(kind or "emptyDir") or {}
        if kind == "hostPath":
            out[volume["name"]] = Volume(_host_path(volume["name"], source))
            continue
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o777)
        out[volume["name"]] = Volume(str(place), kind not in (None, "emptyDir"))
        try:
            out[volume["name"]] = _fill(pod, kind, source, place, documents)
        except NotYet as problem:
            message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem.message}'
            raise NotYet("ContainerCreating", message) from None
    return out


def _fill(pod: Object, kind: str | None, source: Object, place: Path, documents: Documents) -> Volume:
    if kind in (None, "emptyDir"):
        return Volume(str(place))
    namespace = pod["metadata"]["namespace"]
    if kind == "projected":
        sources = [item for item in source.get("sources") or [] if "configMap" in item or "secret" in item]
        for item in sources:
            for each in ("configMap", "secret"):
                if each in item:
                    _write(each, item[each], source.get("defaultMode"), namespace, place, documents)
        return Volume(str(place) if sources else None, True)
    _write(str(kind), source, source.get("defaultMode"), namespace, place, documents)
    return Volume(str(place), True)


def _write(
    kind: str, source: Object, default_mode: int | None, namespace: str, place: Path, documents: Documents
) -> None:
    """Write the keys of one Secret or ConfigMap as files."""
    data = keys_of(documents, kind.lower(), namespace, source)
    if data is None:
        return
    items = source.get("items") or [{"key": key, "path": key} for key in data]
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise NotYet("ContainerCreating", f"references non-existent config key: {item['key']}")
        target = Path(os.path.normpath(place / item["path"]))
        if not target.is_relative_to(place):
            raise Refused(f"volume path {item['path']!r} must stay inside the volume")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data[item["key"]])
        target.chmod(int(item.get("mode") or default_mode or 0o644))


def _host_path(name: str, source: Object) -> str:
    path, kind = str(source.get("path", "")), source.get("type") or ""
    if kind == "DirectoryOrCreate":
        os.makedirs(path, exist_ok=True)
    elif kind == "FileOrCreate" and not os.path.exists(path):
        Path(path).touch()
    if not os.path.exists(path):
        raise Refused(f'volume "{name}": hostPath {path!r} does not exist on this machine')
    return path


def binds(container: Object, volumes: Mapping[str, Volume], env: Mapping[str, str]) -> tuple[Bind, ...]:
    """What a container sees of the volumes; a subPath that does not exist becomes a folder, as in Kubernetes.

    Raises:
        Refused: a subPath leaves its volume.
    """
    out = []
    for mount in container.get("volumeMounts") or []:
        volume = volumes[mount["name"]]
        if volume.place is None:
            continue
        source = volume.place
        if part := _sub_path(mount, env):
            source = os.path.realpath(os.path.join(volume.place, part))
            if part.startswith("/") or not Path(source).is_relative_to(os.path.realpath(volume.place)):
                raise Refused(f'volumeMount "{mount["name"]}": subPath {part!r} leaves the volume')
            if not os.path.exists(source):
                os.makedirs(source)
                os.chmod(source, 0o777)
        out.append(Bind(source, os.path.normpath(mount["mountPath"]), bool(mount.get("readOnly") or volume.read_only)))
    return tuple(sorted(out, key=lambda bind: bind.target.count("/")))


def _sub_path(mount: Mapping[str, Any], env: Mapping[str, str]) -> str:
    return expand(mount["subPathExpr"], env) if mount.get("subPathExpr") else mount.get("subPath") or ""
