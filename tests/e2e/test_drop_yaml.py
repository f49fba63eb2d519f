"""Dropping YAML into the dags folder: it appears, changes, goes; a broken file shows itself and hides no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{generateName: {name}-}}
spec:
  entrypoint: say
  templates:
  - name: say
    container: {{image: alpine, command: [echo, {word}]}}
"""
BROKEN = WORKFLOW.format(name="drop-broken", word="never").replace("entrypoint: say", "entrypoint: sya")
FOREIGN = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: drop-foreign}\nspec: {replicas: 1}\n"


@pytest.fixture(scope="module")
def folder(dags) -> Path:
    made = dags / "dropped"
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def error_of(airflow) -> Callable[[str], str]:
    """The import error that the UI shows for a file; empty without one."""

    def find(name: str) -> str:
        found = [e["stack_trace"] for e in airflow.client.import_errors() if e["filename"].endswith(f"dropped/{name}")]
        return found[0] if found else ""

    return find


def test_a_file_appears_changes_and_goes(airflow, folder):
    file = folder / "drop-one.yaml"
    file.write_text(WORKFLOW.format(name="drop-one", word="first"))
    first = airflow.succeed("drop-one")
    assert "first" in first.task("say").log
    assert versions(airflow, "drop-one") == [1]

    file.write_text(WORKFLOW.format(name="drop-one", word="second"))
    airflow.until(lambda: len(versions(airflow, "drop-one")) == 2, lambda: "a second version of drop-one")
    second = airflow.succeed("drop-one")
    assert "second" in second.task("say").log
    assert [run.raw["dag_versions"][-1]["version_number"] for run in (first, second)] == [1, 2]

    file.unlink()
    airflow.until(lambda: stale(airflow, "drop-one"), lambda: "drop-one to be stale")
    assert "drop-one" not in {dag["dag_id"] for dag in airflow.client.dags()}


def test_the_code_tab_shows_the_yaml(airflow, folder):
    """The newest. Airflow may put it beside the version before, too: it reads the file when it stores what it parsed
    from it earlier (dag_processing/collection.py:287). ArgoDagBundle has no such race.
    """
    file = folder / "drop-code.yaml"
    texts = [WORKFLOW.format(name="drop-code", word=word) + f"# {word}\n" for word in ("first", "second")]
    file.write_text(texts[0])
    airflow.succeed("drop-code")
    assert source(airflow, "drop-code") == texts[0]
    file.write_text(texts[1])
    airflow.until(lambda: len(versions(airflow, "drop-code")) == 2, lambda: "a second version of drop-code")
    assert source(airflow, "drop-code") == texts[1]


def test_a_broken_file_shows_under_its_own_name_and_hides_no_other(airflow, folder, error_of):
    (folder / "drop-broken.yaml").write_text(BROKEN)
    (folder / "drop-beside.yaml").write_text(WORKFLOW.format(name="drop-beside", word="fine"))
    airflow.wait_for_dag("drop-beside")
    text = airflow.until(lambda: error_of("drop-broken.yaml"), lambda: "the import error of drop-broken.yaml")
    assert text.splitlines()[0].startswith("dropped/drop-broken.yaml:5:3: error: ")
    assert "'sya'" in text
    assert "hint: did you mean `say`?" in text
    assert error_of("drop-beside.yaml") == ""

    (folder / "drop-broken.yaml").write_text(BROKEN.replace("sya", "say"))
    airflow.wait_for_dag("drop-broken")
    airflow.until(lambda: not error_of("drop-broken.yaml"), lambda: "the error to go when the file is mended")


def test_a_file_that_breaks_keeps_its_dag_until_it_is_mended(airflow, folder, error_of):
    file = folder / "drop-breaks.yaml"
    file.write_text(WORKFLOW.format(name="drop-breaks", word="fine"))
    airflow.wait_for_dag("drop-breaks")
    file.write_text(BROKEN.replace("drop-broken", "drop-breaks"))
    airflow.until(lambda: error_of("drop-breaks.yaml"), lambda: "the import error of drop-breaks.yaml")
    assert airflow.client.dag("drop-breaks")["has_import_errors"]


def test_yaml_that_is_not_argos_is_left_alone(airflow, folder, error_of):
    (folder / "drop-foreign.yaml").write_text(FOREIGN)
    (folder / "drop-after-foreign.yaml").write_text(WORKFLOW.format(name="drop-after-foreign", word="fine"))
    airflow.wait_for_dag("drop-after-foreign")
    assert error_of("drop-foreign.yaml") == ""
    assert airflow.client.dag("drop-foreign") is None


def test_several_documents_in_a_file(airflow, folder, error_of):
    names = ("drop-several-a", "drop-several-b")
    documents = [WORKFLOW.format(name=name, word=name) for name in names]
    (folder / "drop-several.yaml").write_text("---\n".join([*documents, FOREIGN]))
    for name in names:
        assert name in airflow.succeed(name).task("say").log
    assert error_of("drop-several.yaml") == ""

    (folder / "drop-several.yaml").write_text("---\n".join([documents[0], FOREIGN]))
    airflow.until(lambda: stale(airflow, "drop-several-b"), lambda: "the DAG of the removed document to be stale")
    assert not stale(airflow, "drop-several-a")


def versions(airflow, dag_id: str) -> list[int]:
    """Version numbers of a DAG, the oldest first."""
    found = airflow.client.get(f"/dags/{dag_id}/dagVersions", order_by="version_number")
    return [each["version_number"] for each in found["dag_versions"]]


def stale(airflow, dag_id: str) -> bool:
    return airflow.client.dag(dag_id)["is_stale"]


def source(airflow, dag_id: str) -> str:
    """What the Code tab asks for."""
    return airflow.client.get(f"/dagSources/{dag_id}")["content"]
