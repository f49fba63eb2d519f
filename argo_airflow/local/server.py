"""The routes: the pod part of the Kubernetes API."""

from __future__ import annotations

import datetime
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from argo_airflow.local import exec as execution
from argo_airflow.local.logs import Query
from argo_airflow.local.objects import ApiError, Collection, Object, Test, field_selector, label_selector, merge
from argo_airflow.local.runtime import Pods

log = logging.getLogger(__name__)
_BODY = 32 << 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(pods: Pods, token: str) -> web.Application:
    """The aiohttp application; closing it ends all pods."""
    api = Api(pods)
    app = web.Application(middlewares=[_guard(token)], client_max_size=_BODY)
    here, one = "/api/v1/namespaces/{namespace}/{resource}", "/api/v1/namespaces/{namespace}/{resource}/{name}"
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    app.add_routes([
        web.get("/version", _version), web.get("/version/", _version),
        web.get("/readyz", _ok), web.get("/livez", _ok), web.get("/healthz", _ok),
        web.get("/api/v1/{resource}", api.list), web.get(here, api.list), web.post(here, api.create),
        web.delete(here, api.delete_all), web.get(f"{pod}/log", api.log), web.get(f"{pod}/exec", api.exec),
        web.post(f"{pod}/exec", api.exec), web.get(f"{pod}/status", api.get), web.get(one, api.get),
        web.put(one, api.replace), web.patch(one, api.patch), web.delete(one, api.delete),
    ])  # fmt: skip

    async def close(_: web.Application) -> None:
        await pods.close()

    app.on_shutdown.append(close)
    return app


def _guard(token: str) -> Any:
    """The token is asked for; every failure becomes a Kubernetes Status."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
                raise ApiError(401, "Unauthorized", "Unauthorized")
            return await handler(request)
        except ApiError as error:
            return web.json_response(error.status(), status=error.code)
        except web.HTTPException as error:
            problem = ApiError(
                error.status, error.reason.replace(" ", ""), f"{request.method} {request.path}: {error.reason}"
            )
            return web.json_response(problem.status(), status=error.status)
        except (ConnectionError, web.GracefulExit):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return web.json_response(ApiError(500, "InternalError", repr(error)).status(), status=500)

    return guard


_VERSION = {
    "major": "1", "minor": "33", "gitVersion": "v1.33.0+argo-airflow-local", "platform": "linux", "gitCommit": "",
    "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "",
}  # fmt: skip


async def _version(_: web.Request) -> web.Response:
    return web.json_response(_VERSION)


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("true", "1")


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise ApiError(400, "BadRequest", f"{name}: expected a whole number, not {text!r}")
    return int(text)


async def _body(request: web.Request) -> Object:
    try:
        body = await request.json()
    except (ValueError, UnicodeDecodeError) as error:
        raise ApiError(400, "BadRequest", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(415, "UnsupportedMediaType", "the body must be an object (JSON patch is not supported)")
    return body


def _selected(request: web.Request) -> Test:
    labels = label_selector(request.query.get("labelSelector", ""))
    fields = field_selector(request.query.get("fieldSelector", ""))
    return lambda item: labels(item) and fields(item)


class Api:
    """The handlers."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._collections = {collection.resource: collection for collection in pods.store}

    def _collection(self, request: web.Request) -> Collection:
        resource = request.match_info.get("resource", "pods")
        if resource not in self._collections:
            raise ApiError(404, "NotFound", f"the embedded pod runtime has no {resource}")
        return self._collections[resource]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List or watch."""
        collection, namespace, test = self._collection(request), request.match_info.get("namespace"), _selected(request)
        if _flag(request, "watch"):
            return await self._watch(request, collection, namespace, test)
        items = collection.list(namespace, test)
        if collection.resource in ("secrets", "configmaps"):
            names = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
            for item in self._pods.documents.all(collection.resource, namespace):
                if (item["metadata"]["namespace"], item["metadata"]["name"]) not in names and test(item):
                    items.append(item)
        return web.json_response({"kind": f"{collection.kind}List", "apiVersion": "v1", "items": items,
                                  "metadata": {"resourceVersion": str(self._pods.store.version)}})  # fmt: skip

    async def _watch(
        self, request: web.Request, collection: Collection, namespace: str | None, test: Test
    ) -> web.StreamResponse:
        seconds = _number(request, "timeoutSeconds") or 3600
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            watch = collection.watch(namespace, test, _number(request, "resourceVersion") or 0, seconds)
        except ApiError as error:
            await response.prepare(request)
            await response.write(json.dumps({"type": "ERROR", "object": error.status()}).encode() + b"\n")
            return response
        try:
            await response.prepare(request)
            async for change, item in watch:
                await response.write(json.dumps({"type": change, "object": item}).encode() + b"\n")
        finally:
            watch.close()
        return response

    async def create(self, request: web.Request) -> web.Response:
        """POST to a collection."""
        collection, item, namespace = self._collection(request), await _body(request), request.match_info["namespace"]
        if _flag(request, "dryRun") or request.query.get("dryRun") == "All":
            return web.json_response(item, status=201)
        if collection.resource == "pods":
            made = self._pods.create(namespace, item)
        else:
            made = collection.create(namespace, item)
        return web.json_response(made, status=201)

    def _find(self, request: web.Request) -> Object:
        collection, namespace, name = (
            self._collection(request),
            request.match_info["namespace"],
            request.match_info["name"],
        )
        if collection.resource in ("secrets", "configmaps"):
            found = self._pods.documents.document(collection.resource, namespace, name)
            if found is not None:
                return {"apiVersion": "v1", **found}
        return collection.get(namespace, name)

    async def get(self, request: web.Request) -> web.Response:
        """One object."""
        return web.json_response(self._find(request))

    async def replace(self, request: web.Request) -> web.Response:
        """PUT; of a pod only the metadata can change."""
        collection, fresh = self._collection(request), await _body(request)
        item = collection.get(*_key(request))
        kept = {key: item["metadata"][key] for key in ("namespace", "name", "uid", "creationTimestamp")}
        metadata = {
            **(fresh.get("metadata") or {}),
            **{key: kept[key] for key in ("namespace", "name", "uid", "creationTimestamp")},
        }
        if collection.resource == "pods":
            item["metadata"] = metadata
        else:
            item.clear()
            item.update(fresh, kind=collection.kind, apiVersion="v1", metadata=metadata)
        collection.changed("MODIFIED", item)
        return web.json_response(item)

    async def patch(self, request: web.Request) -> web.Response:
        """A merge patch (a strategic one acts alike on the metadata, all that can change of a pod)."""
        collection, patch = self._collection(request), await _body(request)
        item = collection.get(*_key(request))
        if collection.resource == "pods":
            patch = {"metadata": {key: value for key, value in (patch.get("metadata") or {}).items()
                                  if key in ("labels", "annotations", "finalizers", "ownerReferences")}}  # fmt: skip
        merge(item, patch)
        collection.changed("MODIFIED", item)
        return web.json_response(item)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE of one object."""
        collection, namespace, name = (
            self._collection(request),
            request.match_info["namespace"],
            request.match_info["name"],
        )
        options = await _body(request) if request.can_read_body else {}
        grace = _number(request, "gracePeriodSeconds")
        if collection.resource == "pods":
            item = self._pods.delete(namespace, name, options.get("gracePeriodSeconds") if grace is None else grace)
        else:
            item = collection.get(namespace, name)
            collection.remove((namespace, name))
        return web.json_response(item)

    async def delete_all(self, request: web.Request) -> web.Response:
        """DELETE of all that are selected."""
        collection, namespace = self._collection(request), request.match_info["namespace"]
        grace = _number(request, "gracePeriodSeconds")
        for item in collection.list(namespace, _selected(request)):
            name = item["metadata"]["name"]
            if collection.resource == "pods":
                self._pods.delete(namespace, name, grace)
            else:
                collection.remove((namespace, name))
        return web.json_response({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    async def log(self, request: web.Request) -> web.StreamResponse:
        """A container's log."""
        pod = self._pods.get(*_key(request))
        log_file = pod.log_of(_container(request, pod.item))
        query = Query(
            _flag(request, "follow"), _flag(request, "timestamps"), _since(request), _number(request, "tailLines"),
            _number(request, "limitBytes"),
        )  # fmt: skip
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in log_file.read(query):
            await response.write(chunk)
        return response

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """A command in a running container."""
        pod = self._pods.get(*_key(request))
        name, command = _container(request, pod.item), request.query.getall("command", [])
        if not command:
            raise ApiError(400, "BadRequest", "you must specify at least 1 command for the container")
        process = pod.running.get(name)
        if process is None or process.pid is None:
            raise ApiError(400, "BadRequest", f'container "{name}" is not running')
        return await execution.serve(request, process.pid, command)


def _key(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["name"]


def _container(request: web.Request, pod: Object) -> str:
    name = request.query.get("container")
    if name:
        return name
    names = [container["name"] for container in pod["spec"]["containers"]]
    if len(names) > 1:
        of = pod["metadata"]["name"]
        raise ApiError(400, "BadRequest", f"a container name must be specified for pod {of}, choose one of: {names}")
    return str(names[0])


def _since(request: web.Request) -> str:
    seconds = _number(request, "sinceSeconds")
    if seconds is None:
        return request.query.get("sinceTime", "")
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
