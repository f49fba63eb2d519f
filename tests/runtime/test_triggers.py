"""Following a chain of runs, and calls (design §4.2, §4.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.graph import Work
from argo_airflow.runtime import operators
from argo_airflow.runtime.scope import caller, child_run_id
from argo_airflow.runtime.triggers import FollowRunsTrigger

from .conftest import Supervisor, TaskInstance, context, dag

TAILS = {"wf.ping": {"over": "wf.pong"}, "wf.pong": {"back": "wf.ping"}}


def trigger(**changed: Any) -> FollowRunsTrigger:
    given = {
        "dag_id": "wf.ping",
        "run_id": "r.1.x",
        "root_run_id": "r",
        "depth": 1,
        "tails": TAILS,
        "poll_seconds": 0.01,
    }
    return FollowRunsTrigger(**(given | changed))


def test_serialized_and_back() -> None:
    path, fields = trigger().serialize()
    assert path == "argo_airflow.runtime.triggers.FollowRunsTrigger"
    assert FollowRunsTrigger(**fields).serialize() == (path, fields)


async def event(following: FollowRunsTrigger) -> dict[str, Any]:
    async for found in following.run():
        return found.payload
    raise AssertionError("no event")


def chain(supervisor: Supervisor, length: int, *, failed: int = -1, index: int = -1) -> list[str]:
    """Ended runs, ping and pong in turn, each started by the one before; the last one called nobody."""
    ids, run_id = [], "r.1.x"
    for number in range(length):
        dag_id, task_id = ("wf.ping", "over") if number % 2 == 0 else ("wf.pong", "back")
        supervisor.runs[dag_id, run_id] = "failed" if number == failed else "success"
        supervisor.states[dag_id, run_id, task_id, index] = "success" if number < length - 1 else "skipped"
        ids.append(run_id)
        run_id = child_run_id("r", run_id, caller(task_id, index), number + 2)
    return ids


@pytest.mark.parametrize("length", [1, 2, 50])
def test_follows_a_chain_to_its_end(supervisor, length: int) -> None:
    chain(supervisor, length)
    assert asyncio.run(event(trigger())) == {"failed": [], "runs": length}


def test_a_failed_run_is_told_and_what_it_started_is_waited_for(supervisor) -> None:
    ids = chain(supervisor, 3, failed=1)
    assert asyncio.run(event(trigger())) == {"failed": [["wf.pong", ids[1]]], "runs": 3}


def test_all_items_of_a_looped_tail_call(supervisor) -> None:
    tails = {"wf.walk": {"below": "wf.walk"}}
    supervisor.runs["wf.walk", "r.1.x"] = "success"
    for index in range(3):
        run_id = child_run_id("r", "r.1.x", caller("below", index), 2)
        supervisor.runs["wf.walk", run_id] = "failed" if index == 2 else "success"
        supervisor.states["wf.walk", "r.1.x", "below", index] = "success"
        supervisor.states["wf.walk", run_id, "below", -1] = "skipped"
    found = asyncio.run(event(trigger(dag_id="wf.walk", tails=tails)))
    assert found["runs"] == 4
    assert len(found["failed"]) == 1


def test_waits_for_a_run_that_goes_on(supervisor) -> None:
    ids = chain(supervisor, 2)
    supervisor.runs["wf.pong", ids[1]] = "running"

    async def end_later() -> dict[str, Any]:
        following = asyncio.create_task(event(trigger()))
        await asyncio.sleep(0.2)
        assert not following.done()
        supervisor.runs["wf.pong", ids[1]] = "success"
        return await following

    assert asyncio.run(end_later()) == {"failed": [], "runs": 2}


OUTPUTS = "    outputs: {parameters: [{name: o, valueFrom: {parameter: '{{steps.a.outputs.result}}'}}]}\n"
STEPS = "    steps:\n    - - {name: a, template: leaf}\n    - - {name: again, template: loop}\n"
LOOP = f"  - {{name: main, steps: [[{{name: start, template: loop}}]]}}\n  - name: loop\n{OUTPUTS}{STEPS}"


def call(index: int, task_id: str) -> Any:
    graph = dag(LOOP, index=index)
    return operators.build(Work(graph, graph.by_id[task_id]), task_id=task_id)


def test_call_starts_a_run_and_waits_without_a_worker(supervisor) -> None:
    ti = TaskInstance("start")
    with pytest.raises(TaskDeferred) as deferred:
        call(0, "start").execute(context(ti))
    (message,) = supervisor.started
    assert (message.dag_id, message.run_id[:6]) == ("wf.loop", "run.1.")
    assert message.conf["argo"]["parent"] == {"dag_id": "wf", "run_id": "run", "task_id": "start", "map_index": -1}
    assert message.conf["argo"]["node_name"] == "wf[0].start"
    assert deferred.value.trigger.tails == {"wf.loop": {"again": "wf.loop"}}
    with pytest.raises(TaskDeferred):
        call(0, "start").execute(context(ti))
    assert supervisor.started[1].run_id == message.run_id, "a task that runs again finds the same run"
    assert not ti.xcoms, "a deferred node has not ended"


def test_resumed_call_publishes_what_its_run_put_out(supervisor) -> None:
    ti = TaskInstance("start")
    with pytest.raises(TaskDeferred):
        call(0, "start").execute(context(ti))
    run_id = supervisor.started[0].run_id
    ti.xcoms["wf.loop", run_id, "a", -1] = {"phase": "Succeeded", "result": "made"}
    call(0, "start").resume(context(ti), {"failed": [], "runs": 3}, run_id)
    assert (ti.published["phase"], ti.published["parameters"]) == ("Succeeded", {"o": "made"})
    failed = [["wf.loop", f"r{i}"] for i in range(1, 5)]
    with pytest.raises(NodeFailed, match=r"child failed: wf.loop r1, wf.loop r2, wf.loop r3 and 1 more"):
        call(0, "start").resume(context(ti), {"failed": failed, "runs": 9}, run_id)
    assert ti.published["phase"] == "Failed"


def test_cleared_call_starts_a_new_run_unless_the_old_one_goes_on(supervisor) -> None:
    """models/taskinstance.py, clear_task_instances: ``max_tries = try_number + retries``."""
    first, cleared = TaskInstance("start"), TaskInstance("start", max_tries=3, try_number=2)
    for ti in (first, cleared):
        with pytest.raises(TaskDeferred) as deferred:
            call(0, "start").execute(context(ti))
    old, found = (message.run_id for message in supervisor.started)
    assert found == old, "it goes on still"
    supervisor.runs["wf.loop", old] = "failed"
    for _ in range(2):
        with pytest.raises(TaskDeferred) as deferred:
            call(0, "start").execute(context(cleared))
    new, again = (message.run_id for message in supervisor.started[2:])
    assert new == again != old
    assert deferred.value.kwargs == {"run_id": new}
    assert deferred.value.trigger.run_id == new


def tail_context(depth: int = 4) -> dict[str, Any]:
    own = {
        "workflow": {"name": "wf", "namespace": "default"},
        "node_name": "wf.x",
        "depth": depth,
        "root_run_id": "run",
        "name": "a",
    }
    return context(TaskInstance("again", dag_id="wf.loop", run_id="run.4.abc"), conf={"argo": own})


def test_tail_call_starts_the_run_that_the_follower_will_look_for(supervisor) -> None:
    tail = tail_context()
    call(1, "again").execute(tail)
    (message,) = supervisor.started
    assert message.run_id == child_run_id("run", "run.4.abc", caller("again", -1), 5)
    assert tail["ti"].published["phase"] == "Succeeded"


def test_recursion_limit(supervisor, monkeypatch) -> None:
    from argo_airflow.runtime import calls
    from argo_airflow.settings import Settings

    monkeypatch.setattr(calls, "settings", lambda: Settings(recursion_limit=4))
    with pytest.raises(
        NodeError, match=r"template loop is called 5 deep, more than 4 \(option \[argo\] recursion_limit\)"
    ):
        call(1, "again").execute(tail_context())
    assert supervisor.started == []
