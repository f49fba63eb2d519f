from __future__ import annotations

import os
from pathlib import Path

import pytest

from argo_airflow import compiler
from argo_airflow.airflow_dags.source import Compiled, compile_file, is_argo, is_argo_file, workflow_names

from .conftest import NOT_ARGO, REPOSITORY, broken, workflow

ARGO = {
    "workflow": workflow("a"),
    "quoted": 'apiVersion: "argoproj.io/v1alpha1"\nkind: Workflow\n',
    "flow": "{apiVersion: argoproj.io/v1alpha1, kind: WorkflowTemplate}",
    "second document": NOT_ARGO + "---\n" + workflow("a"),
    "list": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: argoproj.io/v1alpha1, kind: Workflow}\n",
    "unknown tag": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: !ours {a: 1}\n",
    "unknown kind": "apiVersion: argoproj.io/v1alpha1\nkind: Workflows\n",
    "mistyped": "apiVersoin: argoproj.io/v1alpha1\nkind: Workflow\n",
    "broken": "apiVersion: argoproj.io/v1alpha1\nkind: [Workflow\n",
    "broken by a tab": "apiVersion: argoproj.io/v1alpha1\n\tkind: Workflow\n",
    "too deep": "apiVersion: argoproj.io/v1alpha1\nspec: " + "[" * 20000,
}
OTHERS = {
    "empty": "",
    "only a comment": "# argoproj.io/v1alpha1\n",
    "config map": NOT_ARGO,
    "workflow inside text": "apiVersion: v1\nkind: ConfigMap\ndata:\n  w: |\n    apiVersion: argoproj.io/v1alpha1\n",
    "broken, not Argo's": "kind: [Workflow\n",
    "native": "$schema: https://airflow.apache.org/schemas/dag/2026-10-30.json\ndag_id: argo\n",
    "Argo CD": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: shop}\n",
    "Argo Events": "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {name: shop}\n",
    "a list of words": "- argoproj.io/v1alpha1\n",
}


@pytest.mark.parametrize("text", ARGO.values(), ids=ARGO)
def test_argo(text: str) -> None:
    assert is_argo(text)


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_not_argo(text: str) -> None:
    assert not is_argo(text)


def test_every_file_of_argos_own_examples_is_argo() -> None:
    folder = Path(os.environ.get("ARGO_CORPUS", REPOSITORY.parent / "shared/argo/corpus"))
    if not folder.is_dir():
        pytest.skip(f"no corpus of Argo YAML at {folder} (ARGO_CORPUS)")
    kinds = {"Workflow", "CronWorkflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "WorkflowEventBinding"}
    texts = {path: path.read_text() for path in folder.rglob("*.y*ml")}
    mine = {path for path, text in texts.items() if any(f"\nkind: {kind}\n" in "\n" + text for kind in kinds)}
    assert len(mine) > 100
    assert [str(path) for path in mine if not is_argo(texts[path])] == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    assert not is_argo_file(path)
    path.write_text(NOT_ARGO)
    assert not is_argo_file(path)
    path.write_text(workflow("a"))
    assert is_argo_file(path)
    path.unlink()
    assert not is_argo_file(path)


def test_names() -> None:
    generated = workflow("c").replace("name: c", "generateName: c-")
    assert workflow_names("---\n".join([workflow("a"), NOT_ARGO, workflow("b"), generated])) == ["a", "b", "c"]
    assert workflow_names("apiVersion: [") == []


def test_a_dag_carries_its_place(tmp_path: Path) -> None:
    path = tmp_path / "below" / "hello.yaml"
    path.parent.mkdir()
    path.write_text("\ufeff" + workflow("hello"), encoding="utf-8")
    compiled = compile_file(path, tmp_path)
    assert compiled.report == ""
    [dag] = compiled.dags
    assert (dag.dag_id, dag.fileloc, dag.relative_fileloc) == ("hello", str(path), "below/hello.yaml")


def test_places_are_told_from_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(broken("broken"))
    compiled = compile_file(path, tmp_path)
    assert compiled.dags == ()
    assert {d.position.file for d in compiled.diagnostics} == {"broken.yaml"}
    assert compiled.report.startswith("broken.yaml:7:")


def test_a_file_that_gives_no_dag_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "dags", lambda *_args, **_named: [])  # as for a file of nothing but templates
    path = tmp_path / "library.yaml"
    path.write_text(workflow("library").replace("kind: Workflow", "kind: WorkflowTemplate"))
    assert compile_file(path, tmp_path) == Compiled()


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(workflow("caf\u00e9").encode("latin-1"))
    assert is_argo_file(path)
    [diagnostic] = compile_file(path, tmp_path).diagnostics
    assert str(diagnostic).startswith("latin.yaml:1:6: error: byte 0xe9 is not UTF-8 text")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    [diagnostic] = compile_file(tmp_path / "gone.yaml", tmp_path).diagnostics
    assert str(diagnostic) == "gone.yaml: error: cannot read the file: No such file or directory [unreadable-file]"


def test_a_fault_of_ours_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hello.yaml"
    path.write_text(workflow("hello"))

    def fails(*_args: object, **_named: object) -> list[object]:
        return [1 // 0]

    monkeypatch.setattr(compiler, "dags", fails)
    [diagnostic] = compile_file(path, tmp_path).diagnostics
    assert diagnostic.code == "internal-error"
    assert "this is a bug in argo-airflow, not in the file: ZeroDivisionError: " in diagnostic.message
    assert "return [1 // 0]" in diagnostic.message
    assert "report it" in diagnostic.hint
