"""The speed report: medians, spread and ratios say what the rounds said."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadtests.bench.report import Measurement, figures, spread, times

GOOD = Measurement(requests=8_000, duration_us=1_000_000, p50_us=1_500, p95_us=3_000, p99_us=4_000)
counts = st.integers(1, 10**7)
rounds = st.lists(st.tuples(counts, counts), min_size=1, max_size=7)


def measured(pairs: list[tuple[int, int]]) -> list[dict[str, Measurement]]:
    return [{"ours": replace(GOOD, requests=a), "theirs": replace(GOOD, requests=b)} for a, b in pairs]


@given(rounds)
def test_a_ratio_is_taken_within_each_round(pairs: list[tuple[int, int]]) -> None:
    found = times(measured(pairs), "ours", ["theirs"])
    assert found is not None
    assert found.median == pytest.approx(median(a / b for a, b in pairs))
    assert found.low <= found.median <= found.high


@given(rounds, st.integers(2, 50))
def test_a_round_in_which_the_machine_is_slow_for_all_changes_no_ratio(pairs: list[tuple[int, int]], by: int) -> None:
    slowed = measured(pairs)
    slowed[0] = {name: replace(m, duration_us=m.duration_us * by) for name, m in slowed[0].items()}
    assert times(slowed, "ours", ["theirs"]) == pytest.approx(times(measured(pairs), "ours", ["theirs"]))


def test_beside_several_the_best_of_each_round_counts() -> None:
    each = [
        {"ours": replace(GOOD, requests=100), "a": replace(GOOD, requests=10), "b": replace(GOOD, requests=20)},
        {"ours": replace(GOOD, requests=100), "a": replace(GOOD, requests=50), "b": replace(GOOD, requests=20)},
    ]
    assert times(each, "ours", ["a", "b"]) == (3.5, 2.0, 5.0)


def test_a_round_that_lacks_one_of_the_two_has_no_ratio() -> None:
    whole = measured([(500, 100)])
    assert times([*whole, {"ours": GOOD}, {"theirs": GOOD}], "ours", ["theirs"]) == times(whole, "ours", ["theirs"])
    assert times([{"ours": GOOD}], "ours", ["theirs"]) is None


def test_a_figure_is_the_median_with_its_extremes() -> None:
    each = [{"ours": replace(GOOD, requests=n)} for n in (300, 100, 200)]
    assert figures(each, "ours", lambda m: m.per_s) == (200, 100, 300)
    assert figures(each, "absent", lambda m: m.per_s) is None
    assert spread([]) is None


def test_rows_are_counted_not_requests() -> None:
    assert replace(GOOD, rows=32).per_s == 32 * GOOD.per_s


@pytest.mark.parametrize("spoilt", [{"requests": 0}, {"refused": 1}, {"broken": 1}])
def test_a_round_with_a_refused_or_broken_request_is_no_measurement(spoilt: dict[str, int]) -> None:
    assert GOOD.clean
    assert not replace(GOOD, **spoilt).clean
