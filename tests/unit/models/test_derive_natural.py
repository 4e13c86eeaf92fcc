import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.derive import derive
from models.natural import (
    BLOCK_ROWS_MIN,
    BLOCKS_MIN,
    beyond_noise,
    blocks,
    blocks_from_shortest,
    noise_corrected_psi,
    tolerance,
)
from tests.unit.models.graphs import echo

COUNTS = arrays(np.int64, 12, elements=st.integers(0, 10_000))
GRAPH = echo({"a": ("FP64", ["N", 1])})
HOUR_S, DAY_S = 3600, 86_400


@given(COUNTS, COUNTS)
def test_the_distance_is_symmetric_finite_and_not_negative(a: np.ndarray, b: np.ndarray) -> None:
    one, other = float(noise_corrected_psi(a, b)), float(noise_corrected_psi(b, a))
    assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
    assert 0 <= one < np.inf


@given(COUNTS, st.integers(1, 50))
def test_the_same_shares_have_distance_zero(counts: np.ndarray, times: int) -> None:
    assert noise_corrected_psi(counts, times * counts) < 1e-12


def test_unchanged_counts_have_a_distance_of_zero_at_the_median_and_shifted_ones_their_psi() -> None:
    rng = np.random.default_rng(3)
    shares, shifted = np.full(10, 0.1), np.array([0.13, 0.12, 0.11, 0.1, 0.1, 0.1, 0.1, 0.09, 0.08, 0.07])
    psi = float(((shifted - shares) * np.log(shifted / shares)).sum())
    reference = rng.multinomial(100_000, shares)
    found = noise_corrected_psi(rng.multinomial(5000, shares, 400), reference)
    moved = noise_corrected_psi(rng.multinomial(5000, shifted, 400), reference)
    assert np.median(found) == 0
    assert np.mean(moved) == pytest.approx(psi, rel=0.05)


def test_a_length_counts_only_where_the_data_has_enough_full_blocks_of_it() -> None:
    hours = np.repeat(np.arange(BLOCKS_MIN) * HOUR_S, BLOCK_ROWS_MIN).astype(float)
    assert [length for length, _ in blocks(hours)] == [HOUR_S]
    assert blocks(hours[1:]) == []
    days = np.repeat(np.arange(BLOCKS_MIN) * DAY_S, BLOCK_ROWS_MIN).astype(float)
    assert [length for length, _ in blocks(days)] == [HOUR_S, DAY_S]
    assert [length for length, _ in blocks(np.concatenate([7 * days + i * DAY_S for i in range(7)]))][-1] == 7 * DAY_S


def test_where_days_are_thin_the_shortest_blocks_are_as_long_as_it_takes_to_be_judged() -> None:
    hourly = np.arange(0, 365 * DAY_S, HOUR_S).astype(float)
    found = dict(blocks_from_shortest(hourly))
    assert list(found) == [BLOCK_ROWS_MIN * HOUR_S, 7 * DAY_S]
    weekday = (hourly // DAY_S).astype(np.intp) % 7
    counts = np.bincount(weekday)
    nature = tolerance(weekday, found[BLOCK_ROWS_MIN * HOUR_S], counts)
    for rows in range(BLOCK_ROWS_MIN + 2, 7 * 24):
        assert noise_corrected_psi(np.bincount(weekday[:rows], minlength=7), counts) < nature
    assert tolerance(weekday, found[7 * DAY_S], counts) < 0.01


def test_where_hours_are_thin_parts_of_a_day_are_told_from_days_and_else_nothing_is_added() -> None:
    six_minutes = np.arange(0, 60 * DAY_S, 360.0)
    assert [length for length, _ in blocks_from_shortest(six_minutes)] == [5 * HOUR_S, DAY_S, 7 * DAY_S]
    for enough in (np.arange(0, 60 * DAY_S, 60.0), np.arange(0, 3 * DAY_S, 600.0)):
        assert [length for length, _ in blocks_from_shortest(enough)] == [length for length, _ in blocks(enough)]


def test_rush_hours_are_not_what_parts_of_a_day_vary_by() -> None:
    rush = [day * DAY_S + 8 * HOUR_S + np.arange(0, 2 * HOUR_S, 144.0) for day in range(30)]
    thin = np.arange(0, 30 * DAY_S, 600.0)
    lengths = [length for length, _ in blocks_from_shortest(np.sort(np.concatenate([*rush, thin])))]
    assert lengths[0] > 2 * HOUR_S
    assert lengths[1:] == [DAY_S]


def test_thin_blocks_are_left_out_of_the_maximum_but_not_out_of_the_rest() -> None:
    at_s = np.concatenate([np.repeat(np.arange(BLOCKS_MIN) * HOUR_S, 100), [99 * HOUR_S]]).astype(float)
    ((_, block),) = blocks(at_s)
    assert block.max() == BLOCKS_MIN - 1
    assert block[-1] == -1
    index = np.zeros(at_s.size, np.intp)
    index[-1] = 1
    assert tolerance(index, block, np.bincount(index)) < 0.01


@pytest.mark.parametrize("as_text", [False, True])
def test_a_daily_season_widens_the_tolerance_of_hours_and_not_that_of_days(as_text: bool) -> None:
    rng = np.random.default_rng(5)
    at_s = 1_780_272_000 + np.sort(rng.uniform(0, 14 * DAY_S, 100_000))
    season = np.sin(2 * np.pi * at_s / DAY_S)
    times = pd.to_datetime(at_s, unit="s").strftime("%Y-%m-%dT%H:%M:%S.%f") if as_text else at_s
    found = {}
    for name, values in (("seasonal", season + rng.normal(size=at_s.size)), ("steady", rng.normal(size=at_s.size))):
        _, baseline = derive(GRAPH, "test:1", pd.DataFrame({"a": values, "at": times}), time="at")
        assert baseline is not None
        found[name] = dict(baseline.features[0].natural)
        assert baseline.outputs[0].natural == baseline.features[0].natural
    assert found["seasonal"].keys() == {HOUR_S, DAY_S}
    assert found["seasonal"][HOUR_S] > 0.4
    assert found["seasonal"][DAY_S] < 0.01
    assert found["steady"][HOUR_S] < 0.15
    assert found["steady"][DAY_S] < 0.01


def test_blocks_of_few_rows_do_not_pass_their_noise_off_as_nature_and_an_odd_one_that_is_proven_counts() -> None:
    rng = np.random.default_rng(11)
    same = rng.multinomial(60, np.full(10, 0.1), 600)
    assert noise_corrected_psi(same, same.sum(axis=0) - same).max() > 0.15
    assert beyond_noise(same, same.sum(axis=0) - same) < 0.02
    holiday = np.vstack([same, rng.multinomial(60, [0.91, *[0.01] * 9], 1)])
    assert beyond_noise(holiday, holiday.sum(axis=0) - holiday) > 0.5


def test_dates_numbers_and_text_are_the_same_times() -> None:
    at_s = np.repeat(np.arange(10) * DAY_S, 60)
    dates = pd.to_datetime(at_s, unit="s")
    ways = [at_s, at_s.astype(float), dates, dates.tz_localize("UTC"), dates.strftime("%Y-%m-%d"), dates.date]
    a = np.random.default_rng(7).normal(size=at_s.size)
    natural = [derive(GRAPH, "test:1", pd.DataFrame({"a": a, "at": way}), time="at")[1] for way in ways]
    assert len({baseline.encode() for baseline in natural if baseline is not None}) == 1
    assert None not in natural


def temperature(rng: np.random.Generator, at_s: np.ndarray) -> np.ndarray:
    return 10 + 5 * np.sin(2 * np.pi * (at_s % DAY_S) / DAY_S) + rng.normal(0, 3, at_s.size)


def tolerance_of_days(at_s: np.ndarray) -> float:
    _, baseline = derive(
        GRAPH, "test:1", pd.DataFrame({"a": temperature(np.random.default_rng(3), at_s), "at": at_s}), time="at"
    )
    assert baseline is not None
    return dict(baseline.features[0].natural)[DAY_S]


@pytest.mark.parametrize("days", [28, 28 + 1 / 24, 28 + 3 / 24, 28.5, 28.9])
def test_hours_beyond_the_last_whole_day_do_not_pass_for_what_days_vary_by(days: float) -> None:
    at_s = 1_767_571_200 + np.sort(np.random.default_rng(3).uniform(0, days * DAY_S, int(days * 2880)))
    assert tolerance_of_days(at_s) < 0.02


def test_a_day_with_a_hole_does_not_pass_for_what_days_vary_by() -> None:
    at_s = 1_767_571_200 + np.arange(0, 28 * DAY_S, 30.0)
    silent = (at_s >= at_s[0] + 9.2 * DAY_S) & (at_s < at_s[0] + 9.9 * DAY_S)
    assert tolerance_of_days(at_s[~silent]) < 0.02


def test_nights_and_short_saturdays_of_a_shop_are_no_holes() -> None:
    opens, closes = 8 * HOUR_S, np.array([18, 18, 18, 18, 18, 12]) * HOUR_S
    days = [7 * DAY_S * week + DAY_S * day for week in range(4) for day in range(6)]
    at_s = np.concatenate([day + np.arange(opens, closes[day // DAY_S % 7], 60.0) for day in days])
    of_days = dict(blocks(at_s))[DAY_S]
    assert of_days.max() == len(days) - 2  # only the last one, a Saturday, may be one that the data breaks off in
    assert (of_days[at_s < days[-1] + opens] >= 0).all()
