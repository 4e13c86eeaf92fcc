"""Row counts by hour: unchanged seasons are usual, outages and floods are not, and nothing of it is a verdict on a version."""

from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.stored import Stored, restore, store
from monitoring.verdict import Verdict
from monitoring.volume.arrivals import HISTORY_HOURS, HOUR_MINUTES, Arrivals, Hours
from monitoring.volume.metrics import volume_metrics
from monitoring.volume.said import volumes_of
from monitoring.volume.usual import (
    DAY_HOURS,
    WEEK_HOURS,
    Changed,
    TooFewExpected,
    TooLittleHistory,
    Usual,
    Volume,
    VolumeRule,
    judge_volume,
)
from tests.unit.monitoring.made import START_MINUTE, chunk, model, traffic

RULE = VolumeRule(alpha=1 / 720, confidence=0.999, ratio=2.0)
MONDAY = 500_000 * WEEK_HOURS  # a week begins here, wherever that is


def season(hours: int) -> np.ndarray:
    """Expected rows of each hour: ten times as many by day as by night, half on two days of seven."""
    at = np.arange(hours)
    by_day = 10 ** (0.5 - 0.5 * np.cos(2 * np.pi * (at % DAY_HOURS) / DAY_HOURS))
    return 300 * by_day * np.where(at // DAY_HOURS % 7 >= 5, 0.5, 1.0)


def drawn(hours: int, rng: np.random.Generator, spread: float = 0.15) -> np.ndarray:
    """Over-dispersed counts: each day is better or worse than others, and each hour of it too."""
    days = np.repeat(rng.lognormal(0, spread, hours // DAY_HOURS + 1), DAY_HOURS)[:hours]
    return rng.poisson(season(hours) * days * rng.lognormal(0, spread / 2, hours))


def held(rows: np.ndarray) -> Hours:
    return Hours(MONDAY, {MONDAY + hour: int(n) for hour, n in enumerate(rows.tolist())})


def last(rows: np.ndarray) -> Volume:
    return judge_volume(held(rows), MONDAY + len(rows) - 1, RULE)


def test_what_the_rows_come_to_is_no_verdict_on_a_version() -> None:
    assert not set(get_args(Volume)) & set(get_args(Verdict))


def test_before_a_week_of_whole_days_nothing_is_said() -> None:
    rows = drawn(7 * DAY_HOURS + 2, np.random.default_rng(1))
    assert last(rows[:-1]) == TooLittleHistory(7 * DAY_HOURS - 1, 7 * DAY_HOURS)
    assert isinstance(last(rows), Usual)


def test_hours_of_hardly_any_rows_are_not_judged() -> None:
    rows = np.random.default_rng(2).poisson(4, 400)
    assert isinstance(last(rows), TooFewExpected)


@pytest.mark.parametrize("days", [9, 16, 30])
@pytest.mark.parametrize(("times", "expected"), [(0.0, Changed), (0.05, Changed), (1.0, Usual), (20.0, Changed)])
def test_an_outage_and_a_flood_are_changes_whatever_the_history(days: int, times: float, expected: type) -> None:
    rows = drawn(days * DAY_HOURS + 15, np.random.default_rng(days))
    rows[-1] = int(rows[-1] * times)
    found = last(rows)
    assert isinstance(found, expected)
    assert isinstance(found, Usual | Changed)
    assert found.low < found.expected < found.high
    assert (found.low <= found.rows <= found.high) == (expected is Usual)


def test_a_change_below_the_ratio_never_matters_however_steady_the_rows_are() -> None:
    rows = np.full(24 * DAY_HOURS, 100_000)
    rows[-1] = 160_000
    found = last(rows)
    assert isinstance(found, Usual)
    assert found.p_value < 1e-9
    rows[-1] = 210_000
    assert isinstance(last(rows), Changed)


@pytest.mark.simulation
def test_unchanged_rows_with_seasons_and_bad_days_alarm_less_than_the_budget_allows() -> None:
    judged, changed = 0, 0
    for seed in range(40):
        rows = drawn(58 * DAY_HOURS, np.random.default_rng([2026, seed]))
        hours = held(rows)
        for hour in range(28 * DAY_HOURS, len(rows)):
            found = judge_volume(hours, MONDAY + hour, RULE)
            judged += isinstance(found, Usual | Changed)
            changed += isinstance(found, Changed)
    months = judged / 720
    assert months == 40
    assert changed <= months, f"{changed} alarms in {months} months"


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 50)), max_size=40), st.randoms())
def test_the_order_of_records_cannot_show_in_the_hours(records: list, random: object) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    books = Arrivals(), Arrivals()
    for book, order in zip(books, (records, shuffled), strict=True):
        for minute, rows in order:
            book.take("m", minute, rows)
    assert books[0] == books[1]


def test_hours_beyond_the_history_and_models_that_are_gone_are_forgotten() -> None:
    book = Arrivals()
    for hour in range(2 * HISTORY_HOURS):
        book.take("m", hour * HOUR_MINUTES, 1)
    assert len(book.models["m"].rows) == HISTORY_HOURS
    book.take("m", 0, 1)
    assert len(book.models["m"].rows) == HISTORY_HOURS
    book.forget({"other"})
    assert book.models == {}


MADE, RULES = model(rows=500), Rules(drift_windows_s=(3600,))


def folded(days: int, rows_per_hour: int, tail_rows: int) -> tuple[State, list]:
    """`days` of hours with as many rows, one request an hour, then an hour of `tail_rows`."""
    rng, state = np.random.default_rng(3), State()
    hours = [(START_MINUTE // 60 + 1 + hour) * 60 for hour in range(days * DAY_HOURS + 1)]
    records = traffic(rng, minutes=hours[:-1], rows_per_minute=rows_per_hour, rows_per_request=rows_per_hour)[:-1]
    records += traffic(rng, minutes=[hours[-1]], rows_per_minute=tail_rows, rows_per_request=tail_rows)[:-1]
    end = traffic(rng, minutes=[hours[-1] + 60], rows_per_minute=1)
    chunk_ = chunk(*records, *end, made=MADE)
    return state, fold(state, chunk_, settled=True, rules=RULES, references=MADE.references())


def test_a_flood_is_shown_and_requests_no_retraining() -> None:
    state, events = folded(days=9, rows_per_hour=200, tail_rows=5000)
    (line,) = volumes_of(state.arrivals, state.closed, RULES)
    assert (line.model, line.verdict, line.rows) == ("payments", "changed", 5000)
    assert line.expected == pytest.approx(200, rel=0.01)
    assert events == []
    shown = {(s.name, *s.labels.values()): s.value for family in volume_metrics([line]) for s in family.samples}
    assert shown["plumbline_monitor_volume_changed", "payments"] == 1
    assert shown["plumbline_monitor_volume_rows", "payments"] == 5000


def test_hours_come_back_from_a_checkpoint_and_older_checkpoints_have_none() -> None:
    state, _ = folded(days=1, rows_per_hour=5, tail_rows=5)
    stored = store(state)
    back = restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Stored), RULES)
    assert back.arrivals == state.arrivals
    old = msgspec.to_builtins(stored)
    del old["arrivals"]
    assert restore(msgspec.convert(old, Stored), RULES).arrivals == Arrivals()
