"""A receiver that misbehaves as it is told, on a real socket, with or without TLS; it remembers every attempt."""

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook

from tests.unit.monitoring.receiver import SECRET

PART = b"x" * 65_536


@dataclass(frozen=True)
class Attempt:
    """One request that was read to its end; `status` is what it was answered, 0: nothing."""

    id: str
    body: bytes
    at_s: float
    status: int


@dataclass
class Receiver:
    """`unverified` are requests whose signature is wrong, `written` the bytes of answers that the caller took."""

    url: str
    attempts: list[Attempt] = field(default_factory=list)
    unverified: int = 0
    written: int = 0

    @property
    def ids(self) -> set[str]:
        return {one.id for one in self.attempts}

    @property
    def taken(self) -> list[Attempt]:
        return [one for one in self.attempts if 200 <= one.status < 300]

    def same_bytes(self) -> bool:
        """Do all attempts of an id carry the same?"""
        return len({(one.id, one.body) for one in self.attempts}) == len(self.ids)


class Answering(BaseHTTPRequestHandler):
    """What a misbehaviour has in its hands."""

    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def say(self, status: int, **headers: str) -> int:
        """A whole answer without a body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", "0")
        self.end_headers()
        return status

    def pour(self, size: int) -> int:
        """A 200 with so many bytes, as long as somebody takes them."""
        self.send_response(200)
        self.send_header("content-length", str(size))
        self.end_headers()
        try:
            while self.receiver.written < size:
                self.wfile.write(PART)
                self.receiver.written += len(PART)
        except OSError:
            self.close_connection = True
        return 200

    def hang_up(self) -> int:
        """No answer: the connection is closed."""
        self.close_connection = True
        return 0

    def log_message(self, *_: object) -> None:
        return


Misbehaviour = Callable[[Answering], int]


def well(answering: Answering) -> int:
    """Taken."""
    return answering.say(204)


@contextmanager
def receiving(
    script: Sequence[Misbehaviour] = (), tls: ssl.SSLContext | None = None, port: int = 0
) -> Iterator[Receiver]:
    """A receiver that misbehaves by the script, one attempt a line, and is well afterwards."""
    left, turn = list(script), threading.Lock()

    class Handler(Answering):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            at_s = time.monotonic()
            with turn:
                misbehave = left.pop(0) if left else well
                place = len(self.receiver.attempts)
                self.receiver.attempts.append(Attempt(headers.get("webhook-id", ""), body, at_s, 0))
            try:
                Webhook(SECRET).verify(body, headers)
            except Exception:  # whatever is wrong with it, it is counted
                self.receiver.unverified += 1
            status = misbehave(self)
            self.receiver.attempts[place] = Attempt(headers.get("webhook-id", ""), body, at_s, status)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A caller that hangs up, or does not trust us, is what is tested."""

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    receiver = Handler.receiver = Receiver(f"{scheme}://localhost:{server.server_address[1]}/retrain")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that vouches for itself only, and the server's side of it."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *named]
    subprocess.run([*new, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context
