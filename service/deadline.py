"""How long does a client say that it will wait? One rule for all who ask, whoever reads the head.

Laws
- The first header of the name counts; it is whole milliseconds, 1 to TIMEOUT_MS_MAX, in digits and nothing else.
- It can only shorten the time that a request has.
"""

from collections.abc import Sequence

from service.errors import MalformedBody

TIMEOUT_HEADER = b"x-request-timeout-ms"
TIMEOUT_DIGITS_MAX = 9  # eleven days: no deadline, and int() is quick with it
TIMEOUT_MS_MAX = 10**TIMEOUT_DIGITS_MAX - 1


def read_ms(value: bytes) -> int:
    """What the header's value says; 0 where that is no time."""
    return int(value) if value.isdigit() and len(value) <= TIMEOUT_DIGITS_MAX else 0


def asked_ms(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """For those who refuse early; 0 where the headers say nothing, or no time."""
    for name, value in headers:
        if name == TIMEOUT_HEADER:
            return read_ms(value)
    return 0


def timeout_ms(headers: Sequence[tuple[bytes, bytes]], limit_ms: float) -> float:
    """What the request has, never more than `limit_ms`. Raises MalformedBody where a header says no time."""
    for name, value in headers:
        if name == TIMEOUT_HEADER:
            if not (asked := read_ms(value)):
                found, where = f"found {value[:32].decode('latin-1')!r}", f"header {TIMEOUT_HEADER.decode()}"
                raise MalformedBody(found, f"whole milliseconds, 1 to {TIMEOUT_MS_MAX}", where=where)
            return min(limit_ms, asked)
    return limit_ms
