"""Story 000: the recursive page crawler."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import datetime
from urllib.parse import quote
from urllib.request import urlopen

import pytest

PAGES = 200
"""Depth of the recursion; what CI can afford sets it."""


def events(first_page: str, crawl: str) -> list[tuple[str, int]]:
    """What the API saw of one crawl, in the order of time."""
    with urlopen(first_page.split("/api")[0] + f"/stats?crawl={crawl}") as answer:
        return [(event["kind"], event["page"]) for event in json.load(answer)]


def crawl(airflow, first_page, pages: int, **query: object):
    """Crawl to the end; the run and what the API saw."""
    name = uuid.uuid4().hex
    options = "".join(f"&{key}={value}" for key, value in query.items())
    run = airflow.succeed("page-crawler-loader", initial_page=f"{first_page}&crawl={name}&pages={pages}{options}")
    return run, events(first_page, name)


@pytest.mark.parametrize("pages", [1, 3])
def test_a_few_pages_as_written(airflow, first_page, pages):
    _, seen = crawl(airflow, first_page, pages)
    kinds = ("fetched", "processing", "processed")
    assert Counter(seen) == Counter((kind, page) for page in range(1, pages + 1) for kind in kinds)


@pytest.fixture(scope="module")
def deep(airflow, first_page):
    """A crawl of 200 pages. Each page's processor ends only when the next page has been fetched (``hold``)."""
    return crawl(airflow, first_page, PAGES, hold=1)


def test_every_page_is_fetched_and_processed_exactly_once(deep):
    _, seen = deep
    for kind in ("fetched", "processing", "processed"):
        assert Counter(page for k, page in seen if k == kind) == Counter(range(1, PAGES + 1)), kind


def test_the_next_page_is_fetched_while_a_page_is_processed(deep):
    _, seen = deep
    place = {event: number for number, event in enumerate(seen)}
    overlapped = [
        page
        for page in range(1, PAGES)
        if place["processing", page] < place["processed", page]
        and place["fetched", page + 1] < place["processed", page]
    ]
    assert overlapped == list(range(1, PAGES))


def test_the_recursion_is_a_chain_and_not_a_stack(airflow, deep):
    run, _ = deep
    pages = airflow.children(run, "page-dag")
    assert [page.state for page in pages] == ["success"] * PAGES
    begin, end = pages[0].raw, pages[-1].raw
    assert begin["end_date"] < end["start_date"], "the first iteration was still open when the last one began"


def test_the_last_page_skips_the_recursion_as_argo_does(airflow, deep):
    run, _ = deep
    last = airflow.children(run, "page-dag")[-1]
    assert last.task("get-next-page-path").outputs["result"] == "end"
    loop = last.task("loop-it")
    assert loop.state == "skipped"
    # Argo: workflow/controller/steps.go, shouldExecute: the phase of a node whose `when` is false
    assert loop.outputs["phase"] == "Skipped"


def test_the_runs_page_in_the_ui_stays_small(airflow, deep):
    """The UI asks for these; what keeps its page quick is that no answer grows with the number of pages crawled."""
    run, _ = deep
    dag, run_id = run.dag_id, quote(run.run_id, safe="")
    assert [task.name for task in run.tasks] == ["begin-recursion"]
    summaries = airflow.ui(f"/grid/ti_summaries/{dag}?run_ids={run_id}")
    assert [each["task_id"] for each in summaries["task_instances"]] == ["begin-recursion"]
    assert [each["id"] for each in airflow.ui(f"/grid/structure/{dag}")] == ["begin-recursion"]
    assert [each["id"] for each in airflow.ui(f"/structure/structure_data?dag_id={dag}")["nodes"]] == [
        "begin-recursion"
    ]
    assert run.run_id in {each["run_id"] for each in airflow.ui(f"/grid/runs/{dag}?limit=50")}
    assert airflow.ui(f"/dags/{dag}/latest_run")["dag_id"] == dag


def test_the_iterations_page_in_the_ui_stays_small(airflow, deep):
    """The child DAG's own page shows runs page by page, and of each its four tasks."""
    run, _ = deep
    dag = f"{run.dag_id}.page-dag"
    last = airflow.children(run, "page-dag")[-1]
    summaries = airflow.ui(f"/grid/ti_summaries/{dag}?run_ids={quote(last.run_id, safe='')}")
    tasks = {"get-next-page", "consume-output-artifact", "get-next-page-path", "loop-it"}
    assert {each["task_id"] for each in summaries["task_instances"]} == tasks
    assert {each["id"] for each in airflow.ui(f"/grid/structure/{dag}")} == tasks
    assert len(airflow.ui(f"/grid/runs/{dag}?limit=25")) == 25
    page = airflow.client.get(f"/dags/{dag}/dagRuns", limit=50)
    assert len(page["dag_runs"]) == 50
    assert page["total_entries"] >= PAGES


def test_seconds_of_an_iteration_early_and_late(airflow, deep, record_property, capsys):
    """No limit: a figure to look at. Iterations overlap, so one takes from its own start to the start of the next."""
    run, _ = deep
    starts = [datetime.fromisoformat(page.raw["start_date"]) for page in airflow.children(run, "page-dag")]
    assert starts == sorted(starts)
    for number in (10, PAGES - 10):
        seconds = (starts[number + 4] - starts[number - 6]).total_seconds() / 10
        record_property(f"seconds_of_iteration_{number}", seconds)
        with capsys.disabled():
            print(f"\n  crawler: {seconds:.2f} s an iteration around iteration {number} of {PAGES}")


def test_a_page_that_does_not_exist_fails_the_workflow(airflow, first_page):
    run = airflow.trigger("page-crawler-loader", initial_page=first_page.replace("token=1", "token=999"))
    assert airflow.wait(run) == "failed"
    child = airflow.children(run, "page-dag")[-1]
    assert child.state == "failed"
    getter = child.task("get-next-page")
    assert getter.outputs["phase"] == "Failed"
    assert "status 404" in getter.log
