"""The real stack, started as a user starts it. Starts are shared, they are what takes time."""

import os
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from argo_airflow.stack.home import Home
from argo_airflow.stack.ports import answers
from argo_airflow.stack.processes import COMPONENT_MARK, STACK_MARK, marked

from .conftest import Up, left_of, until

pytestmark = pytest.mark.e2e

WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
spec:
  entrypoint: {name}
  templates:
  - name: {name}
    container:
      image: alpine
      command: [sh, -c]
      args: [{script}]
"""


def one_of(up: Up, component: str) -> int:
    """Process id of a component: the one that the supervisor started."""
    marks = (f"{STACK_MARK}={up.connection.stack_id}", f"{COMPONENT_MARK}={component}")
    (process,) = [process for process in marked(*marks) if process.parent == up.process.pid]
    return process.pid


def s3(up: Up, secret: str | None = None):
    keys = Home(up.home).credentials()
    port = next(p for p in s3_ports(up) if answers(p))
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=keys.s3_access_key,
        aws_secret_access_key=secret or keys.s3_secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def s3_ports(up: Up) -> list[int]:
    arguments = Path(f"/proc/{one_of(up, 's3')}/cmdline").read_text().split("\0")
    return [int(word.rpartition(":")[2]) for word in arguments if word.startswith("--addr=")]


def healthy(up: Up) -> bool:
    health = up.client.health()
    return bool(health) and {part["status"] for part in health.values()} == {"healthy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def up(folder):
    command = Up(folder)
    try:
        command.await_ready()
        yield command
    finally:
        command.end()
        assert left_of(command.connection.stack_id) == []


def test_everything_is_healthy(up):
    assert set(up.client.health()) == {"metadatabase", "scheduler", "triggerer", "dag_processor"}
    assert healthy(up)
    with urllib.request.urlopen(up.connection.url) as page:
        assert page.status == 200
        assert b"Airflow" in page.read()
    for part in ("postgres", "s3", "pods", "api-server", "scheduler", "triggerer", "dag-processor"):
        assert f"✔ {part} " in up.said


def test_submit_runs_a_dag_and_tells_its_result(up):
    until(lambda: up.client.dag("trivial"), "the DAG is there")
    well = up.command("submit", "trivial", "--wait", "-p", "number=3")
    assert well.returncode == 0, well.stderr
    assert "Status:     Succeeded" in well.stdout
    badly = up.command("submit", "trivial", "--watch", "-p", "number=7")
    assert badly.returncode == 1, badly.stderr
    assert "✖ trivial.fail_when_seven Failed" in badly.stdout
    assert "✔ trivial.double Succeeded" in badly.stdout


def test_watch_shows_the_latest_run(up):
    until(lambda: up.client.dag("trivial"), "the DAG is there")
    run = up.client.trigger("trivial", {"number": 2})
    done = up.command("watch")
    assert done.returncode == 0, done.stderr
    assert run["dag_run_id"] in done.stdout


def test_bad_words_get_plain_answers(up):
    for words, answer in {
        ("submit", "nothing"): "knows no DAG 'nothing'",
        ("submit", "nothing.yaml"): "nothing.yaml: no such file",
        ("submit", "trivial", "-p", "number"): "expected name=value",
        ("watch", "trivial", "no-run"): "no-run",
    }.items():
        done = up.command(*words)
        assert done.returncode == 1, words
        assert answer in done.stderr
        assert "Traceback" not in done.stderr


def test_a_second_start_on_the_same_home_is_refused(up):
    done = up.command("up", "--no-submit", f"--dags={up.dags}")
    assert done.returncode == 1
    assert f"already running on {up.home} (pid {up.process.pid})" in done.stderr
    assert healthy(up)


def test_artifacts_are_kept_and_keys_are_checked(up):
    s3(up).put_object(Bucket="artifacts", Key="a/b", Body=b"kept")
    assert s3(up).get_object(Bucket="artifacts", Key="a/b")["Body"].read() == b"kept"
    with pytest.raises(ClientError) as refused:
        s3(up, "wrong").get_object(Bucket="artifacts", Key="a/b")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_secrets_are_not_readable_by_others_and_not_on_command_lines(up):
    keys = Home(up.home).credentials()
    for file in ("credentials.json", "connection.json", "airflow/passwords.json", "resources/argo-artifacts.yaml"):
        assert (up.home / file).stat().st_mode & 0o077 == 0, file
    for process in left_of(up.connection.stack_id):
        arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not any(secret in arguments for secret in vars(keys).values()), process.name


@pytest.mark.parametrize("component", ["scheduler", "postgres"])
def test_a_killed_component_is_restarted(up, component):
    before = one_of(up, component)
    os.kill(before, signal.SIGKILL)
    until(lambda: f"✔ {component} is back" in up.said, f"{component} is back")
    assert one_of(up, component) != before
    assert f"{component} ended by SIGKILL" in up.said
    until(lambda: healthy(up), "all is healthy")
    assert up.command("submit", "trivial", "--wait").returncode == 0


def test_submit_places_a_workflow_and_runs_it(up, folder):
    file = folder / "greet.yaml"
    file.write_text(WORKFLOW.format(name="greet", script="echo hello"))
    done = up.command("submit", str(file), "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (up.dags / "greet.yaml").read_text() == file.read_text()
    assert "Succeeded (greet)" in done.stdout

    file.write_text(file.read_text().replace("hello", "goodbye"))
    differs = up.command("submit", str(file))
    assert differs.returncode == 1
    assert "exists and differs" in differs.stderr


def test_submit_shows_what_is_wrong_with_a_workflow(up, folder):
    file = folder / "broken.yaml"
    file.write_text(WORKFLOW.format(name="broken", script="echo").replace("image:", "imagge:"))
    done = up.command("submit", str(file))
    assert done.returncode == 1
    assert "broken.yaml:11:7: " in done.stderr
    assert "imagge" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_and_the_next_start_goes_on(up, folder):
    until(lambda: up.client.dag("trivial"), "the DAG is there")
    up.client.trigger("trivial", {}, "before")
    runs = len(up.client.runs("trivial"))
    s3(up).put_object(Bucket="artifacts", Key="c", Body=b"still here")
    assert up.end() == 0
    assert left_of(up.connection.stack_id) == []
    assert not answers(up.port)
    no_stack = up.command("watch")
    assert no_stack.returncode == 1
    assert "no stack is running" in no_stack.stderr

    again = Up(folder)
    try:
        again.await_ready()
        assert again.connection.password == up.connection.password
        assert "migrate" not in again.said
        assert len(again.client.runs("trivial")) == runs
        until(lambda: again.client.run("trivial", "before")["state"] == "success", "it goes on with its runs")
        assert s3(again).get_object(Bucket="artifacts", Key="c")["Body"].read() == b"still here"
    finally:
        again.process.kill()
    again.process.wait()
    until(lambda: not left_of(again.connection.stack_id), "kill -9 of the supervisor left nothing", 60)


def test_up_ends_with_the_workflows_result_as_a_plain_user_too(tmp_path):
    """As root: in a user namespace, where this test's files belong to a user that is not root and has no powers."""
    prefix = ()
    if os.geteuid() == 0:
        prefix = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
        if not shutil.which("unshare") or subprocess.run([*prefix, "true"]).returncode:
            pytest.skip("root cannot have a user namespace here")
    file = tmp_path / "fails.yaml"
    file.write_text(WORKFLOW.format(name="fails", script="exit 3"))
    plain = Up(tmp_path, prefix=prefix, arguments=(str(file), "--exit"))
    try:
        plain.await_ready()
        assert plain.process.wait(300) == 1, plain.said
    finally:
        plain.end(signal.SIGTERM)
    assert "Status:     Failed" in plain.said
    assert "exit code 3" in plain.said, "the message of the node that failed"
    assert left_of(plain.connection.stack_id) == []
