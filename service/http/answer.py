"""An answer as a value: status, headers, body."""

from collections.abc import Sequence
from typing import NamedTuple

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"
ARROW = b"application/vnd.apache.arrow.stream"

Headers = Sequence[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What goes back to the client; content-length is added where it is sent."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: bytes = JSON
