"""The same folder under Airflow 3.4, where importers are configured; in an environment of its own.

``ARGO_AIRFLOW_34_VENV`` names one that has Airflow ≥ 3.4 and the cncf-kubernetes provider; otherwise one is made, once,
in pytest's cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import FOUND, REFUSED, Airflow, fill, wait_until, workflow

pytestmark = pytest.mark.airflow34

VERSION = "3.4.0b2"
# Each pre-release is named: others of the same install stay at releases.
PACKAGES = [
    f"apache-airflow=={VERSION}",
    f"apache-airflow-core=={VERSION}",
    "apache-airflow-task-sdk==1.4.0b2",
    "apache-airflow-providers-cncf-kubernetes",
]
IMPORTER = "argo_airflow.airflow_dags.importer.ArgoDagImporter"
NATIVE = """\
$schema: https://airflow.apache.org/schemas/dag/2026-10-30.json
dag_id: native
tasks:
  - id: one
    uses: airflow.providers.standard.operators.empty.EmptyOperator
"""
Log = Callable[[], str]


def _python(cache: Path) -> str:
    given = os.environ.get("ARGO_AIRFLOW_34_VENV")
    folder = Path(given) if given else cache / f"airflow-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    if given or (folder / "complete").exists():
        return str(python)
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    if uv:
        commands.append([uv, "pip", "install", "--python", str(python), "--compile-bytecode", *PACKAGES])
    else:
        commands.append([str(python), "-m", "pip", "install", *PACKAGES])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"AIRFLOW 3.4 IS NOT TESTED: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    (folder / "complete").touch()
    return str(python)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Airflow:
    python = _python(request.config.cache.mkdir("airflow34"))
    settings = {
        "AIRFLOW__DAG_PROCESSOR__DAG_IMPORTER_CONFIGS": json.dumps([IMPORTER]),
    }
    home = Airflow(tmp_path_factory.mktemp("airflow34"), python, settings)
    home.dags.mkdir()
    home.run("db", "migrate")
    return home


@pytest.fixture(scope="module")
def log(airflow: Airflow) -> Iterator[Log]:
    fill(airflow.dags)
    (airflow.dags / "native.yaml").write_text(NATIVE)
    with airflow.dag_processor() as log:
        found = FOUND | {"native"}
        wait_until(lambda: airflow.dag_ids() >= found and airflow.errors().keys() >= REFUSED, "the first parse", log)
        yield log


def test_it_is_airflow_34(airflow: Airflow) -> None:
    assert re.match(r"3\.([4-9]|\d\d)", airflow.run("version").strip().splitlines()[-1])


@pytest.mark.usefixtures("log")
def test_argo_and_native_yaml_are_dags_and_nothing_else_is(airflow: Airflow) -> None:
    assert airflow.dag_ids() == FOUND | {"native"}


@pytest.mark.usefixtures("log")
def test_only_the_broken_ones_are_import_errors(airflow: Airflow) -> None:
    errors = airflow.errors()
    assert errors.keys() == REFUSED
    assert re.match(r"unknown-field\.yaml:7:\d+: error: .*notAField", errors["unknown-field.yaml"])
    assert not [text for text in errors.values() if "Traceback" in text]


@pytest.mark.usefixtures("log")
def test_the_code_tab_shows_the_yaml(airflow: Airflow) -> None:
    assert airflow.code("hello") == workflow("hello")


def test_change_addition_deletion_and_repair_show(airflow: Airflow, log: Log) -> None:
    (airflow.dags / "new.yaml").write_text(workflow("new"))
    (airflow.dags / "gone-soon.yaml").unlink()
    (airflow.dags / "unknown-field.yaml").write_text(workflow("mended"))
    (airflow.dags / "hello.yaml").write_text(workflow("hello", word="changed"))
    expected = FOUND - {"gone-soon"} | {"new", "mended", "native"}
    wait_until(lambda: airflow.dag_ids() == expected, f"{sorted(expected)}", log)
    wait_until(lambda: airflow.errors().keys() == {"not-yaml.yaml"}, "the errors of now", log)
    wait_until(lambda: "changed" in airflow.code("hello"), "the changed code", log)


def test_the_bundle_with_no_importer_configured(airflow: Airflow, tmp_path: Path) -> None:
    (tmp_path / "bundled.yaml").write_text(workflow("bundled"))
    bundle = {
        "name": "argo",
        "classpath": "argo_airflow.airflow_dags.bundle.ArgoDagBundle",
        "kwargs": {"path": str(tmp_path)},
    }
    airflow.settings = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle])}
    airflow.run("dag-processor", "--num-runs", "1")
    [(bundle_version, is_stale)] = airflow.query("select bundle_version, is_stale from dag where dag_id = 'bundled'")
    assert not is_stale
    assert (airflow.folder / "bundles/argo/versions" / bundle_version / "bundled.yaml").is_file()
