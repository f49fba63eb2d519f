"""The job's way in and the report's way out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.helper import contract
from argo_airflow.helper.contract import (
    ContractError,
    InputArtifact,
    Job,
    OutputArtifact,
    OutputParameter,
    Report,
    main_command,
    output_file_name,
)

PLACE = {"s3": {"bucket": "b", "key": "k", "endpoint": "e:9000", "region": ""}}
FULL = Job(
    script="echo $(date) $$HOME",
    inputs=(
        InputArtifact("i", "/i", PLACE, archive="none", optional=True, mode=0o600),
        InputArtifact("r", "/r", raw="x"),
    ),
    parameters=(OutputParameter("p", "/p", ""), OutputParameter("q", "/q")),
    artifacts=(OutputArtifact("a", "/a", PLACE, "none", 3, True),),
    result=True,
)
text = st.text(st.characters(codec="utf-8"))


def test_a_job_comes_back_as_it_went() -> None:
    assert Job.from_json(FULL.to_json()) == FULL
    assert Job.from_env(FULL.to_env()) == FULL
    assert Job.from_env(Job().to_env()) == Job()


@given(text)
def test_kubernetes_finds_nothing_to_expand_in_a_job(script: str) -> None:
    env = Job(script=script + "$(HOME)$$(X)").to_env()
    assert "$" not in env["ARGO_HELPER_JOB"]
    assert "\n" not in env["ARGO_HELPER_JOB"]
    assert Job.from_env(env).script == script + "$(HOME)$$(X)"


def test_a_big_job_takes_several_variables() -> None:
    job = Job(script="x" * 300_000)
    env = job.to_env()
    assert list(env) == ["ARGO_HELPER_JOB", "ARGO_HELPER_JOB_1", "ARGO_HELPER_JOB_2", "ARGO_HELPER_JOB_3"]
    assert max(len(name) + len(value) for name, value in env.items()) < 128 * 1024  # Linux: MAX_ARG_STRLEN
    assert Job.from_env(env) == job


def test_a_job_too_big_for_a_pod_is_refused() -> None:
    with pytest.raises(ContractError, match="a pod takes 1000000"):
        Job(script="x" * 1_000_001).to_env()


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("{", "unreadable job"),
        ("[]", "version None, expected 1"),
        ('{"version":2}', "version 2, expected 1: helper image and worker are of different releases"),
        ('{"version":1}', "unreadable job"),
        ('{"version":1,"inputs":[],"parameters":[{"x":1}],"artifacts":[]}', "unreadable job"),
        ('{"version":1,"inputs":[],"parameters":[],"artifacts":[],"more":1}', "unreadable job"),
    ],
)
def test_a_job_that_cannot_be_read_is_refused(job: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Job.from_json(job)


def test_no_job_is_told() -> None:
    with pytest.raises(ContractError, match="ARGO_HELPER_JOB is not set"):
        Job.from_env({})


REPORT = Report("a\nb\u2028", {"p": "x\ny"}, {"a": {**PLACE, "archive": "tar"}}, "", 3, "")


@given(st.builds(Report, st.none() | text, st.dictionaries(text, text), error=text))
def test_a_report_is_one_line_and_comes_back(report: Report) -> None:
    assert len(report.line().splitlines()) == 1
    assert Report.from_log(report.line()) == report


def test_a_report_is_found_at_the_end_of_a_log() -> None:
    noise = "starting\nargo-helper-report is not this\n"
    assert Report.from_log(f"{noise}{Report(error='old').line()}\nmore\n{REPORT.line()}\n") == REPORT


@pytest.mark.parametrize("stamp", ["2026-01-02T03:04:05.678901234Z ", "2026-01-02T03:04:05+00:00 "])
def test_time_stamps_are_left_out(stamp: str) -> None:
    assert Report.from_log(f"{stamp}note\n{stamp}{REPORT.line()}\n") == REPORT


@pytest.mark.parametrize("stamp", ["", "2026-01-02T03:04:05.678901234Z "])
def test_long_lines_that_a_log_broke_up_are_joined(stamp: str) -> None:
    report = Report("2026-01-02T03:04:05Z " * 5_000)
    line = report.line()
    pieces = [line[i : i + 16384] for i in range(0, len(line), 16384)]
    assert len(pieces) > 5
    assert Report.from_log("".join(f"{stamp}{piece}\n" for piece in pieces)) == report


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", "ended without a report; its log is empty"),
        ("one\nOut of memory\n", "ended without a report; its last line is: Out of memory"),
        (REPORT.line()[:-5], "unreadable report"),
        ("argo-helper-report: {}", "version None"),
        ('argo-helper-report: {"version":1,"new":2}', "unreadable report"),
    ],
)
def test_a_log_without_a_whole_report_is_told(log: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Report.from_log(log)


def test_main_runs_under_the_wrapper_with_its_outputs() -> None:
    assert main_command(["python"], ["-u"], FULL) == [
        *["/argo/wrapper", "--state", "/argo/containers/main", "--outputs", "/argo/outputs", "--capture"],
        *["--copy", "parameters/p", "/p", "--copy", "parameters/q", "/q", "--copy", "artifacts/a", "/a"],
        *["--", "python", "-u", "/argo/staging/script"],
    ]


def test_only_the_users_words_are_left_to_kubernetes_to_expand() -> None:
    job = Job(parameters=(OutputParameter("p", "/tmp/$(HOME)"),))
    assert main_command(["echo"], ["$(HOME)"], job)[-5:] == ["parameters/p", "/tmp/$$(HOME)", "--", "echo", "$(HOME)"]


def test_the_wrapper_needs_a_command() -> None:
    with pytest.raises(ContractError, match="command of the image must be known"):
        main_command([], ["x"], Job(result=True))
    assert main_command([], ["x"], Job()) == ["x"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0"])
def test_names_cannot_lead_elsewhere(name: str) -> None:
    for function in (contract.inputs_path, contract.parameter_output, contract.artifact_output, contract.state_path):
        with pytest.raises(ContractError, match="cannot be the name"):
            function(name)


def test_what_a_pod_needs() -> None:
    needs = {
        Job(): (False, False),
        Job(script="x"): (True, False),
        Job(script=""): (False, False),
        Job(inputs=(InputArtifact("i", "/i", raw=""),)): (True, False),
        Job(parameters=(OutputParameter("p", "/p"),)): (True, True),
        Job(result=True): (True, True),
    }
    assert {job: (job.needs_init, job.needs_wait) for job in needs} == needs


@pytest.mark.parametrize(
    ("path", "archive", "name"),
    [("/out/x.txt", "tar", "a.tgz"), ("/out/x.txt", "none", "x.txt"), ("/out/d/", "none", "d"), ("/", "none", "a")],
)
def test_the_file_name_of_a_key_is_argos(path: str, archive: str, name: str) -> None:
    assert output_file_name("a", path, archive) == name


def test_the_shape_on_the_wire_is_this() -> None:
    """Changing it needs a new VERSION: images and workers of different releases meet."""
    assert json.loads(Report("r", {"p": "v"}).line().split(" ", 1)[1]) == {
        "result": "r",
        "parameters": {"p": "v"},
        "artifacts": {},
        "error": "",
        "exit_code": None,
        "message": "",
        "version": 1,
    }
