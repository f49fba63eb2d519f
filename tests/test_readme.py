"""README's table "Where does it happen?" is true: each place it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEADING = "## Where does it happen?"
ROW = re.compile(r"\| (?P<question>.+?) \| `(?P<path>argo_airflow/[\w/]+\.py)` `(?P<function>\w+)` \|")


def table() -> list[str]:
    _, found, rest = (ROOT / "README.md").read_text().partition(HEADING)
    assert found, f"README has no {HEADING!r}"
    lines = rest.partition("\n## ")[0].splitlines()
    return [line for line in lines if line.startswith("|") and not re.fullmatch(r"[|\s:-]+|\| question .*", line)]


def defined(path: str) -> set[str]:
    """Names of all functions, methods and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, kinds)}


def test_the_table_answers_what_a_newcomer_asks() -> None:
    assert len(table()) >= 14
    assert len({row.split("|")[1] for row in table()}) == len(table()), "each question once"


@pytest.mark.parametrize("row", table())
def test_row(row: str) -> None:
    match = ROW.fullmatch(row)
    assert match, "write | question | `argo_airflow/path.py` `function` |"
    assert (ROOT / match["path"]).is_file()
    assert match["function"] in defined(match["path"])


def test_files_that_the_readme_names_are_there() -> None:
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?<![\w./])(?:dags|argo_airflow|plugins|tests|bench)/[\w./-]*\w", text))
    assert named
    assert not {path for path in named if not (ROOT / path).exists()}
