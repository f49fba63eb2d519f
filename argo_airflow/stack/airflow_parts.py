"""Airflow's components as processes, and the environment that configures them (no ``airflow.cfg`` is edited)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from argo_airflow.settings import Settings
from argo_airflow.stack.client import AirflowClient
from argo_airflow.stack.component import Component
from argo_airflow.stack.home import Credentials, Home, write_private
from argo_airflow.stack.pods import PodRuntime
from argo_airflow.stack.ports import LOOPBACK
from argo_airflow.stack.postgres import Postgres
from argo_airflow.stack.storage import BUCKET, REGION, SECRET, Storage

ADMIN = "admin"

MAX_PARALLELISM = 16


def machine_environment() -> dict[str, str]:
    """The caller's environment without what would lead a component elsewhere or slow it down."""
    dropped = {"AIRFLOW_HOME", "AIRFLOW_CONFIG", "PYTHONDONTWRITEBYTECODE", "KUBECONFIG", "PGDATA", "PGPORT"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    no_proxy = ",".join(filter(None, [environment.get("NO_PROXY"), LOOPBACK, "localhost"]))
    return environment | {
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # setproctitle must leave the environment alone: our mark is in it
    }


def profile() -> dict[str, str]:
    """Tuning for one machine; the user's own AIRFLOW__* variables win over it."""
    cores = os.cpu_count() or 1
    return {
        "AIRFLOW__CORE__PARALLELISM": str(min(4 * cores, MAX_PARALLELISM)),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "10000",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "15",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def airflow_environment(
    home: Home, dags: Path, keys: Credentials, port: int, postgres: Postgres, storage: Storage, pods: PodRuntime
) -> dict[str, str]:
    """The whole environment of Airflow's processes on this home."""
    users_own = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW__")}
    plugins = dags.parent / "plugins"
    kubernetes = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(pods.kubeconfig)}}
    fixed = {
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins if plugins.is_dir() else home.airflow / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{LOOPBACK}:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(home, keys)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("psycopg2"),
        "AIRFLOW__API__BASE_URL": f"http://{LOOPBACK}:{port}",
        "AIRFLOW__API__SECRET_KEY": keys.api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.logs / "tasks"),
        "AIRFLOW__DAG_PROCESSOR__CHILD_PROCESS_LOG_DIRECTORY": str(home.logs / "dag-files"),
        # by connection alone: KPO refuses to defer where KUBECONFIG is set as well
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(kubernetes),
        "AIRFLOW__ARGO__ARTIFACT_ENDPOINT": storage.endpoint,
        "AIRFLOW__ARGO__ARTIFACT_BUCKET": BUCKET,
        "AIRFLOW__ARGO__ARTIFACT_REGION": REGION,
        "AIRFLOW__ARGO__ARTIFACT_SECRET": SECRET,
    }
    if pods.images:
        fixed["AIRFLOW__ARGO__IMAGES"] = str(pods.images)
    return {**machine_environment(), **profile(), **users_own, **fixed}


def migration(environment: Mapping[str, str]) -> Component:
    """Creates or upgrades Airflow's tables."""
    return _part("migrate", ("db", "migrate"), lambda _: True, environment)


def parts(environment: Mapping[str, str], port: int, client: AirflowClient) -> list[Component]:
    """Airflow's four long-running processes."""
    server = ("api-server", "--host", LOOPBACK, "--port", str(port), "--workers", "1")
    # Task logs are files on this machine, which the api-server reads itself: no log servers, no ports for them.
    return [
        _part("api-server", server, lambda _: bool(client.health()), environment),
        _part("scheduler", ("scheduler", "--skip-serve-logs"), _healthy(client, "scheduler"), environment),
        _part("triggerer", ("triggerer", "--skip-serve-logs"), _healthy(client, "triggerer"), environment),
        _part("dag-processor", ("dag-processor",), _healthy(client, "dag_processor"), environment),
    ]


def namespace() -> str:
    """Namespace of pods whose workflow names none."""
    return Settings.load().namespace


def _part(
    name: str, arguments: tuple[str, ...], ready: Callable[[float], bool], environment: Mapping[str, str]
) -> Component:
    command = (sys.executable, "-m", "airflow", *arguments)
    return Component(name, command, ready, environment, stop_seconds=8.0)


def _healthy(client: AirflowClient, part: str) -> Callable[[float], bool]:
    def ready(started: float) -> bool:
        """Healthy by a heartbeat of this process, not by one its predecessor left in the database."""
        about = client.health().get(part) or {}
        beat = str(about.get(f"latest_{part}_heartbeat") or "")
        return about.get("status") == "healthy" and beat != "" and datetime.fromisoformat(beat).timestamp() >= started

    return ready


def _passwords_file(home: Home, keys: Credentials) -> Path:
    file = home.airflow / "passwords.json"
    write_private(file, json.dumps({ADMIN: keys.admin_password}))
    return file
