import time

import pytest

from service.clock import Clock
from service.errors import MalformedBody


def test_without_a_header_it_is_the_time_of_the_wall() -> None:
    before_us = time.time_ns() // 1000
    clock = Clock()
    assert before_us <= clock.arrival_us([(b"x-event-time", b"5")]) <= clock.now_us() <= time.time_ns() // 1000


def test_a_replay_brings_its_own_time_and_now_is_the_newest_of_it() -> None:
    clock = Clock("X-Event-Time")
    assert clock.now_us() == 0
    assert [clock.arrival_us([(b"a", b"b"), (b"x-event-time", time)]) for time in (b"5", b"9", b"7")] == [5, 9, 7]
    assert clock.now_us() == 9


@pytest.mark.parametrize("headers", [[], [(b"t", b"")], [(b"t", b"-1")], [(b"t", b"1.5")], [(b"t", b"1" * 19)]])
def test_a_time_that_is_none_is_refused_and_moves_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    clock = Clock("t")
    with pytest.raises(MalformedBody, match=r"header t: found .*microseconds since 1970"):
        clock.arrival_us(headers)
    assert clock.now_us() == 0
