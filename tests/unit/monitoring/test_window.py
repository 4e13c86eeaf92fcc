from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.marks import MarkTier, widen
from monitoring.window import SLICES_MAX, Ring, Span

HOUR, DAY = 3600, 86_400
ADDITIONS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 5)), max_size=60)


def counts(n: int) -> np.ndarray:
    return np.array([n, 2 * n, 1], dtype=np.int64)


@given(ADDITIONS, st.sampled_from([300, HOUR, 5400, DAY]), st.integers(0, 4000), st.randoms())
def test_the_total_is_the_sum_of_what_the_window_still_holds_in_whatever_order_it_came(
    additions: list[tuple[int, int]], window_s: int, minute: int, shuffle: Random
) -> None:
    span = Span.of(window_s)
    shuffled = list(additions)
    shuffle.shuffle(shuffled)
    rings = Ring(span), Ring(span)
    for ring, given_ in zip(rings, (additions, shuffled), strict=True):
        for at, n in given_:
            ring.add(at, counts(n))
        ring.advance(minute)
    expected = [counts(n) for at, n in additions if span.newest(at) >= span.oldest(minute)]
    for ring in rings:
        total = np.zeros(3, dtype=np.int64) if ring.total is None else ring.total
        assert (total == sum(expected, np.zeros(3, dtype=np.int64))).all()


@given(st.integers(1, 100_000), st.integers(0, 1_000_000))
def test_a_window_reaches_back_at_least_its_length_less_one_slice_and_never_more_than_its_slices(
    window_minutes: int, minute: int
) -> None:
    span = Span.of(window_minutes * 60)
    assert span.slices_max <= SLICES_MAX
    held = minute + 1 - span.first_minute(minute)
    assert window_minutes - span.slice_minutes < held <= span.slices_max * span.slice_minutes


def test_a_ring_says_when_it_changes_next_and_changes_then_and_not_before() -> None:
    ring = Ring(Span.of(HOUR))
    ring.add(100, counts(1))
    change = ring.next_change()
    assert change == 160
    assert not ring.advance(change - 1)
    assert ring.advance(change)
    assert ring.next_change() is None


def test_counts_of_another_layout_start_the_ring_again() -> None:
    ring = Ring(Span.of(HOUR))
    ring.add(100, np.array([1, 1], dtype=np.int64))
    ring.add(101, np.array([2, 2, 2], dtype=np.int64))
    assert ring.total is not None
    assert ring.total.tolist() == [2, 2, 2]


def test_covered_minutes_are_those_since_the_oldest_counts() -> None:
    ring = Ring(Span.of(HOUR))
    assert ring.covered_minutes(100) == 0
    ring.add(91, counts(1))
    assert ring.covered_minutes(100) == 10
    ring.add(5, counts(1))
    ring.advance(100)
    assert ring.covered_minutes(100) == 10
    ring.add(41, counts(1))
    assert ring.covered_minutes(100) == 60


PLACES = st.tuples(st.integers(1, 3), st.integers(0, 50))
MARKS = st.lists(st.tuples(st.sampled_from(["w0", "w1"]), PLACES), min_size=1, max_size=20)


@given(MARKS, st.randoms())
def test_marks_cover_every_place_in_whatever_order_they_came(
    places: list[tuple[str, tuple[int, int]]], shuffle: Random
) -> None:
    shuffled = list(places)
    shuffle.shuffle(shuffled)
    one: dict = {}
    other: dict = {}
    for held, given_ in ((one, places), (other, shuffled)):
        for writer, place in given_:
            widen(held, {writer: (place, place)})
    assert one == other
    for writer, place in places:
        assert one[writer][0] <= place <= one[writer][1]


def test_marks_leave_with_their_slice() -> None:
    tier = MarkTier(4)
    tier.add(100, {"w0": ((1, 0), (1, 9))})
    tier.add(150, {"w0": ((1, 10), (1, 19))})
    assert tier.covering(96) == {"w0": ((1, 0), (1, 19))}
    assert tier.covering(104) == {"w0": ((1, 10), (1, 19))}
    tier.advance(172)
    assert tier.covering(0) == {"w0": ((1, 10), (1, 19))}
