"""References by hour of the week: a feature whose season is larger than the drift."""

import numpy as np
import pytest

from models import weekly
from models.baseline import ColumnBaseline, bin_numbers, column_of_numbers, count
from models.contract import Column, Kind
from models.natural import blocks, tolerance
from models.weekly import hour_of_week
from monitoring.judge import Window, look
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.tally import tally_requests
from monitoring.tier import Scale
from monitoring.verdict import Drifted
from tests.unit.monitoring.made import MINUTE_US, START_MINUTE, model, request, rows

SEED, HOUR_S, WEEK_S = 20_261_130, 3600, 7 * 86_400
COLUMN = Column(name="x", kind=Kind.FLOAT)


def values(rng: np.random.Generator, at_s: np.ndarray) -> np.ndarray:
    return rng.normal(1.5 * np.sin(2 * np.pi * at_s / 86_400), 1)


def trained(rng: np.random.Generator, *, hourly: bool) -> ColumnBaseline:
    at_s = np.sort(rng.uniform(0, 8 * WEEK_S, 8 * 168 * 60))
    x, nothing = values(rng, at_s), np.zeros(at_s.size, dtype=np.bool_)
    found = column_of_numbers(COLUMN, x, nothing)
    index, hour, bins = bin_numbers(found, x), hour_of_week(at_s), found.bins
    if hourly:
        natural = [(length_s, weekly.tolerance(index, block, hour, bins)) for length_s, block in blocks(at_s)]
        table = tuple(map(tuple, weekly.by_hour(index, hour, bins).tolist()))
        return type(found)(**{**_fields(found), "natural": tuple(natural), "by_hour": table})
    natural = [(length_s, tolerance(index, block, np.asarray(found.counts))) for length_s, block in blocks(at_s)]
    return type(found)(**{**_fields(found), "natural": tuple(natural)})


def _fields(found: ColumnBaseline) -> dict:
    return {name: getattr(found, name) for name in found.__struct_fields__}


def drifted(base: Reference, rng: np.random.Generator, shift: float, rows: int) -> bool:
    """Is an hour at the top of the season, moved by `shift`, found to have drifted?"""
    at_s = np.sort(rng.uniform(20 * WEEK_S + 6 * HOUR_S, 20 * WEEK_S + 7 * HOUR_S, rows))
    counts = np.zeros(base.size, dtype=np.int64)
    counts[: base.starts[-1]] = count(base.columns[0], bin_numbers(base.columns[0], values(rng, at_s) + shift))
    if (place := base.hour_place(int(at_s[0] * 1e6))) is not None:
        counts[place] = rows
    window = Window(Scale.of(HOUR_S), HOUR_S, counts)
    (one,) = look(base, [window], Rules(), model="m", versions=1)
    return isinstance(one.drift_of(0).verdict, Drifted)


@pytest.mark.simulation
def test_a_shift_smaller_than_the_season_is_found_by_hour_and_unchanged_hours_are_not() -> None:
    rng = np.random.default_rng(SEED)
    pinned, hourly = (Reference.laid_out([trained(rng, hourly=hourly)]) for hourly in (False, True))
    assert sum(drifted(pinned, rng, -0.7, 1500) for _ in range(20)) == 0
    assert sum(drifted(hourly, rng, -0.7, 1500) for _ in range(20)) == 20
    assert sum(drifted(hourly, rng, 0.0, 1500) for _ in range(200)) == 0, f"seed {SEED}"


def test_a_tally_counts_the_rows_of_its_hour() -> None:
    made, at_us = model(), START_MINUTE * MINUTE_US
    table = tuple(tuple(c // 168 for c in column.counts) for column in made.reference.columns for _ in (0,))
    columns = [
        type(column)(**{**_fields(column), "by_hour": tuple([counts] * 168)})
        for column, counts in zip(made.reference.columns, table, strict=True)
    ]
    base = Reference.laid_out(columns[:4], columns[4:])
    tally = tally_requests([request(at_us, rows(7, np.random.default_rng(1)))], base)
    assert tally.columns is not None and tally.columns.size == base.size
    place = base.hour_place(at_us)
    assert place is not None
    assert tally.columns[place] == 7 == tally.columns[base.size - 168 :].sum()
