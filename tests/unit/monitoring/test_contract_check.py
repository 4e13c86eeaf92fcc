"""Every kind of the contract check, end to end: records in, a breach of that kind and column out, else nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from models.baseline import SPECIALS, ColumnBaseline, bin_codes
from models.contract import Kind
from models.natural import blocks, tolerance
from monitoring.alert import Standing
from monitoring.fold import fold
from monitoring.judge import Judgement, Window, judge
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.tier import Scale
from monitoring.verdict import Drifted
from service.featurelog.record import Block, Outcome, Problem, Request, SkewKind
from tests.unit.monitoring.made import (
    CITIES,
    MINUTE_US,
    START_MINUTE,
    Rows,
    chunk,
    heartbeat,
    model,
    refused,
    request,
    rows,
)

MADE = model()
RULES = Rules(drift_windows_s=(60,))
N, ODD = 2000, 200  # rows of the hour, and those that are odd

Change = Callable[[Rows], None]


def floats(column: int, value: float) -> Change:
    def change(data: Rows) -> None:
        data.floats[:ODD, column] = value

    return change


def scores(value: float) -> Change:
    def change(data: Rows) -> None:
        data.scores[:ODD] = value

    return change


def cities(code: int) -> Change:
    def change(data: Rows) -> None:
        data.cities[:ODD] = code

    return change


def without_oslo(data: Rows) -> None:
    data.cities[data.cities == CITIES.index("oslo")] = CITIES.index("riga")


def null_cities(asked: Request) -> Request:
    marks = np.zeros((N, 4), np.uint8)
    marks[:ODD, 3] = 1
    assert asked.features is not None
    return replace(asked, features=Block(N, asked.features.cells, marks.tobytes()))


def judged(*requests: Request) -> Judgement:
    """The judgement of the minute after."""
    state, end = State(), heartbeat((START_MINUTE + 1) * MINUTE_US + 10_000_000)
    fold(state, chunk(*requests, end, made=MADE), settled=True, rules=RULES, references=MADE.references())
    (found,) = state.judged.values()
    return found.judgement


def breaches(*requests: Request) -> set[tuple[str, str, str]]:
    """(side, column, kind) of all skew that breaches."""
    found = judged(*requests).breaching
    return {(f.check.side, f.check.column, f.check.test) for f in found if f.check.test != "drift"}


def usual(change: Change | None = None) -> Request:
    data = rows(N, np.random.default_rng(9))
    if change is not None:
        change(data)
    return request(START_MINUTE * MINUTE_US, data)


def turned_away(kind: SkewKind, column: str) -> Request:
    return refused(START_MINUTE * MINUTE_US, problems=[Problem(kind, column, ODD)], rows=ODD)


@pytest.mark.parametrize(
    ("change", "side", "column", "kind"),
    [
        (floats(0, np.nan), "feature", "f0", "nan"),
        (floats(1, np.inf), "feature", "f1", "pos_inf"),
        (floats(1, -np.inf), "feature", "f1", "neg_inf"),
        (floats(2, -99.0), "feature", "f2", "below"),
        (floats(2, 99.0), "feature", "f2", "above"),
        (cities(-1), "feature", "city", "unseen"),
        (without_oslo, "feature", "city", "collapse"),
        (scores(np.nan), "output", "score", "nan"),
        (scores(np.inf), "output", "score", "pos_inf"),
        (scores(-np.inf), "output", "score", "neg_inf"),
        (scores(-1.0), "output", "score", "below"),
        (scores(2.0), "output", "score", "above"),
    ],
)
def test_every_kind_is_found_in_answered_rows(change: Change, side: str, column: str, kind: str) -> None:
    assert breaches(usual(change)) == {(side, column, kind)}


def test_nulls_that_training_had_none_of_are_found_in_answered_rows() -> None:
    assert breaches(null_cities(usual())) == {("feature", "city", "null")}


@pytest.mark.parametrize(
    ("fault", "column", "side", "kind"),
    [
        (SkewKind.ABSENT, "f0", "feature", "absent"),
        (SkewKind.NULL, "f1", "feature", "null"),
        (SkewKind.NAN, "f1", "feature", "nan"),
        (SkewKind.WRONG_TYPE, "city", "feature", "wrong_type"),
        (SkewKind.WRONG_TYPE, "", "request", "shape"),  # a whole row of another type
        (SkewKind.UNKNOWN, "", "request", "new"),
        (SkewKind.SHAPE, "", "request", "shape"),
        (SkewKind.SHAPE, "f0", "request", "shape"),
    ],
)
def test_every_kind_is_found_in_rejected_rows(fault: SkewKind, column: str, side: str, kind: str) -> None:
    assert breaches(usual(), turned_away(fault, column)) == {(side, column if side == "feature" else "", kind)}
    found = judged(usual(), turned_away(fault, column)).breaching
    (verdict,) = [f.verdict for f in found if f.check.test == kind]
    assert isinstance(verdict, Drifted)
    assert verdict.n == N + ODD


def test_rows_as_at_training_have_no_breach() -> None:
    found = judged(usual())
    assert found.standing is Standing.CLEAR
    assert found.breaching == ()


@pytest.mark.parametrize("refusal", [Outcome.REJECTED, Outcome.SHED, Outcome.FAILED])
def test_rows_that_nobody_looked_at_hide_no_skew(refusal: Outcome) -> None:
    unread = refused(START_MINUTE * MINUTE_US, refusal, rows=100_000)  # too many, too fast, or without a key
    odd = turned_away(SkewKind.NULL, "f1")
    assert breaches(usual(), odd, unread) == breaches(usual(), odd) == {("feature", "f1", "null")}


HOURS, ROWS = 24 * 28, 1500
CHANNELS = ("app", "night", "web")


def seasonal(hours: int, rng: np.random.Generator) -> np.ndarray:
    """Codes by hour, shape (hours, ROWS): `night` has a quarter by night and nothing by day, nulls (−2) 1 to 9 %."""
    hour = np.arange(hours)[:, None] % 24
    draw, missing = rng.uniform(size=(hours, ROWS)), rng.uniform(size=(hours, ROWS))
    by_night = np.where((hour < 6) & (draw < 0.25), 1, np.where(draw < 0.6, 0, 2))
    return np.where(missing < 0.05 - 0.04 * np.cos(2 * np.pi * hour / 24), -2, by_night)


def learnt(codes: np.ndarray) -> Reference:
    """The reference of these hours, with the tolerance that `models add --time` learns."""
    at_s, flat = np.repeat(np.arange(len(codes)) * 3600.0, ROWS), codes.ravel()
    index = bin_codes(np.maximum(flat, 0), flat == -2)
    counts = np.bincount(index, minlength=SPECIALS + len(CHANNELS))
    natural = tuple((length_s, tolerance(index, block, counts)) for length_s, block in blocks(at_s))
    channel = ColumnBaseline(
        name="channel", kind=Kind.STRING, categories=CHANNELS, counts=tuple(counts.tolist()), natural=natural
    )
    return Reference.laid_out([channel])


def window_of(reference: Reference, codes: np.ndarray, window_s: int) -> Window:
    flat = codes.ravel()
    counts = np.zeros(reference.size, dtype=np.int64)
    counts[: reference.starts[-1]] = np.bincount(
        bin_codes(np.maximum(flat, 0), flat == -2), minlength=reference.starts[-1]
    )
    counts[reference.starts[-1] + Extra.ROWS_ANSWERED] = flat.size
    return Window(Scale.of(window_s), window_s, counts)


@pytest.mark.simulation
def test_unchanged_traffic_with_seasons_makes_no_skew_in_half_a_simulated_year() -> None:
    reference = learnt(seasonal(HOURS, np.random.default_rng(1)))
    rules = Rules(drift_windows_s=(3600, 86_400))
    alarms = []
    for seed in range(7):
        codes = seasonal(HOURS, np.random.default_rng([2026, seed]))
        for hour in range(23, HOURS):
            windows = [
                window_of(reference, codes[hour : hour + 1], 3600),
                window_of(reference, codes[hour - 23 : hour + 1], 86_400),
            ]
            found = judge(reference, windows, rules, model="m", versions=1, latched=frozenset())
            alarms += [(seed, hour, f.check.id) for f in found.breaching if f.check.test != "drift"]
    assert alarms == []


def test_where_seasons_were_learnt_a_day_without_the_category_and_a_burst_of_nulls_are_still_seen() -> None:
    reference = learnt(seasonal(HOURS, np.random.default_rng(1)))
    codes = seasonal(24, np.random.default_rng(2))
    gone, nulls = codes.copy(), codes.copy()
    gone[gone == 1] = 0
    nulls[12, :600] = -2
    rules = Rules(drift_windows_s=(3600, 86_400))
    for changed, kind, window_s in ((gone, "collapse", 86_400), (nulls, "null", 3600)):
        windows = [window_of(reference, changed[12:13], 3600), window_of(reference, changed, 86_400)]
        found = judge(reference, windows, rules, model="m", versions=1, latched=frozenset()).breaching
        assert (kind, window_s) in {(f.check.test, f.check.window_s) for f in found}


def test_a_drift_tolerance_that_was_set_says_nothing_of_nulls() -> None:
    reference = learnt(seasonal(HOURS, np.random.default_rng(1)))
    codes = seasonal(24, np.random.default_rng(2))
    codes[12, :600] = -2
    windows = [window_of(reference, codes[12:13], 3600)]
    learnt_one, set_one = (
        [
            (f.check, f.verdict)
            for f in judge(reference, windows, rules, model="m", versions=1, latched=frozenset()).breaching
            if f.check.test == "null"
        ]
        for rules in (Rules(drift_windows_s=(3600,)), Rules(drift_windows_s=(3600,), tolerances={"m": 5.0}))
    )
    assert learnt_one == set_one != []
