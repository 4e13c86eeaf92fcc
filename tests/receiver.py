"""A retraining service as a test sees it: a real HTTP server that checks every signature and fails until it is told not to."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from standardwebhooks import Webhook

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMgb25seSEhIQ=="


class Delivery(NamedTuple):
    """One attempt, signature checked: the id in its header, its event, and the status that it was given."""

    id: str
    event: Mapping[str, Any]
    status: int


class Receiver:
    """Answers 500 while it is `failing`, 200 otherwise."""

    def __init__(self, *, failing: bool = False) -> None:
        self._failing = failing
        self._lock = threading.Lock()
        self.deliveries: list[Delivery] = []
        self.refused: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(body, dict(self.headers.items())))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Quiet: what came is in `deliveries`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/retrain"

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Checks the signature, remembers, decides the status."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            try:
                Webhook(SECRET).verify(body, lower)
            except Exception as error:  # every fault of the signature is the same to the test: refused
                self.refused.append(str(error))
                return 401
            status = 500 if self._failing else 200
            self.deliveries.append(Delivery(lower["webhook-id"], json.loads(body), status))
            return status

    def recover(self) -> None:
        """From now on it takes what comes."""
        with self._lock:
            self._failing = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
