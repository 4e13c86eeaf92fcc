"""What may one connection, and all connections of a worker together, hold?"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.http.connection_errors import HeadTooLarge, UrlTooLong

READ_BYTES_MAX = 256 << 10  # one read of uvloop: so many bytes before a head may have come with it


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings of the same names."""

    max_header_bytes: int
    max_headers: int
    max_url_bytes: int
    max_connections: int
    max_pipelined: int
    max_unfinished_bytes: int


def head_within(bounds: Bounds, url: bytes, headers: Sequence[tuple[bytes, bytes]], fed_bytes: int) -> None:
    """Raises UrlTooLong, HeadTooLarge.

    `fed_bytes`: what came since the head may have begun, its last header among it; 0 for a head that is whole.
    """
    if len(url) > bounds.max_url_bytes:
        raise UrlTooLong(bounds.max_url_bytes)
    if len(headers) > bounds.max_headers:
        raise HeadTooLarge(f"{bounds.max_headers} headers")
    if len(url) + sum(len(name) + len(value) + 4 for name, value in headers) > bounds.max_header_bytes:
        raise HeadTooLarge(f"{bounds.max_header_bytes} bytes")
    if fed_bytes > bounds.max_header_bytes + READ_BYTES_MAX:
        raise HeadTooLarge(f"{bounds.max_header_bytes} bytes")
