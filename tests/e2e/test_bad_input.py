"""Bad input: a plain message at the right place and a failed phase; never a hang, never a success."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import boto3
import pytest

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))

AT_PARSE = {
    # file: where, what, hint
    "cyclic-dag": (":10:9: error:", "dependency cycle detected: chicken->egg->chicken", ""),
    "missing-argument": (
        ":9:9: error:",
        "templates.whalesay inputs.parameters.message was not supplied",
        "pass it under arguments.parameters",
    ),
    "unknown-field": (":10:7: error:", "unknown field `commands`", "did you mean `command`?"),
    "unknown-kind": (":2:1: error:", "unknown kind `Workflw`", "did you mean `Workflow`?"),
    "unknown-template": (":10:9: error:", "template name 'whalesya' undefined", "did you mean `whalesay`?"),
    "unreadable": (":10:15: error:", "not valid YAML", "indentation"),
    "unsupported-feature": (":8:5: error:", "`daemon` is not supported yet", ""),
}

AT_RUN = (
    "bad-output-artifact",
    "bad-input-artifact",
    "bad-command",
    "bad-wrapped-command",
    "bad-secret",
    "bad-exit",
)
HELD = ("bad-deleted-artifact", "bad-deleted-pod", "bad-killed-process", "lost-worker")


@pytest.fixture(scope="module")
def import_errors(airflow, dropped):
    """What the UI shows for the files of ``bad/``, by file name."""
    with dropped(*BAD, into="bad"):

        def found() -> dict[str, str]:
            errors = airflow.client.import_errors()
            return {Path(e["filename"]).stem: e["stack_trace"] for e in errors if "bad/" in e["filename"]}

        airflow.until(lambda: len(found()) == len(BAD), lambda: f"an import error for each of bad/: {found()}")
        yield found()
    airflow.until(lambda: not found(), lambda: f"the import errors go with their files: {found()}")


def test_every_bad_file_is_tested():
    assert sorted(AT_PARSE) == [file.stem for file in BAD]


@pytest.mark.parametrize("name", sorted(AT_PARSE))
def test_at_parse(import_errors, name):
    text = import_errors[name]
    where, what, hint = AT_PARSE[name]
    first = text.splitlines()[0]
    assert f"{name}.yaml{where}" in first
    assert what in first
    assert hint in text
    assert "Traceback" not in text


def test_no_dag_comes_of_a_bad_file(airflow, import_errors):
    assert import_errors
    for name in AT_PARSE:
        assert airflow.client.dag(f"bad-{name}") is None


@pytest.fixture(scope="module")
def started(airflow, dropped, witness):
    """A run of each workflow of ``bad-run.yaml``, on its way."""
    with dropped(HERE / "workflows/bad-run.yaml", into="semantics"):
        runs = {dag: airflow.trigger(dag) for dag in AT_RUN}
        runs |= {dag: airflow.trigger(dag, witness=witness.url) for dag in HELD}
        yield runs | {"bad-large-parameter": airflow.trigger("bad-large-parameter", text="x" * 1_000_000)}


@pytest.fixture
def failed(airflow, started):
    """``failed(dag, task)``: what the task published, when the run has failed."""

    def wait(dag: str, task: str):
        run = started[dag]
        assert airflow.wait(run) == "failed", airflow.trouble(run)
        found = run.task(task)
        assert found.state == "failed"
        assert "Traceback" not in found.outputs["message"]
        return found.outputs

    return wait


def test_a_parameter_of_one_megabyte(failed):
    """Linux takes 131,071 bytes an argument; the message must say so and not show it all."""
    outputs = failed("bad-large-parameter", "show")
    assert outputs["phase"] == "Error"
    assert "1,000,000 bytes" in outputs["message"]
    assert "131,071" in outputs["message"]
    assert len(outputs["message"]) < 1000


def test_an_output_artifact_that_was_not_written(failed):
    outputs = failed("bad-output-artifact", "produce")
    assert outputs["phase"] == "Error"
    assert "/tmp/never-written" in outputs["message"]


def test_an_input_artifact_that_nobody_made(failed):
    outputs = failed("bad-input-artifact", "consume")
    assert outputs["phase"] == "Error"
    assert "artifact data" in outputs["message"]


def test_an_artifact_that_is_gone_from_the_bucket(stack, started, failed, witness):
    witness.held("deleted-artifact")
    place = started["bad-deleted-artifact"].task("produce").outputs["artifacts"]["data"]["s3"]
    storage = stack.storage
    boto3.client(
        "s3",
        endpoint_url=storage.endpoint,
        aws_access_key_id=storage.access_key,
        aws_secret_access_key=storage.secret_key,
        region_name="us-east-1",
    ).delete_object(Bucket=place["bucket"], Key=place["key"])
    witness.release("deleted-artifact")
    outputs = failed("bad-deleted-artifact", "consume")
    assert outputs["phase"] == "Error"
    assert "artifact data failed to load" in outputs["message"]
    assert place["key"] in outputs["message"]


def test_a_command_that_does_not_exist(failed):
    """Argo's wrapper starts every command; a bare pod's is started by Kubernetes, which says so in its own words."""
    outputs = failed("bad-command", "start")
    assert outputs["phase"] in ("Failed", "Error")
    assert "no-such-command" in outputs["message"]


def test_a_command_that_does_not_exist_under_the_wrapper(failed):
    """§2.17: exit code 64, Failed, "executable file not found in $PATH"."""
    outputs = failed("bad-wrapped-command", "start")
    assert (outputs["phase"], outputs["exitCode"]) == ("Failed", 64)
    assert "no-such-command" in outputs["message"]


def test_a_secret_that_does_not_exist(failed):
    outputs = failed("bad-secret", "start")
    assert outputs["phase"] == "Error"
    assert "no-such-secret" in outputs["message"]


def test_main_ends_with_another_exit_code_than_0(started, failed):
    """§2.17: the message; §2.8: outputs are saved also when main failed."""
    outputs = failed("bad-exit", "broken")
    assert (outputs["phase"], outputs["exitCode"]) == ("Failed", 3)
    assert outputs["message"].startswith("main: Error (exit code 3)")
    assert outputs["parameters"] == {"word": "some"}
    assert started["bad-exit"].task("never").state == "upstream_failed"


def test_a_pod_that_is_deleted_while_it_runs(stack, failed, witness):
    """§2.17: Error, "pod deleted"."""
    from kubernetes import client, config

    witness.held("deleted-pod")
    api = client.CoreV1Api(config.new_client_from_config(str(stack.pods.kubeconfig)))
    pods = [pod.metadata for pod in api.list_pod_for_all_namespaces().items]
    (pod,) = [pod for pod in pods if pod.name.startswith("bad-deleted-pod")]
    api.delete_namespaced_pod(pod.name, pod.namespace, grace_period_seconds=0)
    outputs = failed("bad-deleted-pod", "hold")
    assert outputs["phase"] == "Error"
    assert outputs["message"] == "pod deleted"


def test_a_container_that_is_killed(failed, witness):
    """§2.17: death by signal is 128 + n, and Failed."""
    witness.held("killed-process")
    holders = [pid for pid, command in commands() if command[:2] == ["python", "-c"] and "killed-process" in command[2]]
    assert holders
    for pid in holders:
        os.kill(pid, signal.SIGKILL)
    outputs = failed("bad-killed-process", "hold")
    assert (outputs["phase"], outputs["exitCode"]) == ("Failed", 137)
    assert "exit code 137" in outputs["message"]


def test_a_killed_worker_costs_nothing(airflow, started, witness):
    """Argo's controller rides out its own end; here Airflow's next try takes up the same pod."""
    witness.held("lost-worker")
    run = started["lost-worker"]
    os.kill(run.task("hold").raw["pid"], signal.SIGKILL)

    def again() -> bool:
        raw = run.task("hold").raw
        return raw["try_number"] == 2 and raw["state"] == "running"

    airflow.until(again, lambda: "the second try of the killed task")
    witness.release("lost-worker")
    assert airflow.wait(run) == "success", airflow.trouble(run)
    assert "released" in run.task("hold").log
    assert witness.count("lost-worker") == 1


def commands():
    """Process id and command line of every process of this machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0]:
                yield int(entry.name), words
