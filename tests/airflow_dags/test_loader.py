from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from airflow.sdk.exceptions import AirflowFailException

from argo_airflow import compiler
from argo_airflow.airflow_dags.loader import load

from .conftest import FOUND, broken, fill, workflow

LOADER = "from argo_airflow.airflow_dags.loader import load\n\nload(globals())\n"
ERRORS = {"argo-error.unknown-field.yaml", "argo-error.not-yaml.yaml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path)
    (tmp_path / "loader.py").write_text(LOADER)
    return tmp_path


def _bag(folder: Path) -> DagBag:
    return DagBag(folder / "loader.py", bundle_path=folder, bundle_name="test")


def test_one_line_loads_the_folder(folder: Path) -> None:
    bag = _bag(folder)
    assert bag.import_errors == {}
    assert set(bag.dag_ids) == FOUND | ERRORS
    assert {dag.relative_fileloc for dag in bag.dags.values()} == {"loader.py"}


def test_a_broken_file_is_a_paused_dag_that_tells_why(folder: Path) -> None:
    dag = _bag(folder).dags["argo-error.unknown-field.yaml"]
    assert dag.is_paused_upon_creation
    assert dag.schedule is None
    assert dag.tags == {"argo-error"}
    assert "unknown-field.yaml:7:3: error: " in str(dag.doc_md)
    assert "hint: " in str(dag.doc_md)
    [task] = dag.tasks
    with pytest.raises(AirflowFailException, match=r"unknown-field\.yaml:7:3: error: "):
        task.execute({})


@pytest.mark.parametrize("wanted", ["hello", "first", "second", "deeper", *sorted(ERRORS)])
def test_a_worker_compiles_only_the_file_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    for number in range(5):
        (folder / f"x{number}.yaml").write_text(workflow(f"hell{number}"))
    compiled, compile_dags = [], compiler.dags

    def counting(path: str, **named: object) -> list:
        compiled.append(Path(path).name)
        return compile_dags(path, **named)

    monkeypatch.setattr(compiler, "dags", counting)
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, wanted)
    assert wanted in _bag(folder).dag_ids
    assert len(compiled) == 1


def test_the_longest_name_is_tried_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.yaml").write_text(workflow("hello-again"))
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "hello-again")
    assert _bag(folder).dag_ids == ["hello-again"]


def test_an_unknown_dag_is_searched_everywhere_and_not_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "not-there")
    assert _bag(folder).dag_ids == []


def test_two_files_of_the_same_name_do_not_hide_each_other(folder: Path) -> None:
    (folder / "twin.yaml").write_text(workflow("hello"))
    bag = _bag(folder)
    assert "hello" in bag.dag_ids
    assert "twin.yaml: error: hello.yaml has a DAG hello already" in str(bag.dags["argo-error.twin.yaml"].doc_md)


def test_names_that_are_alike_stay_apart(tmp_path: Path) -> None:
    for name in ("a-b", "a.b"):
        (tmp_path / f"{name}.yaml").write_text(workflow(name))
    namespace: dict = {"__file__": str(tmp_path / "loader.py")}
    assert {dag.dag_id for dag in load(namespace)} == {"a-b", "a.b"}
    assert {v.dag_id for k, v in namespace.items() if k != "__file__"} == {"a-b", "a.b"}


def test_another_folder(folder: Path, tmp_path: Path) -> None:
    namespace: dict = {"__file__": str(tmp_path / "elsewhere" / "loader.py")}
    assert {dag.dag_id for dag in load(namespace, folder / "below")} == {"deeper"}
    with pytest.raises(FileNotFoundError, match=r"elsewhere/loader\.py: there is no folder .*/missing"):
        load(namespace, folder / "missing")


def test_a_folder_of_nothing_but_broken_files(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(broken("broken"))
    (tmp_path / "loader.py").write_text(LOADER)
    assert _bag(tmp_path).dag_ids == ["argo-error.broken.yaml"]
