"""One plain request and its answer, on a connection that has nothing else to do: what uvicorn's cycle is for all others.

Laws
- To the connection it is a cycle: whole, not answered, then answered; whoever asks for the body gets it once.
- Its answer is what `cycle.py` would have sent, byte for byte.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.connection import CLOSE
from service.http.answer import Answer


class _Nobody:
    """Who is told of a message where nobody waits for one."""

    def set(self) -> None:
        """Nothing."""


class Exchange:
    """Used from one event loop; `scope` is what the connection's parser last began to read."""

    __slots__ = ("body", "disconnected", "keep_alive", "response_complete", "scope")

    message_event = _Nobody()
    more_body = False

    def __init__(self, scope: object, body: bytes) -> None:
        self.scope, self.body = scope, body
        self.keep_alive, self.disconnected, self.response_complete = True, False, False

    async def receive(self) -> Any:
        """ASGI's receive."""
        if self.disconnected:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    def spoken(self, answer: Answer, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """The answer's bytes; `keep_alive` is False afterwards where they say that the connection closes."""
        lines = [b"%b: %b\r\n" % pair for pair in default_headers]
        lines.append(b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)))
        lines += [b"%b: %b\r\n" % pair for pair in answer.headers]
        if CLOSE in default_headers or CLOSE in answer.headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"%b%b\r\n%b" % (STATUS_LINE[answer.status], b"".join(lines), answer.body)
