"""The page crawler's API, getter and processor, run as the workflow runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from image_index import DAGS, run

IMAGE = "example-image:latest"
API = DAGS / "images/crawler/page_api.py"


@pytest.fixture(scope="module")
def first_page():
    """A server with three pages, in its own process, as the README starts it; the URL of its first page."""
    command = [sys.executable, str(API), "--port", "0", "--pages", "3", "--patience", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def get(url: str) -> object:
    with urlopen(url) as answer:
        return json.load(answer)


def stats(first_page: str, crawl: str) -> list[tuple[str, int]]:
    events = get(first_page.split("/api")[0] + f"/stats?crawl={crawl}")
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    return [(event["kind"], event["page"]) for event in events]


def fetch(url: str, output: Path) -> dict:
    done = run(IMAGE, "--page", url, "--output", str(output), command=["python", "page_getter.py"])
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text())


def process(page: Path):
    return run(IMAGE, "--input", str(page), command=["python", "data_processor.py"])


def test_the_pages_end(first_page, tmp_path):
    url, seen = f"{first_page}&crawl=walk", []
    while url != "end":
        page = fetch(url, tmp_path / "page.json")
        done = process(tmp_path / "page.json")
        assert done.returncode == 0, done.stderr
        seen.append(page["data"]["page"])
        assert done.stdout.startswith(f"page {seen[-1]}: total ")
        url = page["next"]["next_page"]
    assert seen == [1, 2, 3]
    assert stats(first_page, "walk") == [
        (kind, page) for page in (1, 2, 3) for kind in ("fetched", "processing", "processed")
    ]


def test_the_first_page_says_how_many_there_are(first_page):
    assert get(f"{first_page}&pages=1")["next"]["next_page"] == "end"
    following = get(f"{first_page.replace('token=1', 'token=4')}&pages=200&crawl=deep")["next"]["next_page"]
    assert get(following)["data"]["page"] == 5


def test_crawls_are_kept_apart(first_page):
    get(f"{first_page}&crawl=one")
    get(f"{first_page}&crawl=two")
    assert stats(first_page, "one") == stats(first_page, "two") == [("fetched", 1)]


def test_a_held_page_is_processed_only_once_the_next_was_fetched(first_page, tmp_path):
    page = fetch(f"{first_page}&crawl=held&hold=1", tmp_path / "page.json")
    results = []
    processor = threading.Thread(target=lambda: results.append(process(tmp_path / "page.json")))
    processor.start()
    fetch(page["next"]["next_page"], tmp_path / "next.json")
    processor.join()
    assert results[0].returncode == 0, results[0].stderr
    events = stats(first_page, "held")
    assert events.index(("fetched", 2)) < events.index(("processed", 1))


def test_a_held_page_fails_where_nobody_fetches_the_next(first_page, tmp_path):
    fetch(f"{first_page}&crawl=stuck&hold=1", tmp_path / "page.json")
    done = process(tmp_path / "page.json")
    assert done.returncode == 1
    assert "page 2 was not fetched within 0.2 s" in done.stderr
    assert stats(first_page, "stuck") == [("fetched", 1), ("processing", 1)]


def test_the_last_page_is_not_held(first_page, tmp_path):
    fetch(f"{first_page}&crawl=last&hold=1&pages=1", tmp_path / "page.json")
    assert process(tmp_path / "page.json").returncode == 0


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("page_token=x", 400, "'x'"),
        ("", 400, "page_token"),
        ("page_token=9", 404, "1..3"),
        ("page_token=0", 404, "1..3"),
    ],
)
def test_a_bad_page_is_refused(first_page, query, status, says):
    with pytest.raises(HTTPError) as error:
        get(first_page.split("?")[0] + "?" + query)
    assert error.value.code == status
    assert says in json.load(error.value)["error"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/api"), ("POST", "/api/block"), ("POST", "/stats")])
def test_an_unknown_route_is_refused(first_page, method, path):
    with pytest.raises(HTTPError) as error:
        urlopen(Request(first_page.split("/api")[0] + path, method=method))
    assert error.value.code == 404


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1/api/block", "refused"),
        ("https://example.invalid/", "not an http:// address"),
        ("{{initial_page}}", "{{initial_page}}"),
        ("FIRST&page_token=99", "status 404"),
    ],
)
def test_the_getter_fails_with_a_plain_message(first_page, tmp_path, url, says):
    output = tmp_path / "out.json"
    url = url.replace("FIRST", first_page)
    done = run(IMAGE, "--page", url, "--output", str(output), command=["python", "page_getter.py"])
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize("content", [None, "", "[]", '{"data": {}}', '{"next": 1}'])
def test_the_processor_fails_with_a_plain_message(tmp_path, content):
    page = tmp_path / "page.json"
    if content is not None:
        page.write_text(content)
    done = process(page)
    assert done.returncode == 1
    assert done.stderr.startswith("data_processor: ")
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said(first_page):
    port = first_page.split(":")[2].split("/")[0]
    done = subprocess.run([sys.executable, str(API), "--port", port], capture_output=True, text=True)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr
