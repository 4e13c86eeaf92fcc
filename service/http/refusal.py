"""What does a client read whose request was refused before it was one?"""

import os
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import RequestError
from service.http.errors import error_answer


def spoken(error: RequestError, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The whole answer to what did not become a request; its id is in no log."""
    request_id = os.urandom(8).hex()
    answer = error_answer(error, request_id, [*headers, (b"x-request-id", request_id.encode())])
    length = (b"content-length", b"%d" % len(answer.body))
    lines = [b"%b: %b\r\n" % pair for pair in ((b"content-type", answer.content_type), length, *answer.headers)]
    return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])
