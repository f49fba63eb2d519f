"""retryStrategy.limit on Airflow's retries (semantics.md §2.11: limit+1 attempts, OnFailure)."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowSkipException

from argo_airflow.errors import NodeError, NodeFailed, UnresolvedVariable
from argo_airflow.graph import Work
from argo_airflow.runtime.node import node_run
from argo_airflow.runtime.retry import LOST_WORKERS, NodeRetry, retries

from .conftest import Store, TaskInstance, context, dag


def failed(attempt: int) -> NodeFailed:
    error = NodeFailed("main: Error (exit code 1)", 1)
    error.attempt = attempt  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("limit", "attempt", "again"),
    [
        (None, 0, False),
        (0, 0, False),
        (1, 0, True),
        (1, 1, False),
        (2, 1, True),
        (2, 2, False),
        (-1, 0, True),
        (-1, 9999, True),
    ],
)
def test_failed(limit: int | None, attempt: int, again: bool) -> None:
    decision = NodeRetry(limit).evaluate(failed(attempt), 1, 10)
    assert decision.action is (RetryAction.RETRY if again else RetryAction.FAIL)


@pytest.mark.parametrize("limit", [None, 0, 3, -1])
@pytest.mark.parametrize("error", [NodeError("pod deleted"), UnresolvedVariable("failed to resolve")])
def test_error_is_not_tried_again(limit: int | None, error: NodeError) -> None:
    """The default policy OnFailure."""
    assert NodeRetry(limit).evaluate(error, 1, 10).action is RetryAction.FAIL


def test_what_is_not_the_nodes_fault_is_airflows_to_decide() -> None:
    assert NodeRetry(None).evaluate(ConnectionError("API server"), 1, 10).action is RetryAction.DEFAULT


@pytest.mark.parametrize("limit", [None, 2, -1])
def test_what_nobody_foresaw_is_not_tried_for_ever(limit: int | None) -> None:
    """``limit: -1`` is for the node's own failures; a cluster that cannot be reached would be asked a million times."""
    tries = range(1, 2 + LOST_WORKERS)
    asked = [NodeRetry(limit).evaluate(ConnectionError("x"), number, retries(limit)).action for number in tries]
    assert asked == [*[RetryAction.DEFAULT] * LOST_WORKERS, RetryAction.FAIL]
    store = Store({"argo_attempt": {"max_tries": retries(limit), "failed": 7}})
    after = context(TaskInstance("a", max_tries=retries(limit)), store=store)
    assert NodeRetry(limit).evaluate(ConnectionError("x"), 8, retries(limit), after).action is RetryAction.DEFAULT


@pytest.mark.parametrize(("limit", "expected"), [(None, LOST_WORKERS), (0, LOST_WORKERS), (3, 3 + LOST_WORKERS)])
def test_airflows_retries_leave_room_for_lost_workers(limit: int | None, expected: int) -> None:
    assert retries(limit) == expected
    assert retries(-1) > 100_000


NODE = "  - name: main\n    retryStrategy: {limit: 2}\n    container: {image: i, command: [c]}\n"


def attempt(store: Store, error: Exception | None = None, **ti: int) -> int:
    graph = dag(NODE)
    try:
        with node_run(Work(graph, graph.nodes[0]), context(TaskInstance("main", **ti), store=store)) as current:
            number = current.attempt
            assert current.pod_suffix == f"({number})"
            if error is not None:
                raise error
    except (NodeFailed, AirflowSkipException, ConnectionError):
        pass
    return number


def test_attempts_count_what_failed_and_not_lost_workers() -> None:
    store = Store()
    assert attempt(store, NodeFailed("x", 1)) == 0
    assert attempt(store, ConnectionError("lost")) == 1
    assert attempt(store, NodeFailed("x", 1)) == 1
    assert attempt(store) == 2


def test_clearing_the_task_starts_anew() -> None:
    """Airflow raises ``max_tries`` when a task is cleared."""
    store = Store()
    attempt(store, NodeFailed("x", 1), max_tries=4)
    assert attempt(store, max_tries=4) == 1
    assert attempt(store, max_tries=9) == 0
