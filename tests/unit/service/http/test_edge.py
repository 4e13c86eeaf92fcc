"""The request edge without a server: limits of bodies, ids, methods, and one answer whatever fails."""

import asyncio
import gzip
import itertools
import re
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.errors import BodyTooLarge, ClientGone, MalformedBody, RequestError, UnsupportedEncoding
from service.featurelog.record import Outcome
from service.http.answer import Answer
from service.http.edge import REQUEST_ID, Edge, read_body
from service.http.languages import Languages
from service.http.paths import Target, Verb
from service.http.v1 import V1
from service.predict import Ask
from tests.unit.service.serving import ROW, Message, Service, run, until

pytestmark = pytest.mark.slow

LIMIT = 1000
SECRET = "Zaphod"


def chunk(data: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def body_of(headers: list[tuple[bytes, bytes]], *messages: Message, limit: int = LIMIT) -> bytes:
    """What `read_body` makes of these messages; it must not ask for more than there are."""
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return asyncio.run(read_body(headers, receive, limit))


def encoded(name: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-encoding", name)]


@given(st.binary(max_size=LIMIT), st.lists(st.integers(0, LIMIT), max_size=5))
def test_a_body_in_any_number_of_parts_is_the_body(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(places)]
    messages = [chunk(part, number < len(parts) - 1) for number, part in enumerate(parts)]
    assert body_of([], *messages) == data


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_a_body_within_the_limit_is_read_plain_or_packed(size: int) -> None:
    data = b"x" * size
    assert body_of([(b"content-length", str(size).encode())], chunk(data, False)) == data
    assert body_of(encoded(b"gzip"), chunk(gzip.compress(data), False)) == data
    assert body_of(encoded(b" GZIP "), chunk(gzip.compress(data), False)) == data
    assert body_of(encoded(b"deflate"), chunk(zlib.compress(data), False)) == data
    assert body_of(encoded(b"identity"), chunk(data, False)) == data


BIG = b"x" * (LIMIT + 1)
REFUSALS: list[tuple[list[tuple[bytes, bytes]], list[Message], type[RequestError], str]] = [
    ([(b"content-length", b"1001")], [], BodyTooLarge, "larger than 1000 bytes"),
    ([(b"content-length", b"9" * 5000)], [], BodyTooLarge, "larger than 1000 bytes"),
    ([(b"content-length", b"ten")], [], MalformedBody, "content-length b'ten'"),
    ([(b"content-length", b"")], [], MalformedBody, "content-length b''"),
    ([(b"content-length", b"-5")], [], MalformedBody, "content-length b'-5'"),
    ([(b"content-length", b"1_0")], [], MalformedBody, "content-length"),
    ([(b"content-length", b"\xb2")], [], MalformedBody, "content-length"),
    ([], [chunk(BIG, False)], BodyTooLarge, "larger"),
    ([], [chunk(b"x" * 600, True), chunk(b"x" * 600, True)], BodyTooLarge, "larger"),
    ([], [chunk(BIG, True), chunk(b"", True)], BodyTooLarge, "larger"),
    (encoded(b"gzip"), [chunk(gzip.compress(BIG), False)], BodyTooLarge, "larger"),
    (encoded(b"gzip"), [chunk(gzip.compress(bytes(100_000_000))[:LIMIT], False)], BodyTooLarge, "larger"),
    (encoded(b"deflate"), [chunk(zlib.compress(BIG), False)], BodyTooLarge, "larger"),
    (encoded(b"gzip"), [chunk(gzip.compress(b"x" * 500)[:-1], False)], UnsupportedEncoding, "truncated gzip"),
    (encoded(b"gzip"), [chunk(b"", False)], UnsupportedEncoding, "truncated gzip"),
    (encoded(b"gzip"), [chunk(b"plain", False)], UnsupportedEncoding, "damaged gzip"),
    (encoded(b"gzip"), [chunk(gzip.compress(b"a") + gzip.compress(b"b"), False)], UnsupportedEncoding, "after the end"),
    (encoded(b"br"), [chunk(b"x", False)], UnsupportedEncoding, "'br', expected gzip, deflate or none"),
    (encoded(b"gzip, gzip"), [chunk(b"x", False)], UnsupportedEncoding, "gzip, deflate or none"),
    ([], [GONE], ClientGone, "closed"),
    ([], [chunk(b"x", True), GONE], ClientGone, "closed"),
]


@pytest.mark.parametrize(("headers", "messages", "kind", "words"), REFUSALS, ids=lambda value: repr(value)[:40])
def test_a_body_beyond_its_limits_is_refused_before_it_is_held(
    headers: list[tuple[bytes, bytes]], messages: list[Message], kind: type[RequestError], words: str
) -> None:
    with pytest.raises(kind) as refused:
        body_of(headers, *messages)
    assert words in str(refused.value)


def test_a_body_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        endless = (chunk(b"x" * 300, True) for _ in range(100))
        reply = await service.ask("POST", "/v1/models/mixed:predict", received=endless)
        assert (reply.status, reply.json["code"], reply.headers["connection"]) == (413, "body_too_large", "close")
        assert len(list(endless)) == 96

    run(tmp_path, test, max_body_bytes=LIMIT)


@pytest.mark.parametrize("length", [b"ten", b"", b"9" * 5000])
def test_a_length_that_is_none_gets_the_one_shape_and_a_record(tmp_path: Path, length: bytes) -> None:
    async def test(service: Service) -> None:
        headers = [(b"content-length", length), (b"x-request-id", b"mine")]
        reply = await service.ask("POST", "/v1/models/mixed:predict", headers=headers)
        assert reply.status in (400, 413)
        assert reply.json["request_id"] == reply.headers["x-request-id"] == "mine"
        (record,) = service.requests()
        assert (record.outcome, record.status, record.request_id) == (Outcome.REJECTED, reply.status, "mine")

    run(tmp_path, test)


def test_a_client_that_goes_away_is_recorded(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("POST", "/v1/models/mixed:predict", received=[chunk(b"{", True), GONE])
        assert reply.status == 499
        assert [record.code for record in service.requests()] == ["client_gone"]

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/models/mixed:predict", 405, "method_unsupported"),
        ("DELETE", "/v2/models/mixed/infer", 405, "method_unsupported"),
        ("POST", "/livez", 405, "method_unsupported"),
        ("POST", "/v2/models/mixed", 405, "method_unsupported"),
        ("POST", "/v2/models/mixed/nothing", 404, "route_unknown"),
        ("GET", "/v1/nothing", 404, "route_unknown"),
        ("POST", "/v1/models/nothing:predict", 404, "model_unknown"),
        ("POST", "/v1/models/mixed/versions/9:predict", 404, "version_unknown"),
        ("POST", "/v1/models/nothing:feedback", 404, "model_unknown"),
        ("GET", "/v2/models/nothing", 404, "model_unknown"),
        ("GET", "/v2/models/mixed/versions/9", 404, "version_unknown"),
        ("GET", "/admin/routes", 403, "admin_disabled"),
        ("POST", "/v1/models/mixed:predict", 400, "malformed_body"),
    ],
)
def test_every_error_of_every_plane_has_the_one_shape_and_the_request_id(
    tmp_path: Path, method: str, path: str, status: int, code: str
) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask(method, path, headers=[(b"x-request-id", b"mine")])
        assert (reply.status, reply.json["code"]) == (status, code)
        assert list(reply.json) == ["error", "code", "request_id", "details"]
        assert reply.json["request_id"] == reply.headers["x-request-id"] == "mine"
        if code == "route_unknown":
            assert repr(path) in reply.json["error"]

    run(tmp_path, test)


def test_head_is_answered_where_get_is(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        assert (await service.ask("HEAD", "/livez")).status == 200
        assert (await service.ask("HEAD", "/v1/models/mixed:predict")).status == 405

    run(tmp_path, test)


@pytest.mark.parametrize("given", [b"a", b"A-1.b_c:d/e+f=g@h", b"x" * 128])
def test_a_valid_request_id_of_the_client_is_kept(tmp_path: Path, given: bytes) -> None:
    async def test(service: Service) -> None:
        reply = await service.predict(ROW, headers=[(b"x-request-id", given)])
        assert reply.headers["x-request-id"] == given.decode() == service.requests()[0].request_id

    run(tmp_path, test)


@pytest.mark.parametrize("given", [b"", b"a b", b"a\n", b"x" * 129, "ä".encode(), b"<script>"])
def test_any_other_gets_an_id_of_ours_that_no_other_request_has(tmp_path: Path, given: bytes) -> None:
    async def test(service: Service) -> None:
        own = {
            (await service.predict(ROW, headers=[(b"x-request-id", given)])).headers["x-request-id"] for _ in range(5)
        }
        assert len(own) == 5
        assert given.decode() not in own
        assert all(REQUEST_ID.fullmatch(one.encode()) and re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", one) for one in own)

    run(tmp_path, test)


class Broken:
    """A predictor and a handler that fail where nobody expects it."""

    async def predict(self, ask: Ask) -> Answer:
        raise RuntimeError(f"a defect of {SECRET}")

    async def answer(self, target: Target, headers: object, body: bytes, request_id: str) -> Answer:
        raise ZeroDivisionError


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/models/mixed:predict"), ("GET", "/readyz")])
def test_whatever_fails_there_is_one_answer_of_the_one_shape(tmp_path: Path, method: str, path: str) -> None:
    broken = Broken()

    async def test(service: Service) -> None:
        edge = Edge(
            predictor=broken,  # type: ignore[arg-type]
            languages=Languages({Verb.V1_PREDICT: V1()}, V1(), ()),
            handlers={Verb.READYZ: broken.answer},
            max_body_bytes=LIMIT,
            compress_above_bytes=LIMIT,
        )
        with capture_logs() as lines:
            reply = await service.ask(method, path, headers=[(b"x-request-id", b"mine")], edge=edge)
        (told,) = lines
        assert (told["event"], told["request_id"], "test_edge.py" in told["at"]) == ("edge.failed", "mine", True)
        assert SECRET not in repr(told)  # whose data it was is not known here
        assert (reply.status, reply.json["code"]) == (500, "internal")
        assert "ZeroDivision" not in reply.json["error"] and "defect" not in reply.json["error"]
        assert reply.headers["x-request-id"] == "mine"

    run(tmp_path, test)


def test_a_request_whose_body_is_still_on_the_way_when_the_service_ends_is_recorded_and_told_so(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        target = Target(Verb.V1_PREDICT, "POST", "mixed")
        scope = {"type": "http", "method": "POST", "path": "/v1/models/mixed:predict", "headers": []}
        task = asyncio.create_task(service.worker.edge.serve(target, scope, receive, send))
        await asyncio.sleep(0)
        service.worker.predictor.cut_off()
        task.cancel()
        await task
        assert [message.get("status") for message in sent] == [503, None]
        assert [record.code for record in service.requests()] == ["cut_off"]

    run(tmp_path, test)


def test_an_answer_on_record_that_is_cut_off_while_it_is_packed_goes_out_as_it_is(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        freed, busy = threading.Event(), ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(busy)
        busy.submit(freed.wait)  # so that packing does not begin
        try:
            asked = asyncio.create_task(service.predict(ROW, headers=[(b"accept-encoding", b"gzip")]))
            await until(service.requests, "it is on record")
            service.worker.predictor.cut_off()
            asked.cancel()
            reply = await asked
        finally:
            freed.set()
        assert (reply.status, "content-encoding" in reply.headers) == (200, False)
        assert len(reply.json["predictions"]) == 1
        assert [record.status for record in service.requests()] == [200]

    run(tmp_path, test, compress_above_bytes=0)
