"""Rows are told apart by the columns that have something to tell, and the others are named."""

import numpy as np
import pytest

from service.domain import ROWS_MIN, tell_apart

NAN = np.nan


def sides(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 2)), rng.normal(size=(n, 2))


@pytest.mark.parametrize("n", [300, 2000])
@pytest.mark.parametrize("rare", [0, 1])
@pytest.mark.parametrize("categorical", [False, True])
def test_a_column_that_is_null_on_both_sides_is_left_out_and_named(n: int, rare: int, categorical: bool) -> None:
    before, after = sides(n)
    before[:, 1] = after[:, 1] = NAN
    before[:rare, 1] = 1.0
    told = tell_apart(["a", "b"], [False, categorical], before, after)
    assert told is not None
    assert (told.left_out, [name for name, _ in told.gives_away]) == (("b",), ["a"])
    assert told.low < 0.5 < told.high


def test_nulls_of_a_column_with_one_value_still_give_rows_away() -> None:
    before, after = sides()
    before[:, 1], after[:, 1] = 5.0, NAN
    told = tell_apart(["a", "b"], [False, False], before, after)
    assert told is not None
    assert (told.left_out, told.gives_away[0][0], told.auc) == ((), "b", 1.0)


def test_where_no_column_has_two_values_or_a_side_is_short_nothing_is_told() -> None:
    alike = np.full((300, 2), 3.0)
    assert tell_apart(["a", "b"], [False, True], alike, alike) is None
    before, after = sides(ROWS_MIN - 1)
    assert tell_apart(["a", "b"], [False, False], before, after) is None


def test_infinite_values_are_asked_as_they_are() -> None:
    before, after = sides()
    after[:, 0] = np.inf
    told = tell_apart(["a", "b"], [False, False], before, after)
    assert told is not None and told.auc == 1.0
