"""A webhook receiver for tests: real HTTP on a free loopback port, verifies signatures, answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

SECRET = "whsec_" + "cGx1bWJsaW5lIHRlc3RzIHNpZ24gd2l0aCB0aGlz"


@dataclass
class Receiver:
    """`answers`: (status, headers) in turn, then 204 for ever; `taken`: (id, body) of verified posts, `seen`: all headers;
    `cut_off`: answers whose end the caller did not want."""

    url: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    attempts: int = 0
    cut_off: int = 0


@contextmanager
def receiving(answers: list[tuple[int, dict[str, str]]] | None = None, body: bytes = b"") -> Iterator[Receiver]:
    """A receiver that lives as long as the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.attempts += 1
            receiver.seen.append(headers)
            status, extra = receiver.answers.pop(0) if receiver.answers else (204, {})
            try:
                Webhook(SECRET).verify(data, headers)
                if 200 <= status < 300:
                    receiver.taken.append((headers["webhook-id"], data))
            except Exception as error:
                receiver.failures.append(repr(error))
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                receiver.cut_off += 1

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook?team=ml", list(answers or []))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
