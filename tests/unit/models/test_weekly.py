import numpy as np
import pytest

from models.weekly import HOUR_ROWS_MIN, HOURS, by_hour, hour_of_week, mixture, tolerance

SEED = 20_261_130


def test_the_first_hour_is_monday_midnight() -> None:
    monday = 1_767_571_200  # 2026-01-05T00:00:00Z
    assert hour_of_week(np.array([monday, monday + 3599, monday + 3600, monday - 1.0])).tolist() == [0, 0, 1, 167]


def seasonal(rng: np.random.Generator, weeks: int, rows_an_hour: int) -> tuple[np.ndarray, np.ndarray]:
    """Two bins whose shares follow the hour of the day; bins and times of the rows."""
    at_s = np.sort(rng.uniform(0, weeks * 7 * 86_400, weeks * HOURS * rows_an_hour))
    share = 0.5 + 0.4 * np.sin(2 * np.pi * (at_s % 86_400) / 86_400)
    return (rng.random(at_s.size) < share).astype(np.intp), at_s


def test_a_mixture_has_the_shares_of_its_hours_and_the_weight_of_their_rows() -> None:
    table = np.tile(np.array([[50, 50]]), (HOURS, 1))
    table[5] = [90, 10]
    rows = table.sum(axis=1)
    hours = np.zeros((2, HOURS), dtype=np.int64)
    hours[0, 5] = 7
    hours[1, 5], hours[1, 6] = 20, 20
    assert mixture(hours, table, rows).tolist() == [[90, 10], [140, 60]]


def test_an_hour_that_training_hardly_saw_speaks_with_the_voice_of_all() -> None:
    table = np.tile(np.array([[60, 40]]), (HOURS, 1))
    table[9] = [HOUR_ROWS_MIN - 1, 0]
    hours = np.zeros((1, HOURS), dtype=np.int64)
    hours[0, 9] = 100
    (found,) = mixture(hours, table, table.sum(axis=1))
    assert found[0] / found.sum() == pytest.approx(0.6, abs=0.002)


def test_a_window_without_rows_is_held_against_everything() -> None:
    table = np.ones((HOURS, 3), dtype=np.int64)
    assert mixture(np.zeros((1, HOURS), dtype=np.int64), table, table.sum(axis=1)).tolist() == [[168, 168, 168]]


def test_what_the_week_repeats_is_no_variation_and_what_it_does_not_is() -> None:
    rng = np.random.default_rng(SEED)
    index, at_s = seasonal(rng, weeks=6, rows_an_hour=60)
    hour, block = hour_of_week(at_s), (at_s // 3600).astype(np.intp)
    assert by_hour(index, hour, 2).sum() == index.size
    quiet = tolerance(index, block, hour, 2)
    odd = np.where(block == 500, 1 - index, index)
    assert quiet < 0.05 < tolerance(odd, block, hour, 2), f"seed {SEED}: {quiet}"
