"""A server that says what a test tells it to, whatever a good one would say: for clients that must survive it."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Say = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request; the script answers it through `reply` or writes what it wants to `wfile`."""

    protocol_version = "HTTP/1.1"
    server: "Scripted"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("authorization")))
        with suppress(OSError):  # the client may have had enough
            self.server.say(self)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  (the base class calls them so)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class Scripted(ThreadingHTTPServer):
    """`asked`: path and Authorization of each request so far."""

    daemon_threads = True

    def __init__(self, say: Say, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.say, self.asked = say, list[tuple[str, str | None]]()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us hangs up: no news."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def scripted(say: Say, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serves until left."""
    with Scripted(say, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
