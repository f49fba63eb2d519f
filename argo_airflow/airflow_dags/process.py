"""What a starting Airflow process needs from us: its kind, imports to be inherited by fork, and better defaults."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

log = logging.getLogger(__name__)

REFRESH_SECONDS = 10
"""How often the DAG processor looks for new, changed and deleted files where the user says nothing (Airflow: 300)."""

_LONG_RUNNING = frozenset({"scheduler", "triggerer", "dag-processor"})

_TASK_IMPORTS = (
    "yaml",
    "pydantic",
    "kubernetes.client.models",
    "airflow.providers.cncf.kubernetes.operators.pod",
    "argo_airflow.compiler",
    "argo_airflow.runtime.operators",
)
_IMPORTS = {
    # LocalExecutor forks its task processes from the scheduler, the DAG processor forks one process a file.
    "scheduler": _TASK_IMPORTS,
    "dag-processor": _TASK_IMPORTS,
    "triggerer": (
        *_TASK_IMPORTS,
        "kubernetes_asyncio",
        "airflow.providers.cncf.kubernetes.triggers.pod",
        "argo_airflow.runtime.triggers",
    ),
}


def kind(argv: Sequence[str] | None = None) -> str:
    """``scheduler``, ``triggerer`` or ``dag-processor`` where this process is one, else ``""``.

    ``airflow standalone`` starts each of them as a process of its own. Processes forked from one count as it.
    """
    argv = sys.argv if argv is None else argv
    if not argv:
        return ""
    program = PurePath(argv[0])
    if program.stem != "airflow" and program.parts[-2:] != ("airflow", "__main__.py"):
        return ""
    command = next((word for word in argv[1:] if not word.startswith("-")), "")
    return command if command in _LONG_RUNNING else ""


def preimport(process: str) -> list[str]:
    """Import now what each task would import, so that a forked task process inherits it; returns what was imported.

    A module that is not there, or fails, is left to the task, which reports it where it belongs.
    """
    imported = []
    for name in _IMPORTS.get(process, ()):
        try:
            importlib.import_module(name)
        except Exception as error:
            log.debug("argo: %s not imported before the fork: %s", name, error)
        else:
            imported.append(name)
    return imported


def refresh_sooner() -> None:
    """Let the DAG processor see files change within :data:`REFRESH_SECONDS`, where the user configured nothing.

    Airflow's default looks every 300 s, and stores a changed DAG at most every 30 s. Only the default bundle, the local
    DAGs folder, is looked at sooner: a Git or S3 bundle is the user's configuration, and polling it costs others.
    """
    from airflow.configuration import conf

    set_default("core", "min_serialized_dag_update_interval", "5")
    if is_configured("dag_processor", "refresh_interval") or is_configured("dag_processor", "dag_bundle_config_list"):
        return
    bundles = conf.getjson("dag_processor", "dag_bundle_config_list")
    for bundle in bundles if isinstance(bundles, list) else ():
        bundle.setdefault("kwargs", {}).setdefault("refresh_interval", REFRESH_SECONDS)
    set_default("dag_processor", "dag_bundle_config_list", json.dumps(bundles))


def set_default(section: str, option: str, value: str) -> bool:
    """Set an option of Airflow, in this process, unless it is configured; whether it was set."""
    if is_configured(section, option):
        return False
    for conf in _configurations():
        conf.set(section, option, value)
    return True


def is_configured(section: str, option: str) -> bool:
    """Whether the user set an option: by environment, or in ``airflow.cfg`` to another value than Airflow's default.

    Airflow writes every default into the ``airflow.cfg`` it creates, so a default found there says nothing.
    """
    from airflow.configuration import conf

    variable = f"AIRFLOW__{section.upper()}__{option.upper()}"
    if any(variable + suffix in os.environ for suffix in ("", "_CMD", "_SECRET")):
        return True
    default = conf.get_default_value(section, option)
    return _squeezed(conf.get(section, option, fallback=default)) != _squeezed(default)


def _squeezed(value: object) -> str:
    return "".join(str(value).split())


def _configurations() -> list[Any]:
    """Airflow's configuration, and the task SDK's, which since 3.2 is an object of its own."""
    from airflow.configuration import conf

    found: list[Any] = [conf]
    if importlib.util.find_spec("airflow.sdk.configuration"):
        from airflow.sdk.configuration import conf as sdk_conf

        found.append(sdk_conf)
    return found
