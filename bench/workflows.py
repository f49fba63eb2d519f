"""The DAG files that are measured: Argo YAML, and the same written by hand with KubernetesPodOperator."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.sizes import Sizes

EXAMPLES = Path(__file__).resolve().parents[1] / "dags"

_IMAGE = "alpine"  # not in the image index: the host's own root

FAIR = (
    'startup_check_interval_seconds=1, get_logs=True, on_finish_action="delete_pod", '
    'kubernetes_conn_id="kubernetes_default", namespace="default", image="alpine", cmds=["sh", "-c"]'
)
"""What the hand-written tasks are given: pods are looked at every second, followed and deleted, as ours are."""
OWN_DEFAULTS = 'kubernetes_conn_id="kubernetes_default", namespace="default", image="alpine", cmds=["sh", "-c"]'

_PYTHON = """\
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

POD = dict({settings})

with DAG("{dag_id}", schedule=None, catchup=False, max_active_tasks=100_000):
{body}
"""


def write_runs(folder: Path, sizes: Sizes) -> None:
    """The dags folder of the stack: short pods in several shapes, and the page crawler with its images."""
    folder.mkdir(parents=True)
    for name in ("page-crawler.yaml", "images.yaml"):
        shutil.copy(EXAMPLES / name, folder / name)
    shutil.copytree(EXAMPLES / "images", folder / "images")
    shapes: dict[str, dict[str, Any]] = {
        "argo-chain": _argo_chain(sizes.chain),
        "argo-chain-parameter": _argo_parameters(sizes.chain),
        "argo-fan-out": _argo_fan_out(sizes.fan_out),
        "argo-warm-up": _argo_fan_out(sizes.warm_up),
    }
    for name, spec in shapes.items():
        write_workflow(folder / f"{name}.yaml", name, spec)
    write_python(folder / "kpo_chain.py", "kpo-chain", _kpo_chain(sizes.chain))
    write_python(folder / "kpo_chain_defaults.py", "kpo-chain-defaults", _kpo_chain(sizes.chain), OWN_DEFAULTS)
    write_python(folder / "kpo_chain_xcom.py", "kpo-chain-xcom", _kpo_xcom(sizes.chain))
    write_python(folder / "kpo_fan_out.py", "kpo-fan-out", _kpo_fan_out(sizes.fan_out))
    write_python(folder / "kpo_warm_up.py", "kpo-warm-up", _kpo_fan_out(sizes.warm_up))


def write_large(folder: Path, tasks: int) -> None:
    """DAG files of ``tasks`` tasks each, for parsing only: as a dag, and as steps in groups of ten."""
    folder.mkdir(parents=True)
    names = [f"t{index:04}" for index in range(tasks)]
    before = {name: [names[i] for i in (index - 1, index - 10) if i >= 0] for index, name in enumerate(names)}
    groups = [names[at : at + 10] for at in range(0, tasks, 10)]
    previous = {name: group for group, after in pairwise(groups) for name in after}
    write_workflow(folder / "large-dag.yaml", "large-dag", _argo_dag(before))
    write_python(folder / "large_dag.py", "large-dag-by-hand", _kpo_tasks(before))
    write_workflow(folder / "large-steps.yaml", "large-steps", _argo_steps(groups))
    write_python(folder / "large_steps.py", "large-steps-by-hand", _kpo_tasks({n: previous.get(n, []) for n in names}))


def write_workflow(file: Path, name: str, spec: dict[str, Any]) -> None:
    """One Workflow as block YAML, which is what people write (and slower to read than JSON)."""
    import yaml

    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": f"{name}-"}}
    file.write_text(yaml.safe_dump({**head, "spec": {"entrypoint": "main", **spec}}, sort_keys=False))


def write_python(file: Path, dag_id: str, body: Iterable[str], settings: str = FAIR) -> None:
    """One DAG in Python."""
    indented = "\n".join(f"    {line}" for line in body)
    file.write_text(_PYTHON.format(dag_id=dag_id, body=indented, settings=settings))


def _shell(command: str) -> dict[str, Any]:
    return {"image": _IMAGE, "command": ["sh", "-c"], "args": [command]}


def _call(name: str, message: str) -> dict[str, Any]:
    return {"name": name, "template": "say", "arguments": {"parameters": [{"name": "message", "value": message}]}}


def _say() -> dict[str, Any]:
    inputs = {"parameters": [{"name": "message"}]}
    return {"name": "say", "inputs": inputs, "container": _shell("echo {{inputs.parameters.message}}")}


def _argo_dag(before: dict[str, list[str]]) -> dict[str, Any]:
    tasks = [{**_call(name, "hi"), **({"dependencies": first} if first else {})} for name, first in before.items()]
    return {"templates": [{"name": "main", "dag": {"tasks": tasks}}, _say()]}


def _argo_steps(groups: list[list[str]]) -> dict[str, Any]:
    steps = [[_call(name, "hi") for name in group] for group in groups]
    return {"templates": [{"name": "main", "steps": steps}, _say()]}


def _argo_chain(length: int) -> dict[str, Any]:
    return _argo_dag({f"t{i}": [f"t{i - 1}"] if i else [] for i in range(length)})


def _argo_fan_out(width: int) -> dict[str, Any]:
    task = {**_call("say", "{{item}}"), "withSequence": {"count": str(width)}}
    return {"templates": [{"name": "main", "dag": {"tasks": [task]}}, _say()]}


def _argo_parameters(length: int) -> dict[str, Any]:
    spec = _argo_chain(length)
    main, say = spec["templates"]
    for index, task in enumerate(main["dag"]["tasks"][1:]):
        task["arguments"]["parameters"][0]["value"] = f"{{{{tasks.t{index}.outputs.parameters.message}}}}"
    say["container"] = _shell("echo {{inputs.parameters.message}} > /tmp/message")
    say["outputs"] = {"parameters": [{"name": "message", "valueFrom": {"path": "/tmp/message"}}]}
    return spec


def _kpo_chain(length: int) -> Iterable[str]:
    return _kpo_tasks({f"t{i}": [f"t{i - 1}"] if i else [] for i in range(length)})


def _kpo_tasks(before: dict[str, list[str]]) -> Iterable[str]:
    for name, first in before.items():
        yield f'{name} = KubernetesPodOperator(task_id="{name}", name="{name}", arguments=["echo hi"], **POD)'
        if first:
            yield f"[{', '.join(first)}] >> {name}"


def _kpo_xcom(length: int) -> Iterable[str]:
    for index in range(length):
        given = f"{{{{ ti.xcom_pull(task_ids='t{index - 1}') }}}}" if index else "hi"
        command = json.dumps(f"echo '\"{given}\"' > /airflow/xcom/return.json")
        task = f'task_id="t{index}", name="t{index}", arguments=[{command}], do_xcom_push=True'
        yield f"t{index} = KubernetesPodOperator({task}, **POD)"
        if index:
            yield f"t{index - 1} >> t{index}"


def _kpo_fan_out(width: int) -> Iterable[str]:
    yield 'task = KubernetesPodOperator.partial(task_id="say", name="say", **POD)'
    yield f'task.expand(arguments=[[f"echo {{n}}"] for n in range({width})])'
