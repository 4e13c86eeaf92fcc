"""Does an answer that leaves in one write read as uvicorn's own, byte for byte?"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.connection import CLOSE
from service.http.cycle import Cycle

QUIET = logging.getLogger("tests.cycle")
QUIET.propagate = False
QUIET.addHandler(logging.NullHandler())
Message = dict[str, Any]


class Sink(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def resume_reading(self) -> None: ...


def cycle_of(
    kind: type[RequestResponseCycle], sink: Sink, method: str, keep_alive: bool, extra: Sequence[tuple[bytes, bytes]]
) -> RequestResponseCycle:
    scope: Any = {"type": "http", "method": method, "path": "/", "headers": [], "http_version": "1.1"}
    default = [(b"date", b"Fri, 20 Nov 2026 12:00:00 GMT"), *extra]
    cycle = kind(
        scope, sink, FlowControl(sink), QUIET, QUIET, False, default, asyncio.Event(), False, keep_alive, lambda: None
    )
    cycle.more_body = False
    return cycle


def said(
    kind: type[RequestResponseCycle],
    messages: Sequence[Message],
    method: str,
    keep_alive: bool,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[Any, ...]:
    """What a client reads, and what became of the connection, when an application sends these."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def run() -> tuple[Any, ...]:
        sink = Sink()
        cycle = cycle_of(kind, sink, method, keep_alive, extra)
        await cycle.run_asgi(application)
        return b"".join(sink.writes), sink.closed, cycle.response_complete, len(sink.writes)

    return asyncio.run(run())


def answer(headers: list[tuple[bytes, bytes]], *parts: bytes, status: int = 200) -> list[Message]:
    start = {"type": "http.response.start", "status": status, "headers": headers}
    last = len(parts) - 1
    return [
        start,
        *({"type": "http.response.body", "body": part, "more_body": i < last} for i, part in enumerate(parts)),
    ]


LENGTH = (b"content-length", b"2")
ANSWERS = {
    "plain": answer([LENGTH, (b"x-a", b"1")], b"ok"),
    "empty": answer([(b"content-length", b"0")], b""),
    "not found": answer([LENGTH], b"no", status=404),
    "bodiless": answer([], b"", status=204),
    "no length": answer([], b"ok"),
    "in two parts": answer([LENGTH], b"o", b"k"),
    "chunked by the application": answer([(b"transfer-encoding", b"chunked")], b"ok"),
    "closing": answer([LENGTH, (b"connection", b"close")], b"ok"),
    "a header twice": answer([LENGTH, (b"x-a", b"1"), (b"x-a", b"2")], b"ok"),
    "upper case": answer([(b"Content-Length", b"2")], b"ok"),
    "latin-1": answer([LENGTH, (b"x-a", b"\xe9")], b"ok"),
}


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("messages", ANSWERS.values(), ids=ANSWERS)
def test_a_client_reads_what_uvicorn_would_have_sent(messages: list[Message], method: str, keep_alive: bool) -> None:
    ours, theirs = (said(kind, messages, method, keep_alive) for kind in (Cycle, RequestResponseCycle))
    assert ours[:3] == theirs[:3]


_broken = st.sampled_from([b"a\r\nx-b: c", b"\n", b"\x00", b"\x7f", b"a b", b"x:y", b"ok", b"", b"\t"])
_pairs = st.lists(st.tuples(st.binary(max_size=6) | _broken, st.binary(max_size=6) | _broken), max_size=4)


@pytest.mark.parametrize("messages", ANSWERS.values(), ids=ANSWERS)
def test_a_worker_that_drains_closes_every_connection_that_it_answers(messages: list[Message]) -> None:
    ours, theirs = (said(kind, messages, "GET", True, [CLOSE]) for kind in (Cycle, RequestResponseCycle))
    assert ours[:3] == theirs[:3]
    read, closed = ours[:2]
    assert closed and b"connection: close\r\n" in read


@given(_pairs)
def test_no_header_passes_that_uvicorn_would_refuse(pairs: list[tuple[bytes, bytes]]) -> None:
    messages = answer([LENGTH, *pairs], b"ok")
    ours, theirs = (said(kind, messages, "GET", True) for kind in (Cycle, RequestResponseCycle))
    assert ours[:3] == theirs[:3]


def test_a_plain_answer_is_one_write() -> None:
    assert said(Cycle, ANSWERS["plain"], "POST", True)[3] == 1


def test_an_application_that_stops_between_head_and_body_gets_a_500() -> None:
    head, _ = ANSWERS["plain"]
    read, closed, _, _ = said(Cycle, [head], "GET", True)
    assert read.startswith(b"HTTP/1.1 500 ")
    assert closed
