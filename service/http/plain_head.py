"""Are these bytes exactly one plain predict request? Read without a parser, for those that are turned away in a crowd.

Laws
- None wherever a parser could see it otherwise: several requests, a part of one, any framing but one `content-length`, any
  connection option but keep-alive. Then the parser decides.
- What it says of a request is what the parser and the edge would have read.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from service.deadline import TIMEOUT_HEADER, read_ms

_LENGTH, _ID, _TIMEOUT = b"\r\ncontent-length:", b"\r\nx-request-id:", b"\r\n%b:" % TIMEOUT_HEADER
_LENGTH_DIGITS_MAX = 8  # what is larger does not come in one piece
_NOT_PLAIN = (
    b"transfer-encoding",
    b"\nexpect",
    b"upgrade",
    b"proxy-connection",
)  # the last is `connection` to the parser
_LINES = re.compile(rb"\r\n(?:[!#-'*+.^_`|~0-9a-z-]+:[\t -~]*\r\n)*")  # as RFC 9110 has them, in ASCII, none folded
_HEAD_BYTES_MAX = 4096  # so what is remembered stays below a megabyte
_HEADS_REMEMBERED = 256  # a client's heads are alike unless it names its requests: 0.2 µs in place of 2.5


class Plain(NamedTuple):
    """What need be known of a request to refuse it; `timeout_ms` 0: it names none, or none that is valid."""

    path: str
    request_id: bytes
    timeout_ms: int
    body_bytes: int


def plain(data: bytes) -> Plain | None:
    """The request that these bytes are; `request_id` is as it came, b"" where there is none."""
    end = data.find(b"\r\n\r\n", 0, _HEAD_BYTES_MAX)
    if end < 0 or not data.startswith(b"POST /v"):
        return None
    found = _head(data[: end + 2])
    return found if found is not None and found.body_bytes == len(data) - end - 4 else None


@lru_cache(_HEADS_REMEMBERED)
def _head(given: bytes) -> Plain | None:
    """From the request line to the end of the last header."""
    line_end = given.find(b"\r\n")
    path, _, version = given[5:line_end].partition(b" ")
    head = given[line_end:].lower()
    if not _LINES.fullmatch(head):
        return None
    length = _value(head, head, _LENGTH)
    if version != b"HTTP/1.1" or not path.isascii() or b"%" in path or any(word in head for word in _NOT_PLAIN):
        return None
    if not length.isdigit() or len(length) > _LENGTH_DIGITS_MAX or head.count(b"content-length") != 1:
        return None
    at = head.find(b"\nconnection:")
    if at >= 0 and (head[at + 12 : at + 25] != b" keep-alive\r\n" or head.count(b"\nconnection:") > 1):
        return None
    request_id, timeout = _value(head, given[line_end:], _ID), _value(head, head, _TIMEOUT)
    return Plain(path.decode(), request_id, read_ms(timeout), int(length))


def _value(head: bytes, of: bytes, name: bytes) -> bytes:
    """Of the first such header that `head` has in lower case, taken from `of` as the parser takes it: without what is blank
    in front."""
    at = head.find(name)
    return b"" if at < 0 else of[at + len(name) : of.find(b"\r\n", at + len(name))].lstrip(b" \t")
