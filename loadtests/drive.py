"""Sends requests when they are due, whatever becomes of the earlier ones, and notes what became of each.

One process over one event loop. It spins between arrivals that are less than SPIN_S apart, because timers have a millisecond.

Laws
- A connection carries one request at a time; connections are used in turn, and opened as needed up to a bound, beyond which
  requests wait, which counts as latency.
- Bounded by count and time: nothing is sent after the last due request, and nobody is waited for longer than `grace_s`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools
import numpy as np
import uvloop

from loadtests.samples import BROKEN, Samples, Times

SPIN_S = 0.002  # above it a timer is exact enough to sleep until shortly before the next arrival
OPENING_MAX = 64  # connection attempts at once: more would overflow the server's backlog and wait a second to try again


@dataclass(frozen=True, slots=True)
class Target:
    """Where the requests go, and the bytes of each of them; several are sent in turn."""

    host: str
    port: int
    requests: Sequence[bytes]

    @classmethod
    def of(
        cls, url: str, bodies: Sequence[bytes], headers: Sequence[tuple[str, str]] = (), method: str = "POST"
    ) -> "Target":
        """`http` only; content-type is JSON unless a header says otherwise."""
        parts = urlsplit(url)
        assert parts.scheme == "http" and parts.hostname, f"url: found {url!r}, expected http://HOST:PORT/PATH"
        named = {"content-type": "application/json", **{name.lower(): value for name, value in headers}}
        fixed = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{fixed}content-length: "
        requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
        return cls(parts.hostname, parts.port or 80, requests)


class _Connection(asyncio.Protocol):
    """One keep-alive connection, and the request that is on its way over it."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._place = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases

    def send(self, place: int, request: bytes) -> None:
        assert self._transport is not None
        self._place = place
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # 100 Continue: the answer is still to come
            return
        place, self._place = self._place, -1
        if place < 0 or not self._parser.should_keep_alive():
            self.close()
        self._run.ended(place, self._parser.get_status_code(), self)

    def connection_lost(self, error: Exception | None) -> None:
        place, self._place, self._transport = self._place, -1, None
        self._run.lost(place, self)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Run:
    """One run: sends what is due, waits for the rest."""

    def __init__(self, target: Target, due_s: Times, *, connections: int, connections_max: int, grace_s: float) -> None:
        self._target, self._due_s, self._grace_s = target, due_s, grace_s
        self._connections, self._connections_max = min(connections, connections_max), connections_max
        self._due = due_s.tolist()
        self._sent = [float("nan")] * len(self._due)
        self._ended = [float("nan")] * len(self._due)
        self._status = [0] * len(self._due)
        self._left = len(self._due)
        self._next = 0
        self._waiting: deque[int] = deque()
        self._idle: deque[_Connection] = deque()
        self._open = self._opening = self._opened = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = 0.0

    async def run(self) -> Samples:
        """Raises OSError where not even the first connections can be opened."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        await asyncio.gather(*(self._connect() for _ in range(self._connections)))
        self._began_s = time.perf_counter()
        self._tick()
        await asyncio.wait([self._over], timeout=self._due[-1] + self._grace_s)
        self._next = len(self._due)
        for task in self._tasks:
            task.cancel()
        for connection in self._idle:
            connection.close()
        return Samples(self._due_s, np.array(self._sent), np.array(self._ended), np.array(self._status), self._opened)

    def _tick(self) -> None:
        """Sends everything that is due; comes again when the next is."""
        now_s = time.perf_counter() - self._began_s
        due, place, end = self._due, self._next, len(self._due)
        while place < end and due[place] <= now_s:
            self._send(place)
            place += 1
        self._next = place
        if place == end:
            return
        pause_s = due[place] - now_s
        if pause_s > SPIN_S:
            self._loop.call_later(pause_s - SPIN_S / 2, self._tick)
        else:
            self._loop.call_soon(self._tick)

    def _send(self, place: int) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.usable:
                self._send_over(connection, place)
                return
        self._waiting.append(place)
        self._reach()

    def _send_over(self, connection: _Connection, place: int) -> None:
        self._sent[place] = time.perf_counter() - self._began_s
        requests = self._target.requests
        connection.send(place, requests[place % len(requests)])

    def _reach(self) -> None:
        """Opens a connection where those that are being opened are fewer than the requests that wait."""
        room = min(self._connections_max - self._open, OPENING_MAX) - self._opening
        if self._opening < len(self._waiting) and room > 0:
            task = self._loop.create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._connected)

    async def _connect(self) -> None:
        self._opening += 1
        try:
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self), self._target.host, self._target.port
            )
            self._open += 1
            self._opened += 1
        finally:
            self._opening -= 1
        self._free(connection)

    def _connected(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if (
            not task.cancelled() and task.exception() is not None and self._waiting
        ):  # refused: this request was not answered
            self._settle(self._waiting.popleft(), BROKEN)
        self._reach()

    def _free(self, connection: _Connection) -> None:
        if not connection.usable:
            return
        if self._waiting:
            self._send_over(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def ended(self, place: int, status: int, connection: _Connection) -> None:
        """A whole answer came."""
        if place >= 0:
            self._settle(place, status)
        self._free(connection)

    def lost(self, place: int, connection: _Connection) -> None:
        """A connection is gone, with the request that was on it."""
        self._open -= 1
        if place >= 0:
            self._settle(place, BROKEN)
        if self._waiting and not self._over.done():
            self._reach()

    def _settle(self, place: int, status: int) -> None:
        self._ended[place] = time.perf_counter() - self._began_s
        self._status[place] = status
        self._left -= 1
        if not self._left and not self._over.done():
            self._over.set_result(None)


def drive(
    target: Target, due_s: Times, *, connections: int = 16, connections_max: int = 2_000, grace_s: float = 10.0
) -> Samples:
    """Blocking: sends one request at each of these times and returns what became of them."""
    run = Run(target, due_s, connections=connections, connections_max=connections_max, grace_s=grace_s)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run.run())
