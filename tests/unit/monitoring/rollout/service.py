"""A service's admin API as a test scripts it: an answer to each path, and what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, bytes]
ROUTES = {"generation": 7, "models": {"m": {"stable": "1", "canary": {"version": "2", "percent": 5}, "shadows": []}}}
CHANGE = {"n": 3, "at": "2026-01-05T10:00:00.000+00:00", "via": "api", "by": "ada", "why": "", "generation": 7}
HISTORY = {"model": "m", "changes": [{**CHANGE, "before": None, "after": {"stable": "1"}, "hash": "ab"}]}


class Service:
    """What was asked, and what is answered to each path."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.url = ""


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[Service]:
    service = Service(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            service.asked.append((self.command, self.path, self.headers["authorization"], body))
            status, data = service.answers[self.path]
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def said(body: object, status: int = 200) -> Answer:
    return status, json.dumps(body).encode()


WHOLE = {
    "/admin/routes": said(ROUTES),
    "/admin/routes/m/history": said(HISTORY),
    "/admin/routes/m": said({"generation": 8}),
}
