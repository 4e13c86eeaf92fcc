"""Compressed answers: only where the client asks, only when they are large, and what is unpacked is the answer."""

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.answer import Answer
from service.http.encoding import accepted, packed
from tests.unit.service.serving import ROW, Service, serving

pytestmark = pytest.mark.slow

UNPACK = {b"gzip": gzip.decompress, b"deflate": zlib.decompress}


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"GZip", b"gzip"),
        (b"gzip, deflate, br, zstd", b"gzip"),
        (b"deflate, gzip", b"gzip"),
        (b" br ; q=1 , deflate ; q=0.5", b"deflate"),
        (b"gzip;q=0.1, deflate;q=0.2", b"deflate"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip;q=0", None),
        (b"gzip;q=-1", None),
        (b"gzip;q=x", None),
        (b"gzip;q=nan", None),
        (b"identity", None),
        (b"*", None),
        (b"br", None),
        (b"", None),
        (b"," * 100_000 + b"gzip", None),
    ],
)
def test_a_coding_is_used_only_where_the_client_names_it(header: bytes, coding: bytes | None) -> None:
    assert accepted([(b"host", b"gzip"), (b"accept-encoding", header)]) == coding


def test_a_client_that_says_nothing_gets_the_answer_as_it_is() -> None:
    assert accepted([(b"content-encoding", b"gzip")]) is None


@given(st.binary(max_size=2000), st.sampled_from([b"gzip", b"deflate"]))
def test_what_is_unpacked_is_the_answer(body: bytes, coding: bytes) -> None:
    answer = packed(Answer(200, body, [(b"x", b"y")]), coding)
    assert UNPACK[coding](answer.body) == body
    assert dict(answer.headers) == {b"x": b"y", b"content-encoding": coding, b"vary": b"accept-encoding"}


def run(home: Path, test: Any, **given: Any) -> None:
    async def inside() -> None:
        async with serving(home, **given) as service:
            await test(service)

    asyncio.run(inside())


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_a_large_answer_of_either_plane_is_compressed_on_request(tmp_path: Path, coding: bytes) -> None:
    async def test(service: Service) -> None:
        asking = [(b"accept-encoding", coding)]
        for method, path, body in (
            ("POST", "/v1/models/mixed:predict", {"instances": [ROW] * 100}),
            ("GET", "/v2/models/mixed", b""),
        ):
            plain = await service.ask(method, path, body)
            small = await service.ask(method, path, body, asking)
            assert (small.status, small.headers["content-encoding"]) == (200, coding.decode())
            assert UNPACK[coding](small.body) == plain.body
            assert len(small.body) < len(plain.body)
            assert "content-encoding" not in plain.headers

    run(tmp_path, test, compress_above_bytes=100)


def test_an_answer_at_the_threshold_is_left_alone(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        size = len((await service.predict(ROW)).body)
        for threshold, coding in ((size, None), (size - 1, "gzip")):
            async with serving(tmp_path / "other", compress_above_bytes=threshold) as other:
                reply = await other.predict(ROW, headers=[(b"accept-encoding", b"gzip")])
                assert reply.headers.get("content-encoding") == coding

    (tmp_path / "other").mkdir()
    run(tmp_path, test)


def test_an_error_is_compressed_like_any_answer(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("GET", "/v2/models/nothing", headers=[(b"accept-encoding", b"gzip")])
        assert reply.status == 404
        assert b'"code":"model_unknown"' in gzip.decompress(reply.body)

    run(tmp_path, test, compress_above_bytes=0)
