"""Golden pairs: the Kubernetes pod of a template. ``pytest tests/pods --update-pods`` writes the pods anew."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from argo_airflow.compiler import graphs
from argo_airflow.errors import NodeError
from argo_airflow.graph import Node, Work
from argo_airflow.helper import contract
from argo_airflow.lang.names import pod_name
from argo_airflow.runtime.node import NodeRun
from argo_airflow.runtime.pod import ARGUMENT_LIMIT, BoundPod, Inputs, bind
from argo_airflow.runtime.scope import Run, Scope
from argo_airflow.settings import Settings

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*.yaml"))
SETTINGS = Settings(helper_image="helper:1", artifact_endpoint="http://s3", artifact_secret="s3-keys")
STORED = {"s3": {"bucket": "artifacts", "key": "other/pod/stored.txt"}, "archive": "none"}
"""Where the artifact that a case calls ``stored`` is."""


def bound(text: str, *, settings: Settings = SETTINGS, captures: bool = False, **parameters: str) -> BoundPod:
    (graph,) = graphs(text, "test.yaml")
    dag = graph.dags[0]
    (node,) = dag.nodes
    node = replace(node, captures_result=captures)
    values = {p.name: p.value for p in dag.parameters} | parameters
    dag_run = SimpleNamespace(run_id="r", conf={}, run_after=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), start_date=None)
    run = Run.of(dag, {"dag_run": dag_run, "params": values})
    inputs = NodeRun(Work(dag, node), run, Scope(run, None), run.node_name).inputs()
    stored = {"stored": STORED} if "stored" in inputs.artifacts or "name: stored" in text else {}
    return bind(
        node, Inputs(inputs.parameters, {**inputs.artifacts, **stored}), run, settings, name=run.node_name, suffix=""
    )


def shown(pod: BoundPod) -> dict[str, Any]:
    """The pod with the helper's job taken out of the variables, to be read."""
    manifest = json.loads(json.dumps(pod.manifest))
    helpers = [*manifest["spec"].get("initContainers", ()), *manifest["spec"]["containers"][1:]]
    for helper in helpers:
        assert contract.Job.from_env({one["name"]: one["value"] for one in helper["env"]}) == pod.job
        helper["env"] = "(the job)"
    job = None if pod.job is None else json.loads(json.dumps(asdict(pod.job)))
    return {"pod": manifest, "job": job, "outputs": pod.outputs}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden(case: Path, request) -> None:
    golden = case.with_suffix(".json")
    text = json.dumps(shown(bound(case.read_text())), indent=1, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-pods", default=False):
        golden.write_text(text)
    assert text == golden.read_text(), "if this is meant: pytest tests/pods --update-pods, and read the diff"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_kubernetes_client_takes_every_field(case: Path) -> None:
    """A field that the client's model does not know is dropped without a word."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import ApiClient

    manifest = bound(case.read_text()).manifest
    model = PodGenerator.deserialize_model_dict(manifest)
    assert ApiClient().sanitize_for_serialization(model) == json.loads(json.dumps(manifest))


def workflow(template: str, parameters: str = "") -> str:
    head = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n"
    return f"{head}  arguments: {{parameters: [{parameters}]}}\n  templates: [{{name: main, {template}}}]\n"


def main_of(pod: BoundPod) -> dict[str, Any]:
    container: dict[str, Any] = pod.manifest["spec"]["containers"][0]
    return container


ECHO = "container: {image: busybox, command: [echo], args: ['{{workflow.parameters.x}}']}"


@pytest.mark.parametrize(
    "value", ["{{workflow.name}}", "{{=1}}", "'\"\\`", "a\nb\r\n\tc", "😀 é \u2028", "$(X) $$(Y)", "{% x %}", "", " "]
)
def test_values_arrive_unchanged(value: str) -> None:
    """As an argument, in a variable, in a script and in raw content; ``x`` is what the trigger form was given."""
    declared = "{name: x, value: unused}"
    assert main_of(bound(workflow(ECHO, declared), x=value))["args"] == [value]
    env = "container: {image: i, command: [c], env: [{name: E, value: '{{workflow.parameters.x}}'}]}"
    assert main_of(bound(workflow(env, declared), x=value))["env"][0] == {"name": "E", "value": value}
    script = "script: {image: i, command: [c], source: '<{{workflow.parameters.x}}>'}"
    job = bound(workflow(script, declared), x=value).job
    assert job is not None
    assert contract.Job.from_env(job.to_env()).script == f"<{value}>"
    raw = "inputs: {artifacts: [{name: a, path: /a, raw: {data: '<{{workflow.parameters.x}}>'}}]}"
    job = bound(workflow(f"{raw}, container: {{image: i, command: [c]}}", declared), x=value).job
    assert job is not None
    assert contract.Job.from_env(job.to_env()).inputs[0].raw == f"<{value}>"


@pytest.mark.parametrize(("size", "fits"), [(ARGUMENT_LIMIT, True), (ARGUMENT_LIMIT + 1, False), (1_000_000, False)])
def test_argument_larger_than_linux_takes(size: int, fits: bool) -> None:
    text = workflow(ECHO, "{name: x, value: unused}")
    if fits:
        assert len(main_of(bound(text, x="a" * size))["args"][0]) == size
        return
    with pytest.raises(NodeError, match=rf"template main: an argument or variable of {size:,} bytes .* artifact"):
        bound(text, x="a" * size)


def test_size_is_in_bytes() -> None:
    with pytest.raises(NodeError, match="140,000 bytes"):
        bound(workflow(ECHO, "{name: x, value: unused}"), x="é" * 70_000)


def test_large_script_goes_in_chunks_and_too_large_is_refused() -> None:
    script = workflow("script: {image: i, command: [c], source: '{{workflow.parameters.x}}'}", "{name: x, value: y}")
    helper = bound(script, x="a" * 300_000).manifest["spec"]["initContainers"][0]
    assert max(len(env["value"]) for env in helper["env"]) <= ARGUMENT_LIMIT
    with pytest.raises(NodeError, match="a pod takes 1000000"):
        bound(script, x="a" * 1_100_000)


IMAGE = "outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}, container: {image: 'tool:1'"


def indexed(tmp_path: Path, entry: str) -> Settings:
    file = tmp_path / "images.yaml"
    file.write_text(f"images:\n  tool: {entry}\n")
    return replace(SETTINGS, images=str(file))


@pytest.mark.parametrize(
    ("entry", "args", "expected"),
    [
        ("{entrypoint: [run, -x], cmd: [all]}", "", ["run", "-x", "all"]),
        ("{entrypoint: [run, -x], cmd: [all]}", ", args: [one]", ["run", "-x", "one"]),
        ("{entrypoint: [run], cmd: [all]}", ", args: []", ["run"]),
        ("{cmd: [sh, -c, ls]}", "", ["sh", "-c", "ls"]),
    ],
)
def test_missing_command_comes_from_the_image_index(tmp_path, entry: str, args: str, expected: list[str]) -> None:
    """Argo: workflowpod.go:752-768: the image's entrypoint, and its CMD only where there are no args."""
    command = main_of(bound(workflow(f"{IMAGE}{args}}}"), settings=indexed(tmp_path, entry)))["command"]
    assert command[command.index("--") + 1 :] == expected


@pytest.mark.parametrize(("entry", "args"), [("{}", ""), ("{}", ", args: [one]"), ("{cmd: [sh]}", ", args: [one]")])
def test_missing_command_that_nobody_knows(tmp_path, entry: str, args: str) -> None:
    for settings in (SETTINGS, indexed(tmp_path, entry)):
        if "cmd" in entry and settings is SETTINGS:
            continue
        with pytest.raises(NodeError, match=r"template main: .* image tool:1 .*write `command`.*\[argo\] images"):
            bound(workflow(f"{IMAGE}{args}}}"), settings=settings)


def test_captured_result_needs_the_wrapper() -> None:
    text = workflow("container: {image: busybox, command: [date], args: [-u]}")
    assert bound(text).job is None
    pod = bound(text, captures=True)
    assert "--capture" in main_of(pod)["command"]
    assert main_of(pod)["command"][-2:] == ["date", "-u"]
    assert [container["name"] for container in pod.manifest["spec"]["containers"]] == ["main", "wait"]


def test_looped_step_knows_its_own_name() -> None:
    """``steps.name`` is the expanded name (semantics.md §2.2), also where the item has a dot in it."""
    node = node_of(
        "container: {image: busybox, command: [echo], args: ['{{steps.name}} {{node.name}} {{tasks.name}}']}"
    )
    run = Run("wf", "r", {"name": "wf", "namespace": "default"}, node_name="wf")
    node = replace(node, name="a", path="[0].a", group="")
    pod = bind(node, Inputs({}, {}), run, SETTINGS, name="wf[0].a(1:1.5)", suffix="(2)")
    assert main_of(pod)["args"] == ["a(1:1.5) wf[0].a(1:1.5) a(1:1.5)"]
    assert pod.name == pod_name("wf", "main", "wf[0].a(1:1.5)(2)")


def node_of(template: str) -> Node:
    (graph,) = graphs(workflow(template), "test.yaml")
    return graph.dags[0].nodes[0]


def test_all_inputs_together_are_a_list_of_parameters() -> None:
    """semantics.md §2.2: ``inputs.parameters`` is a JSON list of objects, as ``workflow.parameters`` is."""
    inputs = "inputs: {parameters: [{name: a, value: x}, {name: b, value: '\"'}]}"
    text = workflow(f"{inputs}, container: {{image: i, command: [echo], args: ['{{{{inputs.parameters}}}}']}}")
    assert main_of(bound(text))["args"] == ['[{"name":"a","value":"x"},{"name":"b","value":"\\""}]']


def test_namespace_of_the_workflow_wins_over_the_option() -> None:
    own = workflow("container: {image: i, command: [c]}").replace("{name: wf}", "{name: wf, namespace: team}")
    settings = replace(SETTINGS, namespace="option")
    assert bound(own, settings=settings).manifest["metadata"]["namespace"] == "team"
    plain = workflow("container: {image: i, command: [c]}")
    assert bound(plain, settings=settings).manifest["metadata"]["namespace"] == "option"


def test_key_format_with_unknown_tag() -> None:
    text = workflow("outputs: {artifacts: [{name: a, path: /a}]}, container: {image: i, command: [c]}")
    with pytest.raises(NodeError, match=r"artifact_key_format: cannot resolve 'x/\{\{nobody\}\}'"):
        bound(text, settings=replace(SETTINGS, artifact_key_format="x/{{nobody}}"))
