from itertools import pairwise

import numpy as np
import pytest

from monitoring.explain.since import Stretch, partition, since

BASELINE = np.array([1000, 3000, 3000, 3000])
BEFORE, AFTER = np.array([0.1, 0.3, 0.3, 0.3]), np.array([0.4, 0.2, 0.2, 0.2])


def stretches(seed: int, change: int, *, minutes: int = 60, rows: int = 40) -> list[Stretch]:
    rng = np.random.default_rng(seed)
    return [Stretch(m, 1, rng.multinomial(rows, AFTER if m >= change else BEFORE)) for m in range(minutes)]


def test_the_interval_holds_the_change_as_often_as_it_says() -> None:
    held, near = 0, 0
    for seed in range(200):
        found = since(stretches(seed, 41), BASELINE)
        assert found is not None
        held += found.earliest <= 41 <= found.latest
        near += abs(found.minute - 41) <= 2
    assert held >= 196
    assert near >= 180


def test_a_change_that_is_older_than_what_is_held_is_said_to_be_open() -> None:
    found = since(stretches(1, 0), BASELINE)
    assert found is not None and found.open
    found = since(stretches(1, 30), BASELINE)
    assert found is not None and not found.open


def test_without_rows_there_is_no_change() -> None:
    assert since([], BASELINE) is None
    assert since([Stretch(0, 1, np.zeros(4, dtype=np.int64))], BASELINE) is None


@pytest.mark.parametrize("last", [1400, 1433, 1439, 1500])
def test_the_finest_slices_are_taken_and_no_row_is_counted_twice(last: int) -> None:
    rng = np.random.default_rng(last)
    per_minute = {m: rng.poisson(5, 3) for m in range(1000, last)}
    tiers = []
    for length in (1, 2, 4, 8, 15, 30, 90, 180, 720):
        slices: dict[int, np.ndarray] = {}
        for minute, counts in per_minute.items():
            slices[minute // length] = slices.get(minute // length, 0) + counts
        newest = sorted(slices)[-17:]
        tiers.append([Stretch(number * length, length, slices[number]) for number in newest])
    found = partition(tiers)
    assert all(a.first + a.minutes <= b.first for a, b in pairwise(found))
    assert np.sum([s.counts for s in found], axis=0).tolist() == np.sum(list(per_minute.values()), axis=0).tolist()
    assert [s.minutes for s in found[-10:]] == [1] * 10
