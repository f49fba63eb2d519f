"""retryStrategy on Airflow's retries (semantics.md §2.11).

Airflow's ``retries`` also covers what Argo's controller rides out by itself: a worker that was killed takes up its pod
again. So every node has some, and the policy here spends them on failures of the node only as far as ``limit`` allows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from argo_airflow.errors import NodeError, NodeFailed
from argo_airflow.runtime.node import failed_attempts

LOST_WORKERS = 2
"""How often a task is taken up again after its worker was lost."""
UNLIMITED = 1_000_000


def retries(limit: int | None) -> int:
    """Airflow's ``retries`` for a node with this ``retryStrategy.limit`` (-1 unlimited, None no strategy)."""
    return UNLIMITED if limit is not None and limit < 0 else (limit or 0) + LOST_WORKERS


class NodeRetry(RetryPolicy):
    """Argo's default policy OnFailure: Failed is tried again up to ``limit`` times, Error is not."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit

    def __repr__(self) -> str:
        return f"NodeRetry({self.limit})"

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Airflow asks after each failure that is not a lost worker.

        What nobody foresaw is tried again like a lost worker, however often the node itself may be.
        """
        if isinstance(exception, NodeError):
            return RetryDecision.fail(reason=str(exception))
        if not isinstance(exception, NodeFailed):
            before = try_number - 1 - (max_tries - retries(self.limit))  # tries since the task was last cleared
            lost = before - failed_attempts(context or {})
            return RetryDecision.default() if lost < LOST_WORKERS else RetryDecision.fail(reason=str(exception))
        attempt = getattr(exception, "attempt", 0)
        if self.limit is None:
            return RetryDecision.fail(reason=str(exception))
        if 0 <= self.limit <= attempt:
            return RetryDecision.fail(reason="No more retries left")
        return RetryDecision.retry(delay=timedelta(0), reason=f"attempt {attempt} failed: {exception}")
