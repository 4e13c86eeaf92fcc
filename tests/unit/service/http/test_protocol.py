"""What does a connection do at each of its limits?"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.app import Plumbline
from service.errors import RequestError
from service.http.edge import read_body
from service.http.errors import error_answer
from service.http.protocol import PART_BYTES, Connection
from tests.unit.service.http.connections import BOUNDS, PATIENCE, App, Sink, Worker, answers, settled

# What we override or call, as it is today: when uvicorn changes one of these, read its code again.
CYCLE = [
    *("self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
    *("message_event", "expect_100_continue", "keep_alive", "on_response"),
]
USED = [
    *("_start_asgi_task", "on_headers_complete", "on_message_begin", "on_message_complete", "on_response_complete"),
    *("on_body", "on_header", "on_url", "connection_made", "connection_lost", "data_received", "shutdown"),
]
HEAD = b"POST /x HTTP/1.1\r\nhost: h\r\n"
GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"
READ_BYTES = 256 << 10


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its body as the service does and answers with its length."""
    try:
        body = await read_body(scope["headers"], receive, 10**6)
        status, headers, text = 200, [], b"%d" % len(body)
    except RequestError as error:
        status, text, headers, kind = error_answer(error, "id")
        headers = [(b"content-type", kind), *headers]
    length = (b"content-length", b"%d" % len(text))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": text})


async def never(scope: Any, receive: Any, send: Any) -> None:
    """An application that neither reads nor answers."""
    await asyncio.Event().wait()


def drive(test: Callable[[Worker], Awaitable[None]], app: App = reading) -> Worker:
    async def run() -> Worker:
        worker = Worker(app)
        await test(worker)
        return worker

    return asyncio.run(run())


def read(sink: Sink) -> list[tuple[int, str]]:
    """Status and error code of each answer."""
    found = []
    for status, headers, body in answers(sink.written):
        code = msgspec.json.decode(body)["code"] if headers.get(b"content-type") else ""
        found.append((status, code))
    return found


def test_a_worker_of_bentoml_takes_our_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = uvicorn.config.HTTP_PROTOCOLS
    monkeypatch.setitem(
        chosen, "auto", chosen["auto"]
    )  # as it was again, for whoever serves in this process afterwards
    config = uvicorn.Config(Plumbline.to_asgi(), log_config=None)
    config.load()
    assert issubclass(config.http_protocol_class, Connection)


def test_uvicorn_is_inside_as_it_was_when_this_was_written() -> None:
    assert list(inspect.signature(RequestResponseCycle.__init__).parameters) == CYCLE
    assert all(callable(getattr(HttpToolsProtocol, name)) for name in USED)


def test_an_application_is_told_what_uvicorn_would_tell_it() -> None:
    scopes: list[dict[str, Any]] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        scopes.append({**scope, "headers": list(scope["headers"])})
        await reading(scope, receive, send)

    async def test(worker: Worker) -> None:
        for kind in (Connection, HttpToolsProtocol):
            connection = kind(worker._config, worker.state, {"a": 1})
            connection.connection_made(Sink())
            connection.data_received(b"POST /a%20b/c?d=e HTTP/1.0\r\nX-Y: Z\r\ncontent-length: 2\r\n\r\nok")
            await settled()

    drive(test, remember)
    assert scopes[0] == scopes[1]


BAD_HEADS = {
    "not HTTP": (b"hello\r\n\r\n", 400, "malformed_request"),
    "two lengths of a body": (
        HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        400,
        "malformed_request",
    ),
    "a folded header": (HEAD + b"a: b\r\n c\r\n\r\n", 400, "malformed_request"),
    "a header without a name": (HEAD + b": b\r\n\r\n", 400, "malformed_request"),
    "a length that is none": (HEAD + b"content-length: -1\r\n\r\n", 400, "malformed_request"),
    "a long URL": (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\n\r\n", 414, "url_too_long"),
    "many headers": (HEAD + b"a: b\r\n" * 20 + b"\r\n", 431, "head_too_large"),
    "a long header": (HEAD + b"a: " + b"b" * 4096 + b"\r\n\r\n", 431, "head_too_large"),
    "many headers without an end": (HEAD + b"a: b\r\n" * 30, 431, "head_too_large"),
    "a header without an end": (HEAD + b"a: " + b"b" * 400_000, 431, "head_too_large"),
    "a URL without an end": (b"GET /" + b"a" * 1100, 414, "url_too_long"),
}


@pytest.mark.parametrize("piece", [1 << 20, 1000, 7])
@pytest.mark.parametrize(("data", "status", "code"), BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_head_is_refused_in_our_words(data: bytes, status: int, code: str, piece: int) -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        for begin in range(0, min(len(data), 300 * piece) if piece < 100 else len(data), piece):
            connection.data_received(data[begin : begin + piece])
            await settled()
        if sink.written:  # 7 bytes at a time the longest ones never come to their limit here
            assert read(sink) == [(status, code)]
            assert sink.ended
            assert worker.counted == {code: 1}
        else:
            assert len(data) > 300 * piece

    drive(test)


@pytest.mark.parametrize("piece", [1 << 20, 3])
def test_a_head_within_its_limits_passes_however_it_is_cut(piece: int) -> None:
    data = HEAD + b"a: " + b"b" * 3900 + b"\r\ncontent-length: 3\r\n\r\nabc" + GET

    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        for begin in range(0, len(data), piece):
            connection.data_received(data[begin : begin + piece])
            await settled()
        assert read(sink) == [(200, ""), (200, "")]
        assert not sink.closed

    drive(test)


def test_a_bad_chunk_is_the_error_of_its_request() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET + HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
        await settled()
        assert read(sink) == [(200, ""), (400, "malformed_request")]
        assert sink.ended

    drive(test)


def test_what_is_wrong_after_a_request_does_not_answer_it() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET + b"nonsense\r\n\r\n")
        await settled()
        assert read(sink) == [(200, "")]
        assert sink.closed

    drive(test)


def test_a_pipeline_has_an_end() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET * 1000)
        await settled()
        assert read(sink) == [(200, "")] * (1 + BOUNDS.max_pipelined)
        assert sink.closed
        assert worker.counted == {"pipeline_full": 1}

    drive(test)


def test_a_connection_too_many_gets_one_answer_and_twice_too_many_is_cut() -> None:
    async def test(worker: Worker) -> None:
        opened = [worker.connect() for _ in range(2 * BOUNDS.max_connections + 1)]
        for connection, _ in opened[:-1]:
            connection.data_received(GET)
        await settled()
        sinks = [sink for _, sink in opened]
        assert [read(sink) for sink in sinks] == [[(200, "")]] * 6 + [[]]
        assert [sink.closed for sink in sinks] == [False] * 3 + [True] * 4
        assert worker.counted == {"too_many_connections": 1}

    drive(test)


def test_a_connection_too_many_has_no_longer_than_any_other_to_say_what_it_wants() -> None:
    async def test(worker: Worker) -> None:
        sinks = [worker.connect()[1] for _ in range(BOUNDS.max_connections + 1)]
        worker.pass_s(PATIENCE.header_timeout_s + 1)
        assert [sink.closed for sink in sinks] == [True] * 4

    drive(test)


def test_a_body_that_nobody_reads_does_not_pile_up() -> None:
    async def test(worker: Worker) -> None:
        worker.guard.bounds = replace(BOUNDS, max_unfinished_bytes=1 << 30)
        connection, sink = worker.connect()
        connection.data_received(HEAD + b"content-length: 100000000\r\n\r\n")
        sent = 0
        while not sink.paused:
            connection.data_received(b"x" * READ_BYTES)
            sent += READ_BYTES
            assert sent <= PART_BYTES + READ_BYTES
            assert worker.guard.unfinished_bytes >= sent - HIGH_WATER_LIMIT
        connection.connection_lost(None)
        assert worker.guard.unfinished_bytes == 0

    drive(test, never)


def test_what_has_come_of_bodies_counts_before_anybody_reads_it() -> None:
    async def test(worker: Worker) -> None:
        first, _ = worker.connect()
        second, refused = worker.connect()
        for connection in (first, second):
            connection.data_received(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 256_000)
        assert worker.guard.unfinished_bytes == 256_000
        assert worker.counted == {"too_many_unfinished_bytes": 1}
        await settled()
        assert read(refused) == [(503, "too_many_unfinished_bytes")]

    drive(test)


def test_an_answer_to_a_body_that_nobody_read_gives_back_what_it_held() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 256_000)
        assert worker.guard.unfinished_bytes == 256_000
        await settled()
        assert read(sink) == [(200, "")]
        assert worker.guard.unfinished_bytes == 0
        connection.data_received(b"x" * 44_000 + GET)
        await settled()
        assert read(sink) == [(200, "")] * 2
        assert worker.guard.unfinished_bytes == 0

    drive(test, hasty)


@pytest.mark.parametrize(("size", "parts"), [(1_000, 1), (100_000, 1), (PART_BYTES, 1), (3 * PART_BYTES, 3)])
def test_a_body_comes_whole_or_in_large_parts(size: int, parts: int) -> None:
    taken: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            taken.append(len(message["body"]))
            more = message["more_body"]
        await hasty(scope, receive, send)

    async def test(worker: Worker) -> None:
        worker.guard.bounds = replace(BOUNDS, max_unfinished_bytes=1 << 30)
        connection, sink = worker.connect()
        connection.data_received(HEAD + b"content-length: %d\r\n\r\n" % size)
        for begin in range(0, size, READ_BYTES):
            await settled()
            connection.data_received(b"x" * min(READ_BYTES, size - begin))
        await settled()
        assert read(sink) == [(200, "")]
        assert sum(taken) == size
        assert len(taken) <= parts
        assert worker.guard.unfinished_bytes == 0

    drive(test, application)


def test_unfinished_bodies_together_have_a_limit_and_give_back_what_they_held() -> None:
    async def test(worker: Worker) -> None:
        first, sink = worker.connect()
        second, refused = worker.connect()
        for connection in (first, second):
            connection.data_received(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 256_000)
            await settled()
        assert read(refused) == [(503, "too_many_unfinished_bytes")]
        assert worker.guard.unfinished_bytes == 256_000
        first.data_received(b"x" * 44_000)
        await settled()
        assert read(sink) == [(200, "")]
        assert worker.guard.unfinished_bytes == 0
        first.data_received(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 256_000)
        await settled()
        assert worker.guard.unfinished_bytes == 256_000
        first.connection_lost(None)
        assert worker.guard.unfinished_bytes == 0

    drive(test)


SLOW = {
    "nothing": ([], 5, []),
    "half a head": ([b"GET /x HT"], 5, [(408, "request_timeout")]),
    "a head that trickles": ([b"GET /x HTTP/1.1\r\n", *[b"a: b\r\n"] * 12], 5, [(408, "request_timeout")]),
    "a body that does not come": ([HEAD + b"content-length: 5\r\n\r\na"], 8, [(408, "request_timeout")]),
    "a body that trickles": (
        [HEAD + b"content-length: 500\r\n\r\na", *[b"abc"] * 20],
        8,
        [(408, "request_timeout")],
    ),
    "no second request": ([GET], 5, [(200, "")]),
    "half a second head": ([GET, b"GET /"], 5, [(200, ""), (408, "request_timeout")]),
}


@pytest.mark.parametrize(("parts", "limit_s", "answered"), SLOW.values(), ids=SLOW)
def test_a_slow_connection_is_closed_in_time(
    parts: list[bytes], limit_s: float, answered: list[tuple[int, str]]
) -> None:
    """A part comes every half second; the guard looks every quarter."""

    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        waiting = list(parts)
        for _ in range(round(limit_s / 0.5) - 1):
            if waiting:
                connection.data_received(waiting.pop(0))
            await settled()
            worker.pass_s(0.5)
        assert not (sink.closed or sink.ended)
        worker.pass_s(2)
        await settled()
        assert sink.closed or sink.ended
        assert read(sink) == answered
        worker.pass_s(3)
        assert sink.closed

    drive(test)


def test_a_request_that_is_worked_on_is_not_given_up() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET)
        await settled()
        worker.pass_s(600)
        await settled()
        assert not sink.closed

    drive(test, never)


def test_an_answer_that_nobody_reads_ends_the_connection() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET)
        sink.unsent = 10**6
        await settled()
        worker.pass_s(7)
        assert not sink.aborted
        for _ in range(12):
            worker.pass_s(0.25)
            await settled()
        assert sink.aborted
        assert worker.counted == {"write_timeout": 1}

    drive(test, never)


def test_what_comes_after_a_refusal_is_not_read() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(b"nonsense\r\n\r\n")
        connection.data_received(GET)
        await settled()
        assert read(sink) == [(400, "malformed_request")]

    drive(test)


def test_an_upgrade_is_passed_over() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(HEAD + b"connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n")
        await settled()
        assert read(sink) == [(200, "")]

    drive(test)


CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
TRAILER = b"expect: 100-continue\r\nX-Y: z\r\n"
BAD_TRAILERS = {
    "many": b"a: b\r\n" * 1000,
    "a long one": b"a: " + b"b" * 4096 + b"\r\n\r\n",
    "one without an end": b"a: " + b"b" * 600_000,
}


@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_trailers_are_no_headers(piece: int) -> None:
    """Two requests on one connection, so that what the first one's trailers left would be seen in the second."""
    scopes: list[dict[str, Any]] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await reading(scope, receive, send)

    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        data = (CHUNKED + b"1\r\na\r\n0\r\n" + TRAILER * 80 + b"\r\n") * 2
        for begin in range(0, len(data), piece):
            connection.data_received(data[begin : begin + piece])
            await settled()
        await settled()
        assert read(sink) == [(200, ""), (200, "")]
        assert not sink.closed

    drive(test, remember)
    assert [scope["headers"] for scope in scopes] == [[(b"host", b"h"), (b"transfer-encoding", b"chunked")]] * 2


@pytest.mark.parametrize("piece", [READ_BYTES, 100_000, 1000])
@pytest.mark.parametrize("trailers", BAD_TRAILERS.values(), ids=BAD_TRAILERS)
def test_trailers_have_the_limits_of_a_head(trailers: bytes, piece: int) -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        data = CHUNKED + b"1\r\na\r\n0\r\n" + trailers
        for begin in range(0, len(data), piece):
            connection.data_received(data[begin : begin + piece])
        await settled()
        assert read(sink) == [(431, "head_too_large")]
        assert sink.ended
        assert worker.counted == {"head_too_large": 1}

    drive(test)


def test_a_body_in_small_reads_is_not_taken_for_trailers() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(CHUNKED)
        for _ in range(40):
            connection.data_received(b"2710" + b";x" * 5000 + b"\r\n")
            connection.data_received(b"x" * 10_000)
            connection.data_received(b"\r\n")
            await settled()
        connection.data_received(b"0\r\n\r\n")
        await settled()
        assert [body for _, _, body in answers(sink.written)] == [b"400000"]

    drive(test)


UPGRADE = b"POST /asked HTTP/1.1\r\nhost: h\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
UPGRADES = {  # head, body as it is sent, how much of it is the body
    "no length": (UPGRADE + b"\r\n", b"", 0),
    "no body": (UPGRADE + b"content-length: 0\r\n\r\n", b"", 0),
    "a body": (UPGRADE + b"Content-Length: %d\r\n\r\n" % len(GET), GET, len(GET)),
    "chunks": (
        UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(GET), GET, TRAILER),
        len(GET),
    ),
}


@pytest.mark.parametrize("cut", ["one read", "two reads", "bytes"])
@pytest.mark.parametrize("before", [b"", GET], ids=["first", "pipelined"])
@pytest.mark.parametrize(("head", "body", "size"), UPGRADES.values(), ids=UPGRADES)
def test_what_follows_an_upgrade_that_is_passed_over_is_its_body_or_nothing(
    head: bytes, body: bytes, size: int, before: bytes, cut: str
) -> None:
    """The body is a request itself, and one more comes after it: neither may be answered."""
    asked: list[str] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await reading(scope, receive, send)

    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        data = before + head + body + GET
        parts = {"one read": [data], "two reads": [before + head, body + GET], "bytes": [bytes([b]) for b in data]}
        for part in parts[cut]:
            connection.data_received(part)
            if cut != "one read":
                await settled()
        await settled()
        sizes = [b"0", b"%d" % size] if before else [b"%d" % size]
        assert [(status, text) for status, _, text in answers(sink.written)] == [(200, size) for size in sizes]
        assert asked == (["/x", "/asked"] if before else ["/asked"])
        assert sink.closed
        assert not worker.counted

    drive(test, remember)


BAD_UPGRADES = {
    "a bad chunk": (b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_request"),
    "a body without an end": (b"transfer-encoding: gzip\r\n\r\nabc", 400, "malformed_request"),
    "two lengths of a body": (
        b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        400,
        "malformed_request",
    ),
    "many trailers": (b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 1000, 431, "head_too_large"),
}


@pytest.mark.parametrize(("rest", "status", "code"), BAD_UPGRADES.values(), ids=BAD_UPGRADES)
def test_a_bad_body_after_an_upgrade_is_the_error_of_its_request(rest: bytes, status: int, code: str) -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(UPGRADE + rest)
        connection.data_received(GET)
        await settled()
        assert read(sink) == [(status, code)]
        assert sink.ended
        assert worker.counted == {code: 1}

    drive(test)


async def hasty(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("wrong", [b"zz\r\n", b"0\r\n" + b"a: b\r\n" * 1000], ids=["a bad chunk", "many trailers"])
def test_a_request_that_is_answered_gets_no_second_answer_for_what_is_wrong_with_its_body(wrong: bytes) -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(CHUNKED)
        await settled()
        connection.data_received(wrong)
        await settled()
        assert read(sink) == [(200, "")]
        assert sink.ended

    drive(test, hasty)


@pytest.mark.parametrize(("status", "counted"), [(200, {"answer_unsent": 1}), (499, {})])
def test_an_answer_whose_client_has_gone_is_counted_unless_it_is_a_refusal(
    status: int, counted: dict[str, int]
) -> None:
    ready = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await ready.wait()
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.data_received(GET)
        await settled()
        connection.connection_lost(None)
        ready.set()
        await settled()
        assert (sink.written, worker.counted) == (b"", counted)

    drive(test, late)


def test_an_answer_that_is_not_taken_until_the_end_of_the_grace_is_counted_and_no_500_is_said_in_its_place() -> None:
    async def test(worker: Worker) -> None:
        connection, sink = worker.connect()
        connection.pause_writing()
        connection.data_received(GET)
        await settled()
        (task,) = worker.state.tasks
        task.cancel()
        await settled()
        assert (sink.written, sink.closed, worker.counted) == (b"", True, {"answer_unsent": 1})

    drive(test)
