"""The helper's command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from argo_airflow.helper.contract import Report

from .conftest import HELPER


def helper(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = str(HELPER.parent.parent)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ARGO_HELPER")}
    command = [sys.executable, "-m", "argo_airflow.helper", *words]
    return subprocess.run(
        command, env={**clean, "PYTHONPATH": path, **env}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [[], ["start"], ["init", "x"], ["install"]])
def test_a_wrong_command_line_shows_the_right_one(words: list[str]) -> None:
    done = helper(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m argo_airflow.helper init | wait | install PATH\n"


@pytest.mark.parametrize("verb", ["init", "wait"])
def test_bad_jobs_are_reported_without_a_traceback(verb: str) -> None:
    for env, message in (
        ({}, "ARGO_HELPER_JOB is not set"),
        ({"ARGO_HELPER_JOB": "nonsense"}, "unreadable job"),
        ({"ARGO_HELPER_JOB": '{"version":99}'}, "version 99, expected 1"),
    ):
        done = helper(verb, **env)
        assert (done.returncode, done.stderr) == (1, "")
        assert message in Report.from_log(done.stdout).error


@pytest.mark.usefixtures("_wrapper")
def test_install_puts_a_wrapper_that_runs(tmp_path: Path) -> None:
    assert helper("install", str(tmp_path / "w")).returncode == 0
    state, outputs = tmp_path / "state", tmp_path / "outputs"
    state.mkdir()
    command = [tmp_path / "w", "--state", state, "--outputs", outputs, "--", "sh", "-c", "exit 6"]
    assert subprocess.run(command, check=False).returncode == 6
    assert (state / "exitcode").read_text() == "6\n"


def test_what_nobody_foresaw_is_one_plain_line(tmp_path: Path) -> None:
    done = helper("install", str(tmp_path / "no" / "folder"))
    assert (done.returncode, done.stderr) == (1, "")
    plain, last = done.stdout.splitlines()
    assert plain.startswith("error: unexpected FileNotFoundError: ")
    assert Report.from_log(last).error == plain.removeprefix("error: ")
