"""Story 002: an output parameter from a file, and withParam over a list that a step printed."""

from __future__ import annotations

import pytest


def test_output_parameter(airflow):
    run = airflow.succeed("output-parameter")
    assert run.task("generate-parameter").outputs["parameters"] == {"hello-param": "hello world"}
    assert "< hello world >" in run.task("consume-parameter").log


@pytest.mark.parametrize(
    ("dag", "items"),
    [
        ("loops-param-result", [str(number) for number in range(20, 31)]),
        ("loops-param-300", [str(number / 1000) for number in range(1, 301)]),
    ],
)
def test_one_task_for_each_item(airflow, dag, items):
    run = airflow.succeed(dag)
    sleeps = run.named("sleep")
    assert [task.raw["map_index"] for task in sleeps] == list(range(len(items)))
    assert {task.state for task in sleeps} == {"success"}
    # Argo: workflow/controller/operator.go:4098, the name of an expanded step
    assert [task.shown for task in sleeps] == [f"sleep({index}:{item})" for index, item in enumerate(items)]
    for index in (0, len(items) // 2, len(items) - 1):
        assert f"sleeping for {items[index]} seconds" in sleeps[index].log
        assert sleeps[index].outputs["phase"] == "Succeeded"
    generated = run.task("generate")
    assert generated.outputs["result"] == "[" + ", ".join(items) + "]"
    assert all(generated.ended <= task.started for task in sleeps)
