"""The power card says what a simulation of the judge finds, and says why where nothing is seen."""

import numpy as np
import pytest

from models.baseline import SPECIALS, ColumnBaseline, Special, bin_numbers, column_of_codes, column_of_numbers
from models.contract import Column, Kind
from monitoring.drift import DriftRule, look_for_drift
from monitoring.power.card import HORIZONS_S, POWER, ROWS_PER_MINUTE_MAX, card, chances
from monitoring.power.shifts import SHIFT_MAX, Change, changed, changes, training
from monitoring.reference import Reference
from monitoring.rules import Rules
from tests.unit.monitoring.made import model

ALPHA, TOLERANCE, CONFIDENCE, ROWS = 1e-8, 0.01, 0.999, 10_000
NOTHING = np.zeros(ROWS, dtype=np.bool_)


def number(rng: np.random.Generator) -> ColumnBaseline:
    return column_of_numbers(Column(name="x", kind=Kind.FLOAT), rng.normal(size=ROWS), NOTHING)


def text(rng: np.random.Generator, null: float = 0.0) -> ColumnBaseline:
    about = Column(name="c", kind=Kind.STRING, categories=tuple("abc"), nullable=True)
    return column_of_codes(about, rng.choice(3, ROWS, p=[0.6, 0.3, 0.1]), rng.random(ROWS) < null)


@pytest.mark.simulation
@pytest.mark.parametrize(("rows", "amount"), [(120, 0.6), (500, 0.36), (2000, 0.17)])
def test_the_predicted_chance_is_what_the_judge_does(rows: int, amount: float) -> None:
    rng, samples, looks = np.random.default_rng(5), 12, 50
    predicted = seen = 0.0
    for _ in range(samples):
        column = number(rng)
        alone = Reference.laid_out([column])
        levels = {"alphas": np.array([ALPHA]), "tolerances": np.array([TOLERANCE]), "naturals": np.zeros(1)}
        predicted += (
            chances(alone, changed(column, Change.SHIFT, amount), np.array([rows]), confidence=CONFIDENCE, **levels)[0]
            / samples
        )
        counts = np.zeros((looks, alone.size), dtype=np.int64)
        for one in counts:
            one[: column.bins] = np.bincount(bin_numbers(column, rng.normal(amount, 1, rows)), minlength=column.bins)
        rule = DriftRule(ALPHA, 100, CONFIDENCE, TOLERANCE)
        found = look_for_drift(alone, counts, [60] * looks, [rule] * looks)
        seen += sum(bool(look.drifted[0]) for look in found) / looks / samples
    assert abs(predicted - seen) < 0.1  # four standard deviations of 600 looks at a half


def test_a_change_of_nothing_is_the_training_distribution_and_every_change_adds_up_to_one() -> None:
    rng = np.random.default_rng(6)
    for column in (
        number(rng),
        text(rng, 0.1),
        column_of_numbers(Column(name="k", kind=Kind.INT), rng.integers(0, 5, ROWS), NOTHING),
    ):
        for limits in changes(column):
            assert np.abs(changed(column, limits.change, 0.0) - training(column)).max() < 2 / ROWS
            for share in (0.1, 0.5, 1.0):
                assert changed(column, limits.change, share * limits.most).sum() == pytest.approx(1.0)


def test_a_number_that_moves_far_lies_above_its_training_range() -> None:
    column = number(np.random.default_rng(7))
    assert changed(column, Change.SHIFT, 4 * SHIFT_MAX)[Special.ABOVE] > 0.99


def test_the_commonest_category_loses_what_the_others_win_and_nulls_are_asked_where_training_had_them() -> None:
    rng = np.random.default_rng(8)
    assert [limits.change for limits in changes(text(rng))] == [Change.CATEGORY]
    assert [limits.change for limits in changes(text(rng, 0.1))] == [Change.CATEGORY, Change.NULLS]
    column = text(rng)
    lost = changed(column, Change.CATEGORY, 0.2) - training(column)
    assert lost[SPECIALS] == pytest.approx(-0.2)
    assert (lost[SPECIALS + 1 :] > 0).all()


def test_a_bool_and_a_number_with_one_bin_a_value_move_by_points_of_their_commonest_value() -> None:
    rng = np.random.default_rng(9)
    flag = (rng.random(ROWS) < 0.1).astype(float)
    for kind, values in ((Kind.BOOL, flag), (Kind.INT, flag), (Kind.FLOAT, rng.integers(0, 5, ROWS) * 1.0)):
        column = column_of_numbers(Column(name="b", kind=kind), values, NOTHING)
        (limits,) = changes(column)
        before, after = training(column), changed(column, limits.change, 0.05)
        assert limits.change is Change.VALUE
        assert before.max() - after[before.argmax()] == pytest.approx(0.05)
        assert after[:SPECIALS].sum() == before[:SPECIALS].sum()


def test_what_is_not_within_says_whether_rows_or_windows_are_missing() -> None:
    rules = Rules(drift_windows_s=(86_400,))
    made = card(model().reference, rules, model="m", version="1", versions=1, rows_per_minute=1000.0)
    assert [one.why for one in made.columns[0].within] == ["no window ends in that time"] * 3
    thin = card(model().reference, Rules(), model="m", version="1", versions=1, rows_per_minute=0.01)
    assert "too few rows" in thin.columns[0].within[0].why
    most = card(model().reference, Rules(), model="m", version="1", versions=1, rows_per_minute=ROWS_PER_MINUTE_MAX)
    assert all(one.amount is not None for one in most.columns[0].within)


def test_more_traffic_and_more_time_see_less_and_a_window_says_where() -> None:
    reference, amounts = model().reference, []
    for rate in (5.0, 50.0, 500.0):
        made = card(reference, Rules(), model="m", version="1", versions=1, rows_per_minute=rate)
        first = made.columns[0]
        assert (first.column, first.unit) == ("f0", Change.SHIFT)
        found = [within.amount for within in first.within if within.amount is not None]
        assert found == sorted(found, reverse=True)
        assert all(within.window_s < within.seconds for within in first.within if within.window_s)
        amounts.append(first.within[-1].amount)
    assert amounts == sorted(amounts, reverse=True)


def test_too_little_traffic_and_a_wide_tolerance_say_why_nothing_is_seen() -> None:
    reference = model().reference
    thin = card(reference, Rules(), model="m", version="1", versions=1, rows_per_minute=0.01)
    assert {within.why.split(":")[0] for one in thin.columns for within in one.within} == {"too few rows"}
    wide = card(reference, Rules(tolerances={"m": 1e6}), model="m", version="1", versions=1, rows_per_minute=100)
    assert {within.why.split(":")[0] for one in wide.columns for within in one.within} == {"not even the largest"}
    assert len(thin.columns[0].within) == len(HORIZONS_S)
    assert 0 < POWER < 1
