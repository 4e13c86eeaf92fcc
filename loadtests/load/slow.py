"""How does a client dawdle? It sends its head, or its body, a byte at a time.

Laws
- Every attempt ends: with the server's answer or end, when `over()` says so, or after ATTEMPT_S.
- To be cut off is right. What is wrong is a server that keeps such a connection for ever.
"""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

ATTEMPT_S = 30.0  # the service's own patience is 5 to 8 s
STEP_S = 0.25
CONNECT_S = 5.0
ANSWER_BYTES = 65_536


class Way(StrEnum):
    """What is sent slowly."""

    HEAD = "head"
    BODY = "body"


class End(StrEnum):
    """What ended an attempt."""

    SERVER = "server"
    RUN = "run"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How long the connection lasted, and what ended it."""

    seconds: float
    ended_by: End


def dawdle(
    url: str, path: str, body: bytes, way: Way, over: Callable[[], bool], *, headers: Mapping[str, str]
) -> Attempt:
    """Raises OSError where no connection can be made."""
    parts = urlsplit(url)
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{more}\r\n"
    ).encode()
    at_once, slowly = (b"", head) if way is Way.HEAD else (head, body)
    began_s = time.monotonic()
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), CONNECT_S) as connection:
        connection.sendall(at_once)
        ended_by = _slowly(connection, slowly, over, began_s + ATTEMPT_S)
    return Attempt(time.monotonic() - began_s, ended_by)


def _slowly(connection: socket.socket, rest: bytes, over: Callable[[], bool], end_s: float) -> End:
    connection.settimeout(STEP_S)
    place = 0
    while time.monotonic() < end_s:
        if over():
            return End.RUN
        try:
            connection.sendall(rest[place : place + 1])
            place += 1
            connection.recv(ANSWER_BYTES)  # an answer, or the end: nothing is asked for twice
            return End.SERVER
        except TimeoutError:
            continue
        except OSError:
            return End.SERVER
    return End.KEPT
