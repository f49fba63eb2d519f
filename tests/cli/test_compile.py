"""``argo-airflow compile``."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from argo_airflow import cli
from argo_airflow.compiler import graphs

TESTS = Path(__file__).resolve().parents[1]
CASE = TESTS / "cases" / "on-exit" / "leaf.yaml"


def test_prints_the_graph(capsys) -> None:
    assert cli.main(["compile", str(CASE)]) == 0
    assert capsys.readouterr().out == CASE.with_suffix(".graph").read_text()


def test_lists_dags_and_tasks(capsys) -> None:
    assert cli.main(["compile", str(CASE), "--dag"]) == 0
    assert capsys.readouterr().out == "on-exit-leaf\n  a\n  b\n  _onExit\n  _main\n"
    recursion = TESTS / "cases" / "recursion" / "tail.yaml"
    assert cli.main(["compile", str(recursion), "--dag"]) == 0
    assert capsys.readouterr().out == "recursion-tail\n  main\n\nrecursion-tail.main\n  flip\n  done\n  again\n"


def test_several_workflows_of_a_file(tmp_path, capsys) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(f"{CASE.read_text()}---\n{(TESTS / 'cases' / 'when' / 'step.yaml').read_text()}")
    assert cli.main(["compile", str(file)]) == 0
    assert capsys.readouterr().out == "\n".join(map(str, graphs(file.read_bytes(), "two.yaml")))


def test_errors_are_shown_as_lint_shows_them(capsys) -> None:
    bad = str(TESTS / "lint" / "undefined-template.yaml")
    assert cli.main(["compile", bad]) == 1
    compiled = capsys.readouterr().out
    assert cli.main(["lint", bad]) == 1
    linted = capsys.readouterr().out
    assert "[undefined-template]" in compiled
    assert linted.startswith(compiled)


def test_standard_input(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CASE.read_bytes())))
    assert cli.main(["compile", "-"]) == 0
    assert capsys.readouterr().out == CASE.with_suffix(".graph").read_text()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(None, 2, "No such file or directory"), ("a: 1\n", 1, "holds no workflow"), ("", 1, "holds no workflow")],
)
def test_nothing_to_compile(tmp_path, capsys, content: str | None, code: int, said: str) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_text(content)
    assert cli.main(["compile", str(file)]) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    assert "Traceback" not in shown.out + shown.err


def test_a_folder_is_no_file(tmp_path, capsys) -> None:
    assert cli.main(["compile", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err
