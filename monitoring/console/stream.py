"""`GET /api/stream`: the overview as server-sent events, one for each new status.

Laws
- At most LISTENERS_MAX listen at once; the next one is told to ask later (503): pages never take the connections that scrapes
  need.
- An event is made once, whoever listens; a slow reader misses statuses, it delays nobody and nothing is queued for it.
- A stream ends after STREAM_S_MAX, so that a key that was revoked hears no more than that; the page asks again. It ends at once
  with the monitor.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic, time

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from monitoring.console.overview import overview_of
from monitoring.pulse import Pulse
from monitoring.status import Status

LISTENERS_MAX = 16  # of the monitor's 64 connections
STREAM_S_MAX = 300.0
LOOK_EVERY_S = 0.25  # a status is new once a second
RETRY_MS = 2_000
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Stream:
    """The listeners of one pulse; used from one event loop."""

    def __init__(self, pulse: Pulse, clock: Callable[[], float] = monotonic) -> None:
        self._pulse, self._clock = pulse, clock
        self._closed = asyncio.Event()
        self._listeners = 0
        self._made: tuple[Status, str | None, bytes] | None = None

    def close(self) -> None:
        """Ends every stream; no other begins."""
        self._closed.set()

    @property
    def listeners(self) -> int:
        return self._listeners

    async def stream(self, _: Request) -> Response:
        if self._closed.is_set() or self._listeners >= LISTENERS_MAX:
            sentence = f"{self._listeners} pages listen already, expected fewer than {LISTENERS_MAX}; ask /api/overview"
            return JSONResponse({"error": sentence, "code": "too_many_listeners"}, 503, {"retry-after": "5"})
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=HEADERS)

    async def overview(self, _: Request) -> Response:
        """The same once."""
        return Response(self._encoded(), media_type="application/json", headers=HEADERS)

    async def _events(self) -> AsyncIterator[bytes]:
        if self._listeners >= LISTENERS_MAX:  # who was let in beside this one has begun before
            return
        self._listeners += 1
        try:
            end_s, told = self._clock() + STREAM_S_MAX, b""
            yield f"retry: {RETRY_MS}\n\n".encode()
            while not self._closed.is_set() and self._clock() < end_s:
                if (now := self._encoded()) is not told:
                    told = now
                    yield b"event: overview\ndata: " + now + b"\n\n"
                await self._pause()
        finally:
            self._listeners -= 1

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), LOOK_EVERY_S)

    def _encoded(self) -> bytes:
        """Made anew where the status or the health is another."""
        status, reason = self._pulse.status(), self._pulse.unhealthy()
        if self._made is None or self._made[0] is not status or self._made[1] != reason:
            self._made = status, reason, msgspec.json.encode(overview_of(status, reason, time()))
        return self._made[2]
