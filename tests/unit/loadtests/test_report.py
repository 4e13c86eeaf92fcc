"""The speed report: medians, spread and ratios say what the rounds said."""

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.report import Measurement, summarise, table

GOOD = Measurement(requests=8_000, duration_us=1_000_000, refused=0, broken=0, p50_us=1_500, p99_us=4_000)
counts = st.integers(1, 10**7)
rounds = st.lists(st.tuples(counts, counts), min_size=1, max_size=7)


def measured(pairs: list[tuple[int, int]]) -> list[dict[str, Measurement]]:
    return [{"ours": replace(GOOD, requests=a), "theirs": replace(GOOD, requests=b)} for a, b in pairs]


@given(rounds)
def test_a_ratio_is_taken_within_each_round(pairs: list[tuple[int, int]]) -> None:
    _, theirs = summarise(measured(pairs), "ours")
    assert theirs.times == pytest.approx(median(a / b for a, b in pairs))
    assert theirs.times_min <= theirs.times <= theirs.times_max


@given(rounds, st.integers(2, 50))
def test_a_round_in_which_the_machine_is_slow_for_all_changes_no_ratio(pairs: list[tuple[int, int]], by: int) -> None:
    slowed = measured(pairs)
    slowed[0] = {name: replace(m, duration_us=m.duration_us * by) for name, m in slowed[0].items()}
    before, after = summarise(measured(pairs), "ours"), summarise(slowed, "ours")
    assert [line.times for line in before] == pytest.approx([line.times for line in after])


def test_the_subject_is_once_as_fast_as_itself() -> None:
    ours, _ = summarise(measured([(500, 100), (900, 120)]), "ours")
    assert (ours.times, ours.times_min, ours.times_max) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("spoilt", [{"requests": 0}, {"refused": 1}, {"broken": 1}])
def test_a_round_with_a_refused_or_broken_request_is_no_measurement(spoilt: dict[str, int]) -> None:
    assert GOOD.clean
    assert not replace(GOOD, **spoilt).clean


def test_the_table_names_each_system_with_its_figure_and_ratio() -> None:
    text = table(summarise(measured([(8_000, 800)]), "ours"), {"ours": "everything on", "theirs": "as documented"})
    assert "| theirs | 800 | 800–800 | 1.50 | 4.00 | 10.00 × | 10.00–10.00 | as documented |" in text
