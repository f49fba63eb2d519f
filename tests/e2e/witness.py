"""An HTTP server that workflows under test speak to: it counts, and it lets them wait.

GET /count/<name>   the number of times this has been asked, from 1
GET /hold/<name>    answers when the test calls ``release(name)``; ``held(name)`` waits until somebody asks
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE_SECONDS = 300.0


class Witness(ThreadingHTTPServer):
    """Runs in a thread while its ``with`` block does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._held: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._released: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def __enter__(self) -> Witness:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def count(self, name: str) -> int:
        """How often ``name`` was counted."""
        return self._counts[name]

    def names(self) -> list[str]:
        """All that was counted."""
        return sorted(self._counts)

    def held(self, name: str) -> None:
        """Wait until a workflow holds at ``name``."""
        assert self._held[name].wait(PATIENCE_SECONDS), f"nobody came to hold at {name}"

    def release(self, name: str) -> None:
        """Let go on who holds at ``name``, now or later."""
        self._released[name].set()

    def answer(self, verb: str, name: str) -> str:
        """What a request is answered with."""
        if verb == "hold":
            self._held[name].set()
            return "released" if self._released[name].wait(PATIENCE_SECONDS) else "forgotten"
        with self._lock:
            self._counts[name] += 1
            return str(self._counts[name])


class _Handler(BaseHTTPRequestHandler):
    server: Witness

    def do_GET(self) -> None:
        _, verb, name = self.path.split("/", 2)
        content = self.server.answer(verb, name).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
