"""Each entry of the catalogue is recognised from a few hundred values, and from values that fit nothing no name comes."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.baseline import column_of_numbers
from models.contract import Column, Kind
from monitoring.explain.bools import recognise_bools
from monitoring.explain.categories import recognise_categories
from monitoring.explain.looks import (
    AnyLook,
    Clipped,
    Frozen,
    Merged,
    Negated,
    NewCategory,
    Offset,
    Renamed,
    Respelt,
    Rounded,
    Scaled,
    Shifted,
    Spread,
    Temperature,
    TrueShare,
    Unit,
    Unrecognised,
    Vanished,
    Weighted,
)
from monitoring.explain.numbers import FACTORS, hit, recognise_numbers
from monitoring.explain.story import phrase
from monitoring.explain.target import Target, edges_of, of_baseline, of_rows
from monitoring.explain.undo import affine

Values = np.ndarray[Any, np.dtype[np.float64]]


def drawn(seed: int, n: int) -> Values:
    """Amounts with cents: skewed, never negative."""
    return np.round(np.exp(np.random.default_rng(seed).normal(3.3, 1.0, n)), 2)


COLUMN = column_of_numbers(Column(name="amount", kind=Kind.FLOAT), drawn(0, 20_000), np.zeros(20_000, dtype=np.bool_))
BASELINE = of_baseline(COLUMN)
assert BASELINE is not None


def recognised(values: Values, target: Target = BASELINE) -> AnyLook:
    return recognise_numbers(values, target, COLUMN.std or 0.0)[0]


@pytest.mark.parametrize("factor", [f for f in FACTORS if 1e-6 <= f <= 1e6])
def test_a_unit_is_named_by_its_factor(factor: float) -> None:
    assert recognised(drawn(1, 300) * factor) == Unit(factor=factor)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x * 1.8 + 32, Temperature(came="°F", expected="°C")),
        (lambda x: (x - 32) / 1.8, Temperature(came="°C", expected="°F")),
        (lambda x: -x, Negated()),
        (lambda x: np.full_like(x, 17.0), Frozen(value="17")),
    ],
)
def test_what_has_no_number_of_its_own_is_named_exactly(change: Callable[[Values], Values], expected: AnyLook) -> None:
    assert recognised(change(drawn(2, 300))) == expected


def test_numbers_that_were_fitted_are_near_the_true_ones() -> None:
    scaled, moved, wide = (
        recognised(change(drawn(3, 600)))
        for change in (lambda x: x * 1.8, lambda x: x + 25, lambda x: 27 + 3 * (x - 27))
    )
    assert isinstance(scaled, Scaled) and scaled.factor == pytest.approx(1.8, rel=0.15)
    assert isinstance(moved, Offset) and moved.by == pytest.approx(25, rel=0.15)
    assert isinstance(wide, Spread) and wide.factor == pytest.approx(3, rel=0.2)


def test_a_share_of_the_rows_is_found_and_which_they_are() -> None:
    values = drawn(4, 500)
    done = np.random.default_rng(5).random(500) < 0.3
    values = np.where(done, values * 1000, values)
    look = recognised(values)
    assert isinstance(look, Unit) and look.factor == 1000
    assert look.share == pytest.approx(done.mean(), abs=0.06)
    assert (hit(look, values, BASELINE) == done).mean() > 0.95


def test_a_limit_and_a_step_are_told_by_their_numbers() -> None:
    before = of_rows(drawn(6, 1000), edges_of(COLUMN))
    assert recognised(np.minimum(drawn(7, 400), 50.0)) == Clipped(
        at=50.0, end="above", share=pytest.approx(0.27, abs=0.05)
    )
    rounded = recognised(np.round(drawn(8, 600) / 20) * 20, before)
    assert isinstance(rounded, Rounded) and rounded.step == 20.0


def test_unchanged_values_and_values_that_nothing_explains_get_no_name() -> None:
    rng = np.random.default_rng(9)
    assert isinstance(recognised(drawn(10, 400)), Unrecognised)
    two_hills = np.where(rng.random(600) < 0.5, rng.normal(5, 0.2, 600), rng.normal(400, 5, 600))
    assert isinstance(recognised(two_hills), Unrecognised)
    assert isinstance(recognised(drawn(11, 5) * 1000), Unrecognised)


def test_whole_numbers_over_a_wide_range_are_explained_in_little_memory() -> None:
    rng, year_ms = np.random.default_rng(14), 31_000_000_000
    whole = np.floor(1.7e12 + rng.random(20_000) * year_ms)
    column = column_of_numbers(Column(name="at_ms", kind=Kind.INT), whole, np.zeros(20_000, np.bool_))
    tracemalloc.start()
    target = of_baseline(column)
    assert target is not None
    look, _ = recognise_numbers(whole[:600] / 1000, target, column.std or 0.0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert look == Unit(factor=0.001)
    assert peak_bytes < 20_000_000
    assert np.array_equal(target.values, np.floor(target.values))
    assert target.counts(np.array(column.edges))[0] == pytest.approx(target.values.size / 10, abs=1)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_a_shift_is_told_in_sigma_also_where_squares_leave_the_range_of_a_double(size: float) -> None:
    rng = np.random.default_rng(15)
    values = rng.normal(100, 2, 20_000) * size
    target = of_rows(values[:2000], np.quantile(values, np.linspace(0, 1, 11)))
    look, _ = recognise_numbers(rng.normal(104, 2, 600) * size, target, 0.0)
    assert isinstance(look, Shifted | Scaled | Offset) and look.shift == pytest.approx(2.0, abs=0.3)


def test_a_factor_and_an_offset_that_a_column_cannot_tell_apart_are_a_shift() -> None:
    rng = np.random.default_rng(12)
    normal = column_of_numbers(
        Column(name="t", kind=Kind.FLOAT), rng.normal(100, 2, 20_000), np.zeros(20_000, np.bool_)
    )
    target = of_baseline(normal)
    assert target is not None
    look, _ = recognise_numbers(rng.normal(100, 2, 300) * 1.02, target, 2.0)
    assert isinstance(look, Shifted) and look.shift == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize(
    "look", [Unit(factor=60.0), Temperature(came="°F", expected="°C"), Negated(), Offset(by=3, shift=1)]
)
def test_what_was_done_is_undone(look: AnyLook) -> None:
    pair = affine(look)
    assert pair is not None
    assert affine(Unrecognised(rows=3)) is None
    values = drawn(13, 10)
    assert np.allclose((values * pair[0] + pair[1] - pair[1]) / pair[0], values)


@pytest.mark.parametrize("n", [300, 1500, 10_000])
def test_a_number_that_was_fitted_is_no_name_for_values_that_were_mirrored(n: int) -> None:
    rng = np.random.default_rng(16)
    scores = column_of_numbers(Column(name="s", kind=Kind.FLOAT), rng.beta(2, 5, 20_000), np.zeros(20_000, np.bool_))
    for target in (of_baseline(scores), of_rows(rng.beta(2, 5, 1500), edges_of(scores))):
        assert target is not None
        assert isinstance(recognise_numbers(1 - rng.beta(2, 5, n), target, scores.std or 0.0)[0], Unrecognised)


def test_a_bool_says_how_often_it_is_true() -> None:
    trained = np.array([7000.0, 3000.0])
    moved = recognise_bools(trained, np.array([300.0, 300.0]), 10_000.0)
    assert moved == TrueShare(trained=0.3, now=0.5, share=0.2)
    assert phrase(moved) == "is true in 50 % of the rows (at training 30 %)"
    inverted = recognise_bools(trained, np.array([180.0, 420.0]), 10_000.0)
    assert inverted == TrueShare(trained=0.3, now=0.7, inverted=True, share=0.4)
    assert phrase(inverted) == "is true in 70 % of the rows (at training 30 %), as if inverted"
    assert affine(inverted) is None
    assert recognise_bools(trained, np.array([0.0, 600.0]), 10_000.0) == Frozen(value="true")
    assert recognise_bools(np.array([10_000.0, 0.0]), np.array([300.0, 300.0]), 10_000.0) == TrueShare(
        trained=0.0, now=0.5, share=0.5
    )
    assert isinstance(recognise_bools(trained, np.array([210.0, 90.0]), 10_000.0), Unrecognised)
    assert isinstance(recognise_bools(np.zeros(2), np.array([210.0, 90.0]), 0.0), Unrecognised)


NAMES = ("a", "b", "c", "d")
EXPECTED = np.array([4000.0, 3000.0, 2000.0, 1000.0])


def categories(counts: list[int], **unseen: int) -> AnyLook:
    return recognise_categories(NAMES, EXPECTED, np.array(counts, dtype=np.float64), unseen, 10_000.0)[0]


def test_each_change_of_categories_has_its_name() -> None:
    assert categories([280, 210, 140, 70], new=300) == NewCategory(names=("new",), share=0.3)
    assert categories([400, 300, 0, 100], cc=200) == Renamed(old="c", new="cc", share=0.2)
    assert categories([0, 0, 0, 0], A=400, B=300, C=200, D=100) == Respelt(example="A", share=1.0)
    assert categories([400, 300, 0, 300]) == Merged(old="c", into="d", share=0.2)
    assert categories([500, 375, 0, 125]) == Vanished(category="c", trained=0.2, share=0.2)
    assert isinstance(categories([700, 150, 100, 50]), Weighted)
    assert categories([0, 600, 0, 0]) == Frozen(value="b")
    assert isinstance(categories([400, 300, 200, 100]), Unrecognised)
