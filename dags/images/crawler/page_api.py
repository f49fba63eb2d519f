"""A small paged HTTP API for the page crawler, with a record of who fetched and processed what, and when.

    python page_api.py [--host 127.0.0.1] [--port 8099] [--pages 20]

    GET  /api/block?page_token=K   one page: {"data": {…}, "next": {"next_page": <URL of page K+1, or "end">}}
    POST /processing?page=K        the processor has begun with page K
    POST /processed?page=K         … and has done it
    GET  /fetched?page=K           answers when page K has been fetched (at most --patience seconds, then 504)
    GET  /stats                    [{"kind": "fetched"|"processing"|"processed", "page": K, "crawl": …, "time": …}, …]

Every other query parameter of the first page is carried from page to page:
``pages=200`` overrides --pages, ``crawl=NAME`` keeps crawls apart in /stats (``/stats?crawl=NAME``), and ``hold=1``
makes the processor of page K wait until page K+1 has been fetched, which proves that the two overlap.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit


class Record:
    """What happened, in order; a thread may wait for an event."""

    def __init__(self) -> None:
        self._events: list[dict[str, object]] = []
        self._changed = threading.Condition()

    def add(self, kind: str, page: int, crawl: str) -> None:
        with self._changed:
            self._events.append({"kind": kind, "page": page, "crawl": crawl, "time": time.time()})
            self._changed.notify_all()

    def events(self, crawl: str | None = None) -> list[dict[str, object]]:
        with self._changed:
            return [event for event in self._events if crawl is None or event["crawl"] == crawl]

    def wait(self, kind: str, page: int, crawl: str, seconds: float) -> bool:
        def there() -> bool:
            return any((e["kind"], e["page"], e["crawl"]) == (kind, page, crawl) for e in self._events)

        with self._changed:
            return self._changed.wait_for(there, seconds)


class PageApi(ThreadingHTTPServer):
    """The server; ``record`` is open to a test that runs it in its own process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, pages: int, patience: float) -> None:
        self.pages, self.patience, self.record = pages, patience, Record()
        super().__init__((host, port), Handler)

    def url(self, path: str, query: dict[str, object]) -> str:
        host, port = self.server_address[:2]
        return f"http://{host}:{port}{path}?{urlencode(query)}"


class BadRequest(Exception):
    """The query does not make sense; the message says why."""


class Handler(BaseHTTPRequestHandler):
    server: PageApi

    def do_GET(self) -> None:
        self._route({"/api/block": self._block, "/fetched": self._fetched, "/stats": self._stats})

    def do_POST(self) -> None:
        self._route({"/processing": self._note, "/processed": self._note})

    def _route(self, routes: dict) -> None:
        url = urlsplit(self.path)
        self.path_only, self.query = url.path, dict(parse_qsl(url.query))
        try:
            if url.path not in routes:
                self._answer(404, {"error": f"no {self.command} {url.path}; there is {', '.join(routes)}"})
            else:
                routes[url.path]()
        except BadRequest as error:
            self._answer(400, {"error": str(error)})

    def _int(self, name: str, default: int | None = None) -> int:
        text = self.query.get(name, default)
        try:
            return int(text)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise BadRequest(f"query parameter {name} must be a whole number, not {text!r}") from None

    def _block(self) -> None:
        page, pages = self._int("page_token"), self._int("pages", self.server.pages)
        crawl = self.query.get("crawl", "")
        if not 1 <= page <= pages:
            self._answer(404, {"error": f"page_token {page} is not in 1..{pages}"})
            return
        mark: dict[str, object] = {"page": page, "crawl": crawl}
        data = {
            "page": page,
            "records": [{"id": page * 10 + i, "value": (page * 31 + i * 7) % 100} for i in range(5)],
            "processing_url": self.server.url("/processing", mark),
            "processed_url": self.server.url("/processed", mark),
        }
        last = page == pages
        if self.query.get("hold") and not last:
            data["wait_url"] = self.server.url("/fetched", {"page": page + 1, "crawl": crawl})
        following = "end" if last else self.server.url("/api/block", {**self.query, "page_token": page + 1})
        self.server.record.add("fetched", page, crawl)
        self._answer(200, {"data": data, "next": {"next_page": following}})

    def _note(self) -> None:
        self.server.record.add(self.path_only.lstrip("/"), self._int("page"), self.query.get("crawl", ""))
        self._answer(200, {})

    def _fetched(self) -> None:
        page = self._int("page")
        if self.server.record.wait("fetched", page, self.query.get("crawl", ""), self.server.patience):
            self._answer(200, {})
        else:
            self._answer(504, {"error": f"page {page} was not fetched within {self.server.patience:g} s"})

    def _stats(self) -> None:
        self._answer(200, self.server.record.events(self.query.get("crawl")))

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: /stats is the log."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099, help="0: any free port")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--patience", type=float, default=300, help="longest answer of /fetched, in seconds")
    options = parser.parse_args()
    try:
        server = PageApi(options.host, options.port, options.pages, options.patience)
    except OSError as error:
        raise SystemExit(f"page_api: cannot listen on {options.host}:{options.port}: {error.strerror}") from None
    print(f"page API: first page at {server.url('/api/block', {'page_token': 1})}", flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
