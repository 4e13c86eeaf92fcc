"""A client that dawdles: it ends with the server's answer or end, and with the run."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.load.slow import End, Way, dawdle

KEY = {"x-api-key": "secret"}
BODY = b'{"instances": []}'


@contextmanager
def listening(patience: int) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads so many bytes of one connection and then ends it."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while sum(map(len, got)) < patience and (data := connection.recv(4096)):
                    got.append(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", got
        thread.join()


@pytest.mark.parametrize("way", Way)
def test_a_server_that_loses_patience_ends_the_attempt(way: Way) -> None:
    with listening(patience=1) as (url, got):
        assert dawdle(url, "/predict", BODY, way, over=lambda: False, headers={}).ended_by is End.SERVER
    assert len(b"".join(got)) >= 1


def test_a_run_that_is_over_ends_the_attempt_at_once() -> None:
    with listening(patience=10_000) as (url, got):
        assert dawdle(url, "/predict", BODY, Way.BODY, over=lambda: True, headers=KEY).ended_by is End.RUN
    assert b"".join(got).endswith(b"\r\nx-api-key: secret\r\n\r\n")
