"""Categories that vanish: found by name, told apart from nulls and from rare values, and quiet where training had them gone."""

import numpy as np
import pytest
from msgspec.structs import replace

from models.baseline import SPECIALS, ColumnBaseline, Special, column_of_numbers
from models.contract import Column, Kind
from models.free_text import column_of_texts
from monitoring.collapse import COLLAPSE, collapsible, fallen
from monitoring.reference import Extra, Reference
from monitoring.skew import SkewRule, checks_of, judge_skew, oddities
from monitoring.verdict import Drifted, Stable, TooFewSamples, Verdict

RULE = SkewRule(n_min=100, confidence=0.999, tolerance=0.01)
CHANNELS = ColumnBaseline(
    name="channel",
    kind=Kind.STRING,
    categories=("app", "branch", "phone", "web"),
    counts=(*[0] * SPECIALS, 5000, 50, 950, 4000),
)
RETURNING = column_of_numbers(
    Column(name="returning", kind=Kind.BOOL), np.repeat([0.0, 1.0], [3000, 7000]), np.zeros(10_000, bool)
)
REFERENCE = Reference.laid_out([CHANNELS, RETURNING])


def window(channels: list[int], returning: tuple[int, int] | None = None, nulls: int = 0) -> np.ndarray:
    rows = sum(channels) + nulls
    returning = returning or (rows * 3 // 10, rows - rows * 3 // 10)
    counts = np.zeros(REFERENCE.size, dtype=np.int64)
    counts[SPECIALS : SPECIALS + 4] = channels
    counts[Special.NULL] = nulls
    start = REFERENCE.starts[1] + SPECIALS
    counts[start : start + 2] = returning
    counts[REFERENCE.starts[-1] + Extra.ROWS_ANSWERED] = rows
    return counts


def found(counts: np.ndarray, reference: Reference = REFERENCE, natural: float = 0.0) -> dict[str, Verdict]:
    odd = [one for one in oddities(reference, counts) if one.kind == COLLAPSE]
    verdicts = judge_skew(odd, [natural] * len(odd), [1e-7] * len(odd), RULE)
    return {f"{reference.columns[one.column].name}={one.what}": v for one, v in zip(odd, verdicts, strict=True)}


def test_a_category_that_vanished_is_named_with_its_rates() -> None:
    (name, verdict), *others = found(window([550, 5, 4, 441])).items()
    assert not others
    assert name == "channel=phone"
    assert isinstance(verdict, Drifted)
    assert verdict.statistic == 0.004
    assert verdict.trained == 0.095
    assert verdict.low is not None and verdict.high is not None
    assert verdict.low < 0.004 < verdict.high < 0.095 / 5
    assert verdict.effect == pytest.approx(0.091)


def test_a_category_that_keeps_a_third_is_listed_and_has_not_collapsed() -> None:
    (verdict,) = found(window([5500, 50, 317, 4100])).values()
    assert isinstance(verdict, Stable)
    assert verdict.significant


def test_a_category_that_keeps_half_of_its_share_or_that_training_hardly_had_is_not_listed() -> None:
    assert found(window([550, 0, 60, 390])) == {}


def test_with_few_rows_a_missing_category_says_nothing() -> None:
    (verdict,) = found(window([70, 0, 0, 28])).values()
    assert verdict == TooFewSamples(98, 100)
    (verdict,) = found(window([100, 0, 0, 0])).values()  # `web` had four tenths of the rows
    assert isinstance(verdict, Drifted)
    (verdict,) = found(window([60, 0, 0, 40])).values()  # none of `phone` among a hundred: one time in 22 000 by chance
    assert isinstance(verdict, Stable)
    assert not verdict.significant


def test_a_burst_of_nulls_is_no_collapse_of_every_category() -> None:
    assert found(window([55, 1, 10, 44], nulls=9000)) == {}
    nothing = found(window([0, 0, 0, 0], nulls=9000))
    assert list(nothing.values()) == [TooFewSamples(0, 100)]  # nobody can tell


def test_the_value_of_a_bool_can_collapse() -> None:
    (verdict,) = found(window([550, 5, 95, 350], returning=(995, 5))).values()
    assert isinstance(verdict, Drifted)
    assert "returning=true" in found(window([550, 5, 95, 350], returning=(995, 5)))


def test_of_two_vanished_categories_the_one_that_rows_contradict_most_is_named() -> None:
    counts = window([1000, 0, 0, 0])
    assert list(found(counts)) == ["channel=web"]
    assert fallen(REFERENCE, counts)[0].m == 10_000


def test_frequent_values_of_free_text_can_collapse_and_buckets_cannot() -> None:
    texts = np.array(["chain"] * 600 + [f"shop {number}" for number in range(400)], dtype=np.object_)
    merchant, _ = column_of_texts(Column(name="merchant", kind=Kind.STRING), texts, np.zeros(1000, np.bool_))
    reference = Reference.laid_out([merchant])
    assert np.flatnonzero(collapsible(reference)).tolist() == [SPECIALS]
    counts = np.zeros(reference.size, dtype=np.int64)
    counts[SPECIALS + 1] = 500  # one bucket has all
    counts[reference.starts[-1] + Extra.ROWS_ANSWERED] = 500
    (verdict,) = found(counts, reference).values()
    assert isinstance(verdict, Drifted)
    assert list(found(counts, reference)) == ["merchant=chain"]


def test_every_watched_category_has_a_share_of_the_budget() -> None:
    assert checks_of(REFERENCE) == 2 * SPECIALS + 2 + 3 + 2


def test_a_category_that_training_blocks_were_without_may_be_gone_as_long_as_they_were() -> None:
    seasonal = Reference.laid_out([replace(CHANNELS, natural=((3600, 0.25), (86_400, 0.002)))])
    counts = np.zeros(seasonal.size, dtype=np.int64)
    counts[SPECIALS : SPECIALS + 4] = [5600, 50, 0, 4400]
    counts[seasonal.starts[-1] + Extra.ROWS_ANSWERED] = 10_050
    hour, day = (float(seasonal.natural(covered_s)[0]) for covered_s in (3600, 86_400))
    (by_night,), (all_day,) = (found(counts, seasonal, natural).values() for natural in (hour, day))
    assert isinstance(by_night, Stable)  # an hour without `phone` lies 0.2 from the whole: hours do
    assert isinstance(all_day, Drifted)


@pytest.mark.parametrize(("value", "name"), [(0.0, "false"), (1.0, "true")])
def test_the_only_value_that_training_had_of_a_bool_is_named_when_it_is_gone(value: float, name: str) -> None:
    column = column_of_numbers(Column(name="on", kind=Kind.BOOL), np.full(5000, value), np.zeros(5000, bool))
    reference = Reference.laid_out([column])
    counts = np.zeros(reference.size, dtype=np.int64)
    counts[Special.BELOW if value else Special.ABOVE] = 1000
    counts[reference.starts[-1] + Extra.ROWS_ANSWERED] = 1000
    assert [one.what for one in fallen(reference, counts)] == [name]
