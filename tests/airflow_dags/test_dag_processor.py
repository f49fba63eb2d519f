"""YAML dropped into the DAGs folder of a real Airflow, with nothing configured; each test goes on from the last."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import FOUND, REFUSED, Airflow, broken, fill, wait_until, workflow

Log = Callable[[], str]


@pytest.fixture(scope="module")
def log(airflow: Airflow) -> Iterator[Log]:
    fill(airflow.dags)
    with airflow.dag_processor() as log:
        wait_until(lambda: airflow.dag_ids() >= FOUND and airflow.errors().keys() >= REFUSED, "the first parse", log)
        yield log


def test_it_looks_often_enough_with_nothing_configured(log: Log) -> None:
    assert "Checking for new files in bundle dags-folder every 10 seconds" in log()


@pytest.mark.usefixtures("log")
def test_every_workflow_is_a_dag_and_nothing_else_is(airflow: Airflow) -> None:
    assert airflow.dag_ids() == FOUND


@pytest.mark.usefixtures("log")
def test_only_the_broken_ones_are_import_errors(airflow: Airflow) -> None:
    assert airflow.errors().keys() == REFUSED


@pytest.mark.usefixtures("log")
def test_an_error_names_place_cause_and_hint(airflow: Airflow) -> None:
    text = airflow.errors()["unknown-field.yaml"]
    assert re.match(r"unknown-field\.yaml:7:\d+: error: .*notAField", text)
    assert "Traceback" not in text
    assert "hint: " in text


@pytest.mark.usefixtures("log")
def test_broken_yaml_names_its_place(airflow: Airflow) -> None:
    text = airflow.errors()["not-yaml.yaml"]
    assert re.match(r"not-yaml\.yaml:[23]:\d+: error: ", text)
    assert "Traceback" not in text


@pytest.mark.usefixtures("log")
def test_the_command_line_lists_the_same_errors(airflow: Airflow) -> None:
    assert airflow.import_errors() == airflow.errors()


@pytest.mark.usefixtures("log")
def test_the_code_tab_shows_the_yaml(airflow: Airflow) -> None:
    assert airflow.code("hello") == workflow("hello")
    several = (airflow.dags / "several.yaml").read_text()
    assert airflow.code("first") == airflow.code("second") == several


@pytest.mark.usefixtures("log")
def test_a_dag_belongs_to_its_yaml(airflow: Airflow) -> None:
    rows = airflow.query("select fileloc, relative_fileloc from dag where dag_id = 'deeper'")
    assert rows == [(str(airflow.dags / "below/deeper.yml"), "below/deeper.yml")]


def test_change_addition_deletion_and_repair_show(airflow: Airflow, log: Log) -> None:
    airflow.run("dags", "trigger", "hello")  # a DAG that never ran is changed without a new version
    assert airflow.versions("hello") == 1
    changed = workflow("hello").replace("main", "other")
    (airflow.dags / "hello.yaml").write_text(changed)
    (airflow.dags / "new.yaml").write_text(workflow("new"))
    (airflow.dags / "gone-soon.yaml").unlink()
    (airflow.dags / "unknown-field.yaml").write_text(workflow("mended"))
    (airflow.dags / "not-yaml.yaml").unlink()
    (airflow.dags / "deeper-broken.yaml").write_text(broken("deeper-broken"))

    expected = FOUND - {"gone-soon"} | {"new", "mended"}
    wait_until(lambda: airflow.dag_ids() == expected, f"{sorted(expected)}", log)
    wait_until(lambda: airflow.errors().keys() == {"deeper-broken.yaml"}, "the errors of now", log)
    wait_until(lambda: airflow.versions("hello") == 2, "version 2 of the changed DAG", log)
    assert airflow.code("hello") == changed


def test_a_file_that_breaks_hides_only_its_own_dags(airflow: Airflow, log: Log) -> None:
    before = airflow.dag_ids()
    (airflow.dags / "mixed.yaml").write_text(broken("mixed"))
    wait_until(lambda: "mixed.yaml" in airflow.errors(), "the error of mixed.yaml", log)
    assert airflow.dag_ids() == before - {"mixed"}
    assert airflow.query("select has_import_errors from dag where dag_id = 'mixed'") == [(1,)]


NEEDED = """
import json, sys
from argo_airflow.airflow_dags.bundle import ArgoDagBundle
print(json.dumps(sorted(ArgoDagBundle(name="argo", path=sys.argv[1])._snapshots._needed_versions())))
"""


def test_bundle_gives_each_content_a_version(airflow: Airflow, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "pinned.yaml").write_text(workflow("pinned"))
    bundle = {
        "name": "argo",
        "classpath": "argo_airflow.airflow_dags.bundle.ArgoDagBundle",
        "kwargs": {"path": str(folder), "refresh_interval": 1},
    }
    airflow.settings = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    }

    def version() -> str | None:
        rows = airflow.query("select bundle_version from dag where dag_id = 'pinned' and is_stale = 0")
        return rows[0][0] if rows else None

    with airflow.dag_processor() as log:
        wait_until(version, "the DAG of the bundle", log)
        first = version()
        airflow.run("dags", "trigger", "pinned")
        (folder / "pinned.yaml").write_text(workflow("pinned", word="changed"))
        wait_until(lambda: version() != first, "another version of the bundle", log)
        wait_until(lambda: "changed" in airflow.code("pinned"), "the changed code", log)
    stored = airflow.folder / "bundles" / "argo" / "versions"
    assert (stored / str(first) / "pinned.yaml").read_text() == workflow("pinned")
    assert (stored / str(version()) / "pinned.yaml").read_text() == workflow("pinned", word="changed")
    # A run that is not finished keeps its version from being removed, however old.
    command = [airflow.python, "-c", NEEDED, str(folder)]
    done = subprocess.run(command, env=airflow.environment(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [first]
