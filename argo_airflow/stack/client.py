"""A small client of Airflow's REST API (``/api/v2``), standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from argo_airflow.errors import ArgoAirflowError

Json = dict[str, Any]

# Airflow is on this machine: a proxy from the environment must not get in between.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PAGE = 100


class AirflowApiError(ArgoAirflowError):
    """Airflow answered with an error; ``status`` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def segment(text: str) -> str:
    """Quote one segment of a URL path (run ids contain ``:`` and ``+``)."""
    return urllib.parse.quote(text, safe="")


class AirflowClient:
    """Speaks to one api-server as one user; gets itself a new token when the old one has ended."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url, self._username, self._password = url.rstrip("/"), username, password
        self._token = ""

    def get(self, path: str, **query: object) -> Json:
        """GET ``/api/v2<path>``; a sequence as a query value is repeated.

        Raises:
            AirflowApiError: no answer, or an error status.
        """
        text = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)
        return self._call("GET", f"/api/v2{path}{'?' if text else ''}{text}")

    def post(self, path: str, body: object) -> Json:
        """POST a JSON body to ``/api/v2<path>``."""
        return self._call("POST", f"/api/v2{path}", body)

    def patch(self, path: str, body: object) -> Json:
        """PATCH ``/api/v2<path>`` with a JSON body."""
        return self._call("PATCH", f"/api/v2{path}", body)

    def health(self) -> Json:
        """Airflow's own account of its parts; empty while there is no answer."""
        try:
            return self._send("GET", "/api/v2/monitor/health", None, {})
        except AirflowApiError:
            return {}

    def dag(self, dag_id: str) -> Json | None:
        """The DAG, or None where Airflow has none (yet) of this id."""
        try:
            return self.get(f"/dags/{segment(dag_id)}")
        except AirflowApiError as error:
            if error.status == 404:
                return None
            raise

    def dags(self) -> list[Json]:
        """All DAGs that are not stale."""
        return list(self._pages("/dags", "dags"))

    def import_errors(self) -> list[Json]:
        """What Airflow could not read from the dags folder."""
        return list(self._pages("/importErrors", "import_errors"))

    def trigger(self, dag_id: str, conf: Mapping[str, object], run_id: str | None = None) -> Json:
        """Start a run with these parameter values."""
        body = {"logical_date": None, "conf": dict(conf)} | ({"dag_run_id": run_id} if run_id else {})
        return self.post(f"/dags/{segment(dag_id)}/dagRuns", body)

    def run(self, dag_id: str, run_id: str) -> Json:
        """One DAG run."""
        return self.get(f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}")

    def runs(self, dag_id: str, **query: object) -> list[Json]:
        """Runs of a DAG (``~``: of all)."""
        return list(self._pages(f"/dags/{segment(dag_id)}/dagRuns", "dag_runs", **query))

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """All task instances of a run."""
        return list(self._pages(f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}/taskInstances", "task_instances"))

    def list_runs(self, dag_ids: Sequence[str], **body: object) -> list[Json]:
        """Runs of several DAGs, the oldest first."""
        return list(self._batches("/dags/~/dagRuns/list", "dag_runs", {"dag_ids": list(dag_ids), **body}))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """An XCom's value; None where there is none."""
        path = f"/dags/{segment(dag_id)}/dagRuns/{segment(run_id)}/taskInstances/{segment(task_id)}"
        try:
            return self.get(f"{path}/xcomEntries/{segment(key)}", map_index=map_index)["value"]
        except AirflowApiError as error:
            if error.status == 404:
                return None
            raise

    def _pages(self, path: str, key: str, **query: object) -> Iterator[Json]:
        offset = 0
        while True:
            page = self.get(path, limit=_PAGE, offset=offset, **query)[key]
            yield from page
            offset += len(page)
            if len(page) < _PAGE:
                return

    def _batches(self, path: str, key: str, body: Json) -> Iterator[Json]:
        offset = 0
        while True:
            page = self.post(path, {**body, "page_limit": _PAGE, "page_offset": offset})[key]
            yield from page
            offset += len(page)
            if len(page) < _PAGE:
                return

    def _call(self, method: str, path: str, body: object = None) -> Json:
        for _ in range(2):
            self._token = self._token or self._login()
            try:
                return self._send(method, path, body, {"Authorization": f"Bearer {self._token}"})
            except AirflowApiError as error:
                if error.status != 401:
                    raise
                self._token, refusal = "", error
        raise refusal

    def _login(self) -> str:
        body = {"username": self._username, "password": self._password}
        return str(self._send("POST", "/auth/token", body, {})["access_token"])

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Json:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        request.method = method
        try:
            with _OPENER.open(request, timeout=60) as answer:
                result: Json = json.load(answer)
                return result
        except urllib.error.HTTPError as error:
            with error:
                raise AirflowApiError(error.code, _detail(error.code, error.read())) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise AirflowApiError(0, f"no answer from Airflow at {self.url}: {reason}") from None


def _detail(status: int, body: bytes) -> str:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"Airflow answered with HTTP status {status}"
    return detail if isinstance(detail, str) else json.dumps(detail)
