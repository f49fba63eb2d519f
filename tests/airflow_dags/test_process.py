"""What the plugin does in each kind of process; each in a Python of its own, as imports cannot be taken back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from argo_airflow.airflow_dags import process

from .conftest import REPOSITORY, Airflow


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["/venv/bin/airflow", "scheduler"], "scheduler"),
        (["/venv/bin/airflow", "scheduler", "--num-runs", "1"], "scheduler"),
        (["airflow", "triggerer", "--capacity", "10"], "triggerer"),
        (["/venv/lib/python3.11/site-packages/airflow/__main__.py", "dag-processor", "-B", "argo"], "dag-processor"),
        (["airflow", "--some-flag", "dag-processor"], "dag-processor"),
        (["airflow", "api-server"], ""),
        (["airflow", "standalone"], ""),
        (["airflow", "dags", "list"], ""),
        (["airflow", "jobs", "check", "--job-type", "scheduler"], ""),
        (["airflow"], ""),
        (["/usr/bin/pytest", "scheduler"], ""),
        (["-c"], ""),
        ([], ""),
    ],
)
def test_kind(argv: list[str], kind: str) -> None:
    assert process.kind(argv) == kind


PROBE = """
import json, sys
sys.argv = json.loads(sys.argv[1])
from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors
from airflow.sdk.plugins_manager import _get_plugins
ensure_plugins_loaded()
sdk_plugins, sdk_errors = _get_plugins()
from airflow.configuration import conf
from airflow.plugins_manager import _get_plugins as core_plugins
print(json.dumps({
    "imported": [name for name in json.loads(sys.argv[-1]) if name in sys.modules],
    "plugins": [plugin.name for plugin in core_plugins()[0]],
    "sdk_plugins": [plugin.name for plugin in sdk_plugins],
    "errors": {**get_import_errors(), **sdk_errors},
    "bundles": conf.getjson("dag_processor", "dag_bundle_config_list"),
    "interval": conf.get("core", "min_serialized_dag_update_interval"),
}))
"""
HEAVY = ["airflow.providers.cncf.kubernetes.operators.pod", "kubernetes.client.models", "argo_airflow.compiler"]
TRIGGERER_ONLY = ["kubernetes_asyncio", "airflow.providers.cncf.kubernetes.triggers.pod"]


def _probe(bare_airflow: Airflow, *argv: str, **settings: str) -> dict:
    """Load the plugins twice (core's and the SDK's manager) in a process of that kind."""
    arguments = json.dumps(["airflow", *argv, json.dumps(HEAVY + TRIGGERER_ONLY)])
    command = [sys.executable, "-c", PROBE, arguments]
    done = subprocess.run(command, env={**bare_airflow.environment(), **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_scheduler_has_imported_what_tasks_need(bare_airflow: Airflow) -> None:
    seen = _probe(bare_airflow, "scheduler")
    assert set(HEAVY) <= set(seen["imported"])
    assert seen["plugins"] == seen["sdk_plugins"] == ["argo"]
    assert seen["errors"] == {}


def test_the_triggerer_has_imported_its_client_too(bare_airflow: Airflow) -> None:
    assert set(HEAVY + TRIGGERER_ONLY) <= set(_probe(bare_airflow, "triggerer")["imported"])


@pytest.mark.parametrize("argv", [["api-server"], ["dags", "list"]], ids=" ".join)
def test_other_processes_import_nothing_heavy(bare_airflow: Airflow, argv: list[str]) -> None:
    seen = _probe(bare_airflow, *argv)
    assert seen["imported"] == []
    assert seen["plugins"] == ["argo"]
    assert seen["interval"] == "30"


def test_the_import_can_be_switched_off(bare_airflow: Airflow) -> None:
    assert _probe(bare_airflow, "scheduler", AIRFLOW__ARGO__PREIMPORT="False")["imported"] == []


def test_a_wrong_option_is_named(bare_airflow: Airflow) -> None:
    seen = _probe(bare_airflow, "scheduler", AIRFLOW__ARGO__PREIMPORT="perhaps")
    assert [*seen["errors"].values()] == ["option [argo] preimport: expected true or false, not 'perhaps'"]


def test_the_dag_processor_looks_sooner_at_the_dags_folder(bare_airflow: Airflow) -> None:
    seen = _probe(bare_airflow, "dag-processor")
    assert [(b["name"], b["kwargs"]) for b in seen["bundles"]] == [("dags-folder", {"refresh_interval": 10})]
    assert seen["interval"] == "5"


def test_what_the_user_sets_by_environment_stays(bare_airflow: Airflow) -> None:
    seen = _probe(bare_airflow, "dag-processor", AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="300")
    assert [(b["name"], b["kwargs"]) for b in seen["bundles"]] == [("dags-folder", {})]


def test_what_the_user_writes_into_the_configuration_file_stays(bare_airflow: Airflow) -> None:
    home = bare_airflow.folder / "configured"
    home.mkdir()
    mine = [{"name": "m", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}}]
    (home / "airflow.cfg").write_text(
        "[core]\nmin_serialized_dag_update_interval = 60\n"
        f"[dag_processor]\ndag_bundle_config_list = {json.dumps(mine)}\n"
    )
    seen = _probe(bare_airflow, "dag-processor", AIRFLOW_HOME=str(home))
    assert seen["bundles"] == mine
    assert seen["interval"] == "60"


@pytest.mark.parametrize("installed", [True, False])
def test_the_file_for_a_plugins_folder_never_registers_twice(bare_airflow: Airflow, installed: bool) -> None:
    """Mounted beside an installed package it does nothing; without one it is the plugin."""
    settings = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins")}
    if not installed:
        settings["PYTHONPATH"] = str(REPOSITORY)
    seen = _probe(bare_airflow, "dags", "list", **settings)
    assert seen["plugins"] == seen["sdk_plugins"] == ["argo"]
    assert seen["errors"] == {}
