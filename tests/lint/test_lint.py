"""Golden pairs: `<code>.yaml` and what lint says about it, `<code>.txt`; and lint over Argo's own files."""

from __future__ import annotations

import collections
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from argo_airflow import cli
from argo_airflow.cli.lint import diagnose, render
from argo_airflow.errors import Diagnostic, Position

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*.yaml"))
CODES = frozenset(case.stem for case in CASES)
CORPUS = Path(os.environ.get("ARGO_CORPUS", HERE.parents[2] / "shared" / "argo" / "corpus"))
VALID = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: valid-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: busybox, command: [echo], args: [hi]}
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden(case: Path) -> None:
    found = diagnose(case.read_bytes(), case.name)
    assert "".join(f"{one}\n" for one in found) == case.with_suffix(".txt").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden_holds_its_code(case: Path) -> None:
    code = case.stem if case.stem != "page-crawler" else "unknown-variable"
    code = "invalid-yaml" if code.startswith("invalid-yaml") else code
    assert f"[{code}]" in case.with_suffix(".txt").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_fault_points_into_the_file(case: Path) -> None:
    lines = case.read_text().splitlines()
    for fault in diagnose(case.read_bytes(), case.name):
        assert 1 <= fault.position.line <= len(lines)
        assert 1 <= fault.position.column <= len(lines[fault.position.line - 1]) + 1
        for tag in re.findall(r"failed to resolve (\{\{.*?\}\})", fault.message):
            rest = lines[fault.position.line - 1][fault.position.column - 1 :]
            assert rest.startswith((tag, tag.strip("{}")))


def test_page_crawler_as_printed_has_its_four_faults() -> None:
    """The seed's file: the escape, `outputs.results`, artifact `results`, `{{initial_page}}`; all in one go."""
    found = diagnose((HERE / "page-crawler.yaml").read_bytes(), "crawler.yaml")
    assert [(str(one.position), one.code, one.hint) for one in found] == [
        ("crawler.yaml:36:20", "unresolved-reference", "did you mean `output_data`?"),
        ("crawler.yaml:40:16", "invalid-escape", "write ' without the backslash"),
        ("crawler.yaml:40:18", "unresolved-reference", "did you mean `outputs.result`?"),
        ("crawler.yaml:40:62", "invalid-escape", "write ' without the backslash"),
        ("crawler.yaml:44:23", "unresolved-reference", "did you mean `outputs.result`?"),
        (
            "crawler.yaml:89:23",
            "unknown-variable",
            "declare initial_page under spec.arguments.parameters and write {{workflow.parameters.initial_page}}",
        ),
    ]


def test_page_crawler_mended_has_none() -> None:
    text = (HERE / "page-crawler.yaml").read_text()
    for wrong, right in (
        ("\\'", "'"),
        ("outputs.results", "outputs.result"),
        ("artifacts.results", "artifacts.output_data"),
        ("{{initial_page}}", "{{workflow.parameters.initial_page}}"),
        ("  entrypoint: main", "  entrypoint: main\n  arguments: {parameters: [{name: initial_page, value: '1'}]}"),
    ):
        assert wrong in text
        text = text.replace(wrong, right)
    assert diagnose(text, "crawler.yaml") == []


@pytest.fixture(scope="session")
def corpus() -> dict[str, list[Diagnostic]]:
    if not CORPUS.is_dir():
        pytest.skip(f"Argo's own YAML is not at {CORPUS}; set ARGO_CORPUS")
    found = {}
    for path in sorted(CORPUS.rglob("*.yaml")):
        found[str(path.relative_to(CORPUS))] = diagnose(path.read_bytes(), path.name)
    return found


LISTED = CODES - {"page-crawler", "invalid-yaml-tab", "invalid-yaml-tag"}
# files that are wrong in Argo too (catalogue.json, Argo's own tests), and what we say
WRONG = {
    "examples/fun-with-gifs.yaml": {"missing-field"},
    "examples/k8s-patch-json-workflow.yaml": {"duplicate-key"},
    "test/e2e/expectedfailures/empty-parameter-steps.yaml": {"missing-argument"},
    "test/e2e/expectedfailures/misreference-template-name.yaml": {"undefined-template"},
    "test/e2e/lintfail/disallow-unknown.yaml": {"unknown-field"},
    "test/e2e/lintfail/malformed-spec.yaml": {"wrong-type"},
    "test/e2e/smoke/basic-invalid.yaml": {"invalid-yaml"},
    "test/e2e/synchronization/db-mutex-wf-level.yaml": {"unknown-field"},
    "test/e2e/synchronization/mutex-wf-level.yaml": {"unknown-field"},
    "test/e2e/testdata/malformed/malformed-workflow.yaml": {"wrong-type"},
}


def test_corpus_is_accepted_or_refused_with_a_listed_code(corpus: dict[str, list[Diagnostic]]) -> None:
    counts = collections.Counter(one.code for found in corpus.values() for one in found)
    accepted = sum(not any(one.severity == "error" for one in found) for found in corpus.values())
    print(f"{len(corpus)} files, {accepted} accepted; faults: {dict(counts)}")
    assert len(corpus) >= 300
    assert accepted >= 80
    assert set(counts) <= LISTED


def test_corpus_is_refused_for_nothing_but_unsupported_features(corpus: dict[str, list[Diagnostic]]) -> None:
    refused = {
        name: {one.code for one in found if one.severity == "error"} - {"unsupported-feature"}
        for name, found in corpus.items()
    }
    assert {name: codes for name, codes in refused.items() if codes} == WRONG


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_lint_of_a_valid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(VALID)
    assert _run(capsys, "lint", str(tmp_path / "a.yaml")) == (0, "1 file checked: no faults\n", "")


def test_lint_of_a_folder_reads_only_argo_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(VALID)
    (tmp_path / "sub" / "b.yml").write_text(VALID.replace("entrypoint: main", "entrypoint: mian"))
    (tmp_path / "c.yaml").write_text("kind: ConfigMap\n\tbroken: [")
    (tmp_path / "d.json").write_text(json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {}}))
    code, out, err = _run(capsys, "lint", str(tmp_path))
    assert (code, err) == (1, "")
    assert out.endswith("3 files checked: 3 errors, 0 warnings\n")
    assert f"{tmp_path}/sub/b.yml:5:3: error: template name 'mian' undefined [undefined-template]" in out


def test_lint_shows_the_line_and_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(VALID.replace("args: [hi]", 'args: ["{{inputs.parameters.x}}"]'))
    _code, out, _err = _run(capsys, "lint", str(tmp_path / "a.yaml"))
    lines = out.splitlines()
    assert lines[1].endswith('args: ["{{inputs.parameters.x}}"]}')
    assert lines[1].index("{{inputs") == lines[2].index("^")
    assert lines[3].endswith("= at templates.main.container.args[0]")
    assert "hint: declare x under inputs.parameters" in lines[4]


def test_lint_of_a_warning_is_not_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(VALID.replace("[hi]", '["{{custom.variable}}"]'))
    code, out, _err = _run(capsys, "lint", "-o", "simple", str(tmp_path / "a.yaml"))
    assert code == 0
    assert "warning: unknown variable {{custom.variable}}" in out
    assert out.endswith("0 errors, 1 warning\n")


def test_lint_of_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kind: Workflow\nspec: 3\n")))
    code, out, _err = _run(capsys, "lint", "-")
    assert code == 1
    assert out.startswith("<stdin>:2:1: error: expected a map, not the number 3 [wrong-type]")


def test_lint_of_a_missing_path(capsys: pytest.CaptureFixture[str]) -> None:
    code, _out, err = _run(capsys, "lint", "/does/not/exist.yaml")
    assert code == 2
    assert "/does/not/exist.yaml: no such file or folder" in err


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    code, _out, err = _run(capsys, "lnt")
    assert code == 2
    assert "did you mean `lint`?" in err


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = _run(capsys, "--help")
    assert code == 0
    assert "  lint      Check workflow files, without Airflow." in out


def test_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "lint")[0] == 2


def test_lint_does_not_import_airflow(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(VALID)
    program = (
        "import sys; from argo_airflow.cli import main; code = main(['lint', sys.argv[1]]);"
        "heavy = {'airflow', 'kubernetes', 'boto3', 'aiohttp'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.yaml")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_render_of_a_fault_without_a_place() -> None:
    fault = Diagnostic(Position("x.yaml"), "some-code", "it is wrong")
    assert render(fault, ["a: 1"]) == "x.yaml: error: it is wrong [some-code]\n"


def test_render_cuts_long_lines_around_the_place() -> None:
    fault = Diagnostic(Position("x.yaml", 1, 1001), "some-code", "it is wrong")
    lines = render(fault, ["a" * 1000 + "B" + "c" * 1000]).splitlines()
    assert len(lines[1]) < 200
    assert lines[1][lines[2].index("^")] == "B"
