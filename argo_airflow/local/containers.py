"""What one container of a pod runs: its environment, its command, the box it runs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from argo_airflow.images import Image
from argo_airflow.local.objects import Object, at
from argo_airflow.local.resources import data_of

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(\$|\(([^()$\s=]+)\))")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class NotYet(Exception):
    """A container or volume cannot be made now, as a kubelet would keep trying; ``reason`` is the waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Refused(Exception):
    """A pod can never run here."""


class Documents(Protocol):
    """Where Secrets and ConfigMaps are found."""

    def document(self, resource: str, namespace: str, name: str) -> Object | None:
        """One of ``secrets`` or ``configmaps``."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced; an unknown one stays, ``$$(NAME)`` is ``$(NAME)`` (Kubernetes: third_party/expansion)."""
    return _REFERENCE.sub(lambda found: "$" if found[1] == "$" else env.get(found[2], found[0]), text)


def keys_of(documents: Documents, kind: str, namespace: str, source: Mapping[str, Any]) -> dict[str, bytes] | None:
    """The data of the ``secret`` or ``configmap`` that ``source`` names; None if it is optional and absent.

    Raises:
        NotYet: it is absent or cannot be read.
    """
    name = source.get("name") or source.get("secretName") or ""
    document = documents.document(f"{kind}s", namespace, name)
    if document is None:
        if source.get("optional"):
            return None
        raise NotYet("CreateContainerConfigError", f'{kind} "{name}" not found')
    try:
        return data_of(document)
    except ValueError as error:
        raise NotYet("CreateContainerConfigError", f'{kind} "{name}": {error}') from None


def environment(pod: Object, container: Object, image: Image, documents: Documents) -> dict[str, str]:
    """The variables of a container: the image's, ``envFrom``, ``env``.

    Raises:
        NotYet: a Secret, a ConfigMap or a key is missing.
        Refused: a ``valueFrom`` of a kind this runtime does not have.
    """
    namespace = pod["metadata"]["namespace"]
    env = {"PATH": _PATH, "HOME": "/root", "HOSTNAME": hostname(pod), **image.env}
    if image.path:
        env["PATH"] = ":".join([*image.path, env["PATH"]])
    for source in container.get("envFrom") or []:
        for kind, field in (("configmap", "configMapRef"), ("secret", "secretRef")):
            if field in source:
                for key, value in (keys_of(documents, kind, namespace, source[field]) or {}).items():
                    name = (source.get("prefix") or "") + key
                    if _NAME.fullmatch(name):
                        env[name] = _text(value, kind, key)
    for item in container.get("env") or []:
        if item.get("valueFrom"):
            found = _value_from(pod, container, item["valueFrom"], documents)
            if found is not None:
                env[item["name"]] = found
        else:
            env[item["name"]] = expand(str(item.get("value") or ""), env)
    return env


def _value_from(pod: Object, container: Object, source: Object, documents: Documents) -> str | None:
    for kind, field in (("configmap", "configMapKeyRef"), ("secret", "secretKeyRef")):
        if field in source:
            reference = source[field]
            data = keys_of(documents, kind, pod["metadata"]["namespace"], reference)
            if data is None or reference["key"] not in data:
                if reference.get("optional"):
                    return None
                message = f"couldn't find key {reference['key']} in {kind} {reference['name']}"
                raise NotYet("CreateContainerConfigError", message)
            return _text(data[reference["key"]], kind, reference["key"])
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"].get("fieldPath", ""))
    if "resourceFieldRef" in source:
        return _resource(container, source["resourceFieldRef"])
    raise Refused(f"env valueFrom {', '.join(source)} is not supported by the embedded pod runtime")


def _text(value: bytes, kind: str, key: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise NotYet("CreateContainerConfigError", f"{kind} key {key} is not text: mount it as a file") from None
    if "\0" in text:
        raise NotYet("CreateContainerConfigError", f"{kind} key {key} holds a NUL byte: mount it as a file")
    return text


def _field(pod: Object, path: str) -> str:
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    if path == "spec.serviceAccountName":
        return str(pod["spec"].get("serviceAccountName") or "default")
    return str(at(pod, path) or "")


def _resource(container: Object, reference: Object) -> str:
    """A limit or request as the user wrote it; what is not set is 0."""
    kind, _, name = str(reference.get("resource", "")).partition(".")
    return str(at(container, f"resources.{kind}.{name}") or "0")


def hostname(pod: Object) -> str:
    """The host name in all containers of a pod."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def command(container: Object, image: Image, env: Mapping[str, str]) -> tuple[str, ...]:
    """The words to run (Kubernetes: command replaces ENTRYPOINT and drops CMD, args replaces CMD)."""
    words = [expand(str(word), env) for word in container.get("command") or []]
    args = [expand(str(word), env) for word in container.get("args") or []]
    if words:
        return (*words, *args)
    return (*image.entrypoint, *(args or image.cmd))


def user_of(pod: Object, container: Object, image: Image) -> int | None:
    """The numeric user a container runs as; None for the image's root."""
    for place in (container.get("securityContext"), pod["spec"].get("securityContext")):
        if place and place.get("runAsUser") is not None:
            return int(place["runAsUser"])
    return image.user
