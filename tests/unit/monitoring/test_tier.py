from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.budget import looks_per_30_days
from monitoring.tier import LADDER_MINUTES, SLICES_MAX, Scale, Tier, tiers

ADDITIONS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 5)), max_size=60)
LENGTHS = st.sampled_from([1, 2, 4, 15, 90])


def counts(n: int) -> np.ndarray:
    return np.array([n, 2 * n, 1], dtype=np.int64)


@given(ADDITIONS, LENGTHS, st.integers(0, 4000), st.randoms())
def test_a_window_is_the_sum_of_its_newest_whole_slices_in_whatever_order_they_came(
    additions: list[tuple[int, int]], slice_minutes: int, minute: int, shuffle: Random
) -> None:
    shuffled = list(additions)
    shuffle.shuffle(shuffled)
    for order in (additions, shuffled):
        tier = Tier(slice_minutes)
        for at, n in order:
            tier.add(at, counts(n))
        tier.advance(minute)
        found = tier.sums(minute, range(1, SLICES_MAX + 1), 3)
        for slices in range(1, SLICES_MAX + 1):
            scale = Scale(0, slice_minutes, slices)
            inside = [n for at, n in additions if scale.first_minute(minute) <= at <= scale.last_minute(minute)]
            assert found[slices - 1].tolist() == sum((counts(n) for n in inside), np.zeros(3, dtype=np.int64)).tolist()


@given(ADDITIONS, LENGTHS, st.integers(0, 4000))
def test_a_window_does_not_change_between_two_looks(
    additions: list[tuple[int, int]], slice_minutes: int, start: int
) -> None:
    tier = Tier(slice_minutes)
    for at, n in additions:
        tier.add(at, counts(n))
    due = (
        start // slice_minutes * slice_minutes + slice_minutes - 1
    )  # a slice is completed here, and next `slice_minutes` later
    tier.advance(due)
    before = tier.sums(due, [1, 7, SLICES_MAX], 3).tolist()
    for minute in range(due + 1, due + slice_minutes):
        assert (minute + 1) % slice_minutes != 0
        tier.advance(minute)
        assert tier.sums(minute, [1, 7, SLICES_MAX], 3).tolist() == before


@given(LENGTHS, st.integers(0, 100_000))
def test_a_tier_says_when_it_is_due_next_and_is_due_then_and_not_before(slice_minutes: int, after: int) -> None:
    tier = Tier(slice_minutes, {after // slice_minutes: counts(1)})
    due = tier.next_due(after)
    assert due is not None and after < due <= after + slice_minutes
    assert [minute for minute in range(after + 1, due + 1) if tier.due(minute)] == [due]


def test_an_empty_tier_is_never_due() -> None:
    assert Tier(2).next_due(5) is None
    assert not Tier(2).due(1)


@given(ADDITIONS, LENGTHS)
def test_memory_is_bounded_whatever_arrives(additions: list[tuple[int, int]], slice_minutes: int) -> None:
    tier = Tier(slice_minutes)
    for at, n in sorted(additions):
        tier.add(at, counts(n))
        tier.advance(at)
        assert len(tier.slices) <= SLICES_MAX + 1


def test_what_no_window_holds_is_not_taken_in_again() -> None:
    tier = Tier(4)
    assert tier.holds(100, closed=163)
    assert not tier.holds(99, closed=164)


def test_counts_of_another_layout_start_the_tier_again() -> None:
    tier = Tier(1)
    tier.add(100, np.array([1, 1], dtype=np.int64))
    tier.add(101, np.array([2, 2, 2], dtype=np.int64))
    assert tier.sums(101, [2], 3).tolist() == [[2, 2, 2]]


def test_covered_minutes_are_those_since_the_oldest_counts_of_the_window() -> None:
    tier = Tier(4)
    assert tier.covered_minutes(99, 16) == 0
    tier.add(90, counts(1))
    assert tier.covered_minutes(99, 16) == 12  # from the slice 88 … 91 to the end of 99
    assert tier.covered_minutes(99, 2) == 0
    tier.add(40, counts(1))
    assert tier.covered_minutes(99, 16) == 60


@given(st.integers(1, 60 * 24 * 60))
def test_every_window_is_as_long_as_it_says_or_less_than_a_slice_longer(minutes: int) -> None:
    scale = Scale.of(minutes * 60)
    assert scale.slices <= SLICES_MAX
    assert minutes <= scale.minutes < minutes + scale.slice_minutes


def test_the_windows_of_the_ladder_are_what_they_say_and_share_nine_tiers() -> None:
    scales = [Scale.of(minutes * 60) for minutes in LADDER_MINUTES]
    assert [scale.minutes for scale in scales] == list(LADDER_MINUTES)
    assert list(tiers(scales)) == [1, 2, 4, 8, 15, 30, 90, 180, 720]
    assert sum(len(found) for found in tiers(scales).values()) == len(LADDER_MINUTES)
    assert all(longer / shorter <= 1.6 for shorter, longer in pairwise(LADDER_MINUTES[2:-2]))


@pytest.mark.parametrize(("minutes", "looks"), [(1, 43_200), (16, 43_200), (60, 10_800), (1440, 480), (10_080, 60)])
def test_a_long_window_is_looked_at_seldom(minutes: int, looks: int) -> None:
    assert looks_per_30_days(Scale.of(minutes * 60)) == looks
