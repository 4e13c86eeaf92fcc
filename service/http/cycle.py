"""How an answer leaves: head and body in one write to the transport, where uvicorn makes two.

Laws
- What a client reads is what uvicorn's own cycle would have sent, byte for byte; whatever is not plain (streamed, no length,
  HEAD, a header twice) is left to uvicorn's own code.
- Nothing leaves before the first part of the body is there, so an application that fails between the two still gets its 500.
- An application that reads the body of a request that was given up gets the reason as an exception.
- What the guard counts of a body is given back when the body is whole, answered, or nobody's any more.
- An answer stands as its record says, whether or not its client is still there to take it: it is counted (`answer_unsent`)
  where the client has gone, or does not read until the end of the grace; nothing else is said in its place.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.connection import CLOSE
from service.errors import RequestError
from service.http.connection_errors import TooManyUnfinishedBytes
from service.http.guard import Guard
from service.memory import LARGE_BYTES

UNSENT = "answer_unsent"
_BODILESS = frozenset({204, 304})
# What uvicorn's two patterns let through, as tables: one pass of C over all headers instead of two searches a header.
_NAME_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte not in b'()<>@,;:[]={}\\"' and not 0x41 <= byte <= 0x5A)
_VALUE_BYTES = bytes(byte for byte in range(0x100) if byte == 0x09 or (byte >= 0x20 and byte != 0x7F))


class Cycle(RequestResponseCycle):
    """One request and its answer; `_start` is the head that waits for its body."""

    guard: Guard | None = None
    refusal: RequestError | None = None
    on_linger: Callable[[], None] = staticmethod(lambda: None)  # what ends a connection on which more would come
    _start: Any = None
    _held_bytes = 0  # counted by the guard
    _taken_bytes = 0  # by the application, of a body whose end has not come

    def refuse(self, error: RequestError) -> None:
        """The rest of the body is not waited for: who reads it is told why; the connection ends with the answer."""
        self.refusal, self.keep_alive = error, False
        self.message_event.set()

    async def receive(self) -> Any:
        """ASGI's receive. Raises what the request was refused for."""
        message: Any = await super().receive()
        if self.refusal is not None and not self.disconnected:
            self.release()
            raise self.refusal
        if message.get("more_body"):
            self._taken_bytes += len(message["body"])
            try:
                self._hold(self._taken_bytes)
            except TooManyUnfinishedBytes as error:
                self.keep_alive = False
                if self.guard is not None:
                    self.guard.refused(error.code)
                raise
        elif self._held_bytes:
            self.release()
        return message

    def hold_arrived(self) -> None:
        """What came of the body is more than may stand uncounted. Raises TooManyUnfinishedBytes."""
        self._hold(self._taken_bytes + len(self.body))

    def _hold(self, size: int) -> None:
        """So much of the body is held in all. Raises TooManyUnfinishedBytes, and holds nothing."""
        guard, more = self.guard, size - self._held_bytes
        if guard is None or more <= 0:
            return
        limit = guard.bounds.max_unfinished_bytes
        if guard.unfinished_bytes + more > limit:
            self.release()
            raise TooManyUnfinishedBytes(limit)
        guard.unfinished_bytes += more
        self._held_bytes = size
        if size > LARGE_BYTES:
            guard.large_body = True

    def release(self) -> None:
        """Its body is whole, or nobody's any more."""
        if self.guard is not None:
            self.guard.unfinished_bytes -= self._held_bytes
        self._held_bytes = self._taken_bytes = 0

    def _drop_body(self) -> None:
        """It was answered unread."""
        self.body = bytearray()
        self.release()

    async def send(self, message: Any) -> None:
        """ASGI's send."""
        if (start := self._start) is None and not self.response_started and message["type"] == "http.response.start":
            self._start = message
            return
        self._start = None
        if start is not None and self._whole(start, message):
            return
        if self.disconnected:
            self._count_unsent(start)
            return
        try:
            await self._send_parts(start, message)
        except asyncio.CancelledError:
            self._count_unsent(start)
            self.disconnected = True
            self.transport.close()
            raise

    async def _send_parts(self, start: Any, message: Any) -> None:
        if start is not None:
            await super().send(start)
        linger = self.more_body and not self.keep_alive and not message.get("more_body")
        self.keep_alive = self.keep_alive or linger  # else uvicorn would close
        await super().send(message)
        if self.response_complete and self._held_bytes:
            self._drop_body()
        if linger:
            self.on_linger()

    def _count_unsent(self, start: Any) -> None:
        """Refusals are not: most of them say that the client has gone."""
        if start is not None and start["status"] < 400 and self.guard is not None:
            self.guard.refused(UNSENT)

    async def send_500_response(self) -> None:
        """What the application began to say is not said; nor is this to a client that has its answer, or has gone."""
        self._start = None
        if not self.disconnected:
            await super().send_500_response()

    def _whole(self, start: Any, message: Any) -> bool:
        """Sends a plain answer; False, and nothing done, where it is not plain."""
        body: bytes = message.get("body", b"")
        if self.disconnected or self.flow.write_paused or self.access_log or message.get("more_body"):
            return False
        head = self._head(start, len(body))
        if head is None or message["type"] != "http.response.body":
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        if self._held_bytes:
            self._drop_body()
        self.transport.write(head + body)
        if not self.keep_alive and not self.more_body:
            self.transport.close()
        self.on_response()
        if not self.keep_alive and self.more_body:
            self.on_linger()
        return True

    def _head(self, start: Any, body_bytes: int) -> bytes | None:
        status, given = start["status"], start["headers"]
        headers = dict(given)
        names = b"".join(headers)
        if names.translate(None, _NAME_BYTES) or b"".join(headers.values()).translate(None, _VALUE_BYTES):
            return None  # upper case, or what no header may have: uvicorn's own code says so
        if headers.get(b"content-length") != b"%d" % body_bytes or b"transfer-encoding" in headers:
            return None
        if (
            len(headers) < len(given)
            or status in _BODILESS
            or self.scope["method"] == "HEAD"
            or b"connection" in headers
            or CLOSE in self.default_headers
        ):
            return None
        lines = [b"%b: %b\r\n" % pair for pair in self.default_headers]
        lines += [b"%b: %b\r\n" % pair for pair in given]
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return STATUS_LINE[status] + b"".join(lines)
