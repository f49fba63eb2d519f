"""Argo's own examples and tests, run as they are: the phase, and where the catalogue tells them the nodes' phases.

The corpus lies outside the repository; without it these tests are skipped. All workflows run at once.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from airflow_api import phases

CORPUS = Path(os.environ.get("ARGO_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "argo" / "corpus"))
NODES: dict[str, dict[str, list[str]]] = {
    "examples/artifact-path-placeholders.yaml": {},
    "examples/dag-continue-on-fail.yaml": {
        **{name: ["Succeeded"] for name in "ACDF"},
        **{name: ["Failed"] for name in "BE"},
        "G": ["Omitted"],
    },
    "examples/dag-diamond-steps.yaml": {},
    "examples/dag-enhanced-depends.yaml": {
        "A": ["Succeeded"],
        "B": ["Succeeded"],
        "C": ["Failed"],
        "should-execute-1": ["Succeeded"],
        "should-execute-2": ["Succeeded"],
        "should-execute-3": ["Succeeded"],
        "should-not-execute": ["Omitted"],
    },
    "examples/dag-multiroot.yaml": {name: ["Succeeded"] for name in "ABCD"},
    "examples/exit-handlers.yaml": {},
    "examples/global-parameters.yaml": {},
    "examples/loops-dag.yaml": {"A": ["Succeeded"], "B": ["Succeeded"] * 3, "C": ["Succeeded"]},
    "examples/loops-sequence.yaml": {},
    "examples/parameter-aggregation-dag.yaml": {},
    "examples/parameter-aggregation-script.yaml": {},
    "examples/recursive-for-loop.yaml": {},
    "examples/scripts-python.yaml": {},
    "test/e2e/expectedfailures/dag-exhausted-retries.yaml": {},
    "test/e2e/expectedfailures/dag-fail.yaml": {
        "A": ["Succeeded"],
        "B": ["Succeeded"],
        "C": ["Failed"],
        "D": ["Omitted"],
    },
    "test/e2e/expectedfailures/exit-handler-failed.yaml": {},
    "test/e2e/expectedfailures/failed-retries.yaml": {},
    "test/e2e/expectedfailures/failed-step.yaml": {"exit": ["Succeeded", "Failed"]},
    "test/e2e/functional/loop-sequence-empty.yaml": {},
}
"""The files, with the phases of the nodes of one name; empty where the catalogue leaves them open."""

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS}; ARGO_CORPUS names its folder")


@pytest.fixture(scope="module")
def started(airflow, dags):
    """A run of each file. Only the workflow's name is changed: files of the corpus share names."""
    folder = dags / "corpus"
    folder.mkdir()
    copies = {}
    for file in NODES:
        copies[file] = folder / Path(file).name
        text, count = re.subn(
            r"^  (generateN|n)ame: .*$",
            f"  name: corpus-{copies[file].stem}",
            (CORPUS / file).read_text(),
            count=1,
            flags=re.M,
        )
        assert count == 1
        copies[file].write_text(text)
    yield {file: airflow.trigger(f"corpus-{copy.stem}") for file, copy in copies.items()}
    for copy in copies.values():
        copy.unlink()


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    """What each file is expected to do, in words that begin with its phase."""
    return {entry["path"]: entry["expected"] for entry in json.loads((CORPUS.parent / "catalogue.json").read_text())}


@pytest.mark.parametrize("file", NODES)
def test_ends_as_the_catalogue_says(airflow, started, catalogue, file):
    run = started[file]
    expected = re.match("Succeeded|Failed", catalogue[file])
    assert expected, catalogue[file]
    want = {"Succeeded": "success", "Failed": "failed"}[expected[0]]
    assert airflow.wait(run) == want, airflow.trouble(run)
    if NODES[file]:
        assert phases(run) == NODES[file]
