"""How does a test drive a connection without a socket: a transport that keeps what was written, an application of its own."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from service.http.bounds import Bounds
from service.http.guard import SWEEP_S, Guard
from service.http.patience import Patience
from service.http.protocol import Connection

PATIENCE = Patience(
    header_timeout_s=5, body_timeout_s=8, write_timeout_s=8, bytes_per_s_min=1 << 14, keep_alive_s=5, linger_s=2
)
BOUNDS = Bounds(
    max_header_bytes=4096,
    max_headers=20,
    max_url_bytes=1000,
    max_connections=3,
    max_pipelined=4,
    max_unfinished_bytes=500_000,
)
App = Callable[[Any, Any, Any], Awaitable[None]]


class Sink(asyncio.Transport):
    """A transport; `unsent` plays a client that does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = self.ended = self.paused = False
        self.unsent = 0
        self.connection: Connection | None = None

    def write(self, data: Any) -> None:
        assert not self.closed, "a write after the close"
        self.written += data

    def close(self) -> None:
        self.closed = True
        self._lose()

    def abort(self) -> None:
        self.closed = self.aborted = True
        self._lose()

    def _lose(self) -> None:
        if self.connection is not None:
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)
            self.connection = None

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Worker:
    """What connections share: an application, a guard, and what the guard counted."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.counted: Counter[str] = Counter()
        self.guard = Guard(patience=PATIENCE, bounds=BOUNDS, count=lambda reason: self.counted.update([reason]))
        self._config = uvicorn.Config(self, log_config=None, interface="asgi3", access_log=False)
        self.state = ServerState()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def connect(self) -> tuple[Connection, Sink]:
        """One more connection."""
        connection, sink = Connection(self._config, self.state, {}), Sink()
        sink.connection = connection
        connection.connection_made(sink)
        return connection, sink

    def pass_s(self, seconds: float) -> None:
        """So much time, as the guard sees it."""
        for _ in range(round(seconds / SWEEP_S)):
            self.guard.sweep(SWEEP_S)


async def settled() -> None:
    """Every task that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def answers(written: bytes) -> Iterator[tuple[int, dict[bytes, bytes], bytes]]:
    """Status, headers and body of each answer."""
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        size = int(headers[b"content-length"])
        yield int(first.split()[1]), headers, rest[:size]
        written = rest[size:]
