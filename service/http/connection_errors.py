"""Errors of a connection: what is refused before it is a request, or while it comes.

Like those of the request path (`service/errors.py`), whose kinds they are: `args` are the fields, `str()` is the sentence,
`code` the machine word.
"""

from service.errors import Rejected, Shed


class RequestLate(Rejected):
    """The request did not arrive within the time, or at the rate, that it has."""

    code = "request_timeout"

    def __init__(self, part: str, limit: str) -> None:
        super().__init__(part, limit)
        self.part, self.limit = part, limit

    def __str__(self) -> str:
        return f"{self.part}: not complete, expected {self.limit}; the connection is closed"


class RequestMalformed(Rejected):
    """What came is not HTTP/1.1."""

    code = "malformed_request"

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"request: {self.found}, expected HTTP/1.1; the connection is closed"


class HeadTooLarge(Rejected):
    """More or longer headers than one request may carry."""

    code = "head_too_large"

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"headers: more than {self.limit}; the connection is closed"


class UrlTooLong(Rejected):
    """A longer URL than any route here has."""

    code = "url_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"URL: longer than {self.limit} bytes; the connection is closed"


class TooManyConnections(Shed):
    """More connections than one worker may have."""

    code = "too_many_connections"
    retry_after_s = 1

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"connections: {self.limit} are open, no more may be; try again later"


class TooManyUnfinishedBytes(Shed):
    """More bytes of unfinished bodies than one worker may hold."""

    code = "too_many_unfinished_bytes"
    retry_after_s = 1

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"bodies: unfinished ones hold {self.limit} bytes, no more may be held; try again later"
