"""How many begin in a turn, and who may wait: does the pace keep its laws?"""

from hypothesis import given
from hypothesis import strategies as st

from service.pace import SHARE, TURN_US, Pace

TURNS = st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1e7), st.floats(0, 1e7), st.floats(0, 1e7)), max_size=30)


def learnt(*turns: tuple[int, float, float, float]) -> Pace:
    """`turns`: begun; µs for them, others' and for refusing."""
    pace = Pace()
    for begun, own_us, rest_us, refusing_us in turns:
        pace.learn(begun, own_us + refusing_us, own_us + refusing_us + rest_us, refusing_us)
    return pace


@given(TURNS)
def test_at_least_one_begins_in_every_turn_and_whoever_begins_next_may_wait(
    turns: list[tuple[int, float, float, float]],
) -> None:
    pace = learnt(*turns)
    assert pace.portion >= 1
    assert pace.room(1e-9) == pace.portion


@given(TURNS, st.floats(1, 1e6))
def test_nobody_waits_for_more_than_its_share_beyond_the_next_turn_and_up_to_it_there_is_room(
    turns: list[tuple[int, float, float, float]], timeout_ms: float
) -> None:
    pace = learnt(*turns)
    room, share_us = pace.room(timeout_ms), SHARE * timeout_ms * 1000
    assert room == pace.portion or pace.waits_us(room - 1) <= share_us * (1 + 1e-9)
    assert pace.waits_us(room) >= share_us * (1 - 1e-9)


def test_a_turn_lasts_as_long_as_it_may() -> None:
    assert learnt(*[(10, 500.0, 0.0, 0)] * 100).portion in (TURN_US // 50 - 1, TURN_US // 50)
    assert learnt(*[(1, 1e5, 0.0, 0)] * 100).portion == 1


def test_refusing_never_takes_more_than_its_half() -> None:
    pace = learnt(*[(20, 2_000.0, 10_000.0, 20_000.0)] * 100)
    assert pace.portion == 20_000 // 100


def test_who_refuses_much_does_not_think_that_requests_are_dear() -> None:
    busy, quiet = learnt(*[(20, 2_000.0, 0.0, 2_000.0)] * 100), learnt(*[(20, 2_000.0, 0.0, 0.0)] * 100)
    assert busy.portion == quiet.portion


def test_one_interrupted_turn_is_no_verdict() -> None:
    pace = learnt(*[(60, 3_000.0, 0.0, 0)] * 200)
    before_us, portion = pace.waits_us(100), pace.portion
    pace.learn(portion, 3_000.0, 50_000.0, 0)  # the machine gave the core to somebody else
    assert pace.waits_us(100) < 2 * before_us
    assert pace.portion == portion


def test_a_turn_with_few_to_begin_says_nothing_of_how_fast_they_begin() -> None:
    pace = learnt(*[(60, 3_000.0, 0.0, 0)] * 200)
    before_us = pace.waits_us(100)
    pace.learn(1, 50.0, 100_000.0, 0)
    assert pace.waits_us(100) == before_us
