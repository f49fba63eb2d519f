"""The page crawler: what an iteration of a deep recursion costs, early and late."""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import pairwise

from argo_airflow.stack.component import Component
from argo_airflow.stack.ports import LOOPBACK, answers
from argo_airflow.stack.stack import Stack
from bench.figure import BenchError, Figure
from bench.runs import run, wait_for_dag
from bench.workflows import EXAMPLES

WORKFLOW, CHILD = "page-crawler-loader", "page-crawler-loader.page-dag"
AROUND = 5
EARLY = 10


def page_api(port: int) -> Component:
    """The HTTP API that is crawled, as a companion of the stack (which ends it, also after a crash)."""
    program = str(EXAMPLES / "images/crawler/page_api.py")
    command = (sys.executable, program, "--host", LOOPBACK, "--port", str(port))
    return Component("page-api", command, ready=lambda _: answers(port))


def crawl(stack: Stack, port: int, pages: int) -> list[Figure]:
    """Crawl once; seconds between the starts of child runs around iteration 10 and around ``pages - 10``.

    Raises:
        BenchError: the crawl failed, or did not make one child run for each page.
    """
    wait_for_dag(stack, WORKFLOW)
    run(stack, WORKFLOW, initial_page=f"http://{LOOPBACK}:{port}/api/block?page_token=1&pages={pages}")
    starts = sorted(datetime.fromisoformat(raw["start_date"]) for raw in stack.client.list_runs([CHILD]))
    if len(starts) != pages:
        raise BenchError(f"{len(starts)} child runs for {pages} pages")
    seconds = [(after - before).total_seconds() for before, after in pairwise(starts)]
    late = pages - EARLY
    about = f"crawler of {pages} pages, iteration {late}"
    return [Figure(about, "s/iteration", _near(seconds, late), f"at iteration {EARLY}", _near(seconds, EARLY))]


def _near(seconds: list[float], iteration: int) -> tuple[float, ...]:
    """Durations of the iterations (counted from 1) within five of this one."""
    return tuple(seconds[max(0, iteration - AROUND - 1) : iteration + AROUND])
