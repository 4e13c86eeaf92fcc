"""Does the quick look at a request see what the parser sees, and look away wherever it might not?"""

from typing import Any

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.deadline import asked_ms
from service.http.plain_head import Plain, plain

pytestmark = pytest.mark.slow

PATH = "/v1/models/payments:predict"
BODY = b'{"instances": []}'


def request(*headers: str, line: str = f"POST {PATH} HTTP/1.1", body: bytes = BODY) -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1") + body


def test_a_plain_request_is_seen() -> None:
    told = plain(request("Host: x", "Connection: keep-alive", "X-Request-Id: Abc-1", "Content-Length: 17"))
    assert told is not None and told[:3] == (PATH, b"Abc-1", 0) and told.body_bytes == 17
    assert told.headers[1:3] == ((b"connection", b"keep-alive"), (b"x-request-id", b"Abc-1"))
    told = plain(request("content-length: 17", "X-Request-Timeout-Ms: 250", line="POST /v2/models/m/infer HTTP/1.1"))
    assert told is not None and told[:3] == ("/v2/models/m/infer", b"", 250)
    told = plain(request("content-length: 17", "x-request-timeout-ms: soon"))
    assert told is not None and told[:3] == (PATH, b"", 0)


@pytest.mark.parametrize(
    "data",
    [
        request("content-length: 17")[:-1],
        request("content-length: 17") + b"P",
        request("content-length: 17") * 2,
        request("content-length: 17")[:40],
        request("content-length: 17", line=f"GET {PATH} HTTP/1.1"),
        request("content-length: 17", line=f"POST {PATH} HTTP/1.0"),
        request("content-length: 17", line=f"POST {PATH}"),
        request("content-length: 17", line="POST /v1/models/a%62:predict HTTP/1.1"),
        request("content-length: 17", line="POST /v1/models/ä:predict HTTP/1.1"),
        request("content-length: 17", "Content-Length: 17"),
        request("content-length : 17"),
        request("content-length: +17"),
        request("content-length: 17 "),
        request("content-length: 0000000000017"),
        request("content-length: 17", "Transfer-Encoding: chunked"),
        request("transfer-encoding: chunked"),
        request("content-length: 17", "Expect: 100-continue"),
        request("content-length: 17", "Connection: close"),
        request("content-length: 17", "Connection: keep-alive, close"),
        request("content-length: 17", "Connection: keep-alive", "connection: close"),
        request("content-length: 17", "Connection: Upgrade", "Upgrade: websocket"),
        request("content-length: 17", "x-request-id: a", " folded"),
        request("content-length: 17\nx: y"),
        request("content-length: 17", "x: " + "y" * 5000),
        request(),
        b"",
        b"\x16\x03\x01",
    ],
)
def test_whatever_a_parser_might_see_otherwise_is_left_to_it(data: bytes) -> None:
    assert plain(data) is None


class Seen:
    """What uvicorn's parser makes of bytes."""

    def __init__(self, data: bytes) -> None:
        self.url, self.body, self.headers, self.whole = b"", b"", list[tuple[bytes, bytes]](), 0
        self._parser: Any = httptools.HttpRequestParser(self)
        self._parser.feed_data(data)
        self.keep_alive = self._parser.should_keep_alive()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


WORDS = st.sampled_from(
    [
        b"content-length",
        b"Content-Length",
        b"x-request-id",
        b"X-Request-ID",
        b"x-request-timeout-ms",
        b"X-Request-Timeout-Ms",
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"transfer-encoding",
        b"X-Y",
        b"te",
    ]
)
VALUES = st.sampled_from(
    [
        *(b"17", b"17, 17", b"18", b"chunked", b"close", b"keep-alive", b"id-7", b"Id-8", b"", b"a\tb", b" 17"),
        *(b"\x0b", b"250", b"0", b"007", b"1234567890", b"+5", b"25 ", b"close, te", b"\t"),
    ]
)
BETWEEN = st.sampled_from([b": ", b": ", b": ", b":", b" : ", b":\t", b":   "])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n "])


@settings(max_examples=1_000)
@given(st.lists(st.tuples(WORDS, BETWEEN, VALUES, ENDS), max_size=5), st.booleans())
@example([(b"x-request-id", b": ", b"id-7", b"\r\n"), (b"X-Request-ID", b":", b"Id-8", b"\r\n")], True)
@example([(b"x-request-id", b":", b"id-7", b"\r\n")], True)
@example([(b"x-request-timeout-ms", b": ", b"250", b"\r\n"), (b"x-request-timeout-ms", b": ", b"0", b"\r\n")], True)
@example([(b"x-request-timeout-ms", b": ", b"0", b"\r\n"), (b"x-request-timeout-ms", b": ", b"250", b"\r\n")], True)
@example([(b"x-request-timeout-ms", b":\t", b"250", b"\r\n")], True)
@example([(b"proxy-connection", b": ", b"close", b"\r\n")], True)
def test_what_is_seen_quickly_is_what_the_parser_sees(lines: list[tuple[bytes, ...]], plus: bool) -> None:
    length = [(b"Content-Length", b": ", b"17", b"\r\n")] if plus else []
    head = b"".join(b"".join(line) for line in [*lines, *length])
    data = f"POST {PATH} HTTP/1.1\r\n".encode() + head + b"\r\n" + BODY
    told = plain(data)
    if told is None:
        return
    seen = Seen(data)  # raises where the parser refuses
    ids = [value for name, value in seen.headers if name == b"x-request-id"]
    assert (seen.whole, seen.body, seen.keep_alive) == (1, BODY, True)
    first = ids[0] if ids else b""
    at = data.index(b"\r\n\r\n") + 4
    assert told == Plain(seen.url.decode(), first, asked_ms(seen.headers), at, len(seen.body), tuple(seen.headers))
