"""How many rows a key may ask for, by a clock that the test winds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.keys import Holder
from service.allowance import Allowances, Bucket

RATES = st.floats(0.01, 1e6)
BURSTS = st.integers(1, 100_000)
SHARES = st.sampled_from([1.0, 0.5, 1 / 3, 0.25])
ASKED = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5000)), min_size=1, max_size=60)


@given(RATES, BURSTS, SHARES, ASKED)
def test_in_any_time_no_more_is_granted_than_the_capacity_and_what_the_time_gives(
    rate: float, burst: int, share: float, asked: list[tuple[float, int]]
) -> None:
    bucket, now_s, granted = Bucket(rate, burst, 0.0), 0.0, []
    capacity = max(1.0, burst * share)
    for pause_s, rows in asked:
        now_s += pause_s
        if not bucket.take(rows, now_s, share):
            granted.append((now_s, rows))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            took = granted[first : last + 1]
            over = max(0.0, max(rows for _, rows in took) - capacity)  # of one that is larger than the capacity
            within_s = took[-1][0] - took[0][0]
            rows = sum(rows for _, rows in took)
            assert rows <= capacity + rate * share * within_s + over + 1e-3 + rows * 1e-9


@given(RATES, BURSTS, SHARES, ASKED)
def test_who_waits_as_long_as_he_was_told_is_granted(
    rate: float, burst: int, share: float, asked: list[tuple[float, int]]
) -> None:
    bucket, now_s = Bucket(rate, burst, 0.0), 0.0
    for pause_s, rows in asked:
        now_s += pause_s
        if wait_s := bucket.take(rows, now_s, share):
            now_s += wait_s
            assert bucket.take(rows, now_s, share) <= 1e-6 * now_s / rate
            bucket.take(rows, now_s + 1e-3, share)


def test_a_long_silence_gives_no_more_than_the_burst_and_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = Bucket(10, 20, 0.0)
    assert bucket.take(20, 1e9, 1.0) == 0
    assert bucket.take(1, 1e9, 1.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.0, 1.0) == pytest.approx(0.1)


def test_a_request_larger_than_a_workers_part_is_granted_from_a_full_bucket_and_owed() -> None:
    bucket = Bucket(100, 100, 0.0)
    assert bucket.take(100, 0.0, 0.25) == 0  # of which 25 were there
    assert bucket.wait_s(1, 0.0, 0.25) == pytest.approx(76 / 25)


def test_a_look_takes_nothing() -> None:
    bucket = Bucket(1, 5, 0.0)
    assert [bucket.wait_s(5, 0.0, 1.0) for _ in range(10)] == [0.0] * 10


def test_a_bucket_stays_its_keys_until_the_limit_is_changed_or_the_key_goes() -> None:
    allowances = Allowances()
    key = Holder(id="a", name="a", rows_per_s=1, burst_rows=2)
    allowances.of(key, 0.0).take(2, 0.0, 1.0)
    assert allowances.of(key, 0.0).wait_s(1, 0.0, 1.0) > 0
    other = Holder(id="a", name="a", rows_per_s=1, burst_rows=3)
    assert allowances.of(other, 0.0).wait_s(3, 0.0, 1.0) == 0
    for number in range(100):
        allowances.of(Holder(id=str(number), name="a", rows_per_s=1, burst_rows=1), 0.0)
    allowances.retain({"a", "7"})
    assert len(allowances) == 2


def test_time_alone_fills_it_evenly() -> None:
    bucket = Bucket(10, 10, 0.0)
    bucket.take(10, 0.0, 1.0)
    waits = [bucket.wait_s(10, tenth / 10, 1.0) for tenth in range(10)]
    assert all(before - after == pytest.approx(0.1) for before, after in pairwise(waits))
