"""The address that decides whether keys are asked for is the socket's."""

import socket
from pathlib import Path

import pytest

from service.bound import bound_host


@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"), (socket.AF_INET6, "::1")],
)
def test_the_socket_says_where_it_is_bound_whatever_the_settings_say(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind((host, 0))
        assert bound_host("elsewhere", ["worker", "--fd", str(listening.fileno()), "--x"]) == host
        assert listening.getsockname()[0] == host  # it is still open


def test_a_socket_file_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "s"))
        assert bound_host("elsewhere", ["--fd", str(listening.fileno())]) == "localhost"


@pytest.mark.parametrize("arguments", [[], ["--fd"], ["--fd", "x"], ["--fd", "-1"], ["--fd", "9999"]])
def test_where_there_is_no_socket_the_settings_hold(arguments: list[str]) -> None:
    assert bound_host("elsewhere", arguments) == "elsewhere"
