"""An order has one end, whatever the service does."""

import socket
from pathlib import Path
from time import monotonic

import pytest

from monitoring.console.errand import LOOK_S, ORDER_S, Errand, Seen
from monitoring.console.order import Asked
from monitoring.errors import AdminUnreachable
from monitoring.rollout.control import Routes
from tests.processes import free_port

ABORT = Asked("abort", by="ada", why="release 42")


def test_no_call_waits_beyond_the_end_of_the_order(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(AdminUnreachable):
            Errand(tmp_path, url, "secret", "m", ABORT, begun_s + 0.1).look()
        assert monotonic() - begun_s < LOOK_S


def test_an_order_that_reached_nobody_was_not_done(tmp_path: Path) -> None:
    errand = Errand(tmp_path, f"http://127.0.0.1:{free_port()}", "secret", "m", ABORT, monotonic() + ORDER_S)
    with pytest.raises(AdminUnreachable, match="ConnectError"):
        errand.do(Seen(Routes(3, None, ()), ()))
