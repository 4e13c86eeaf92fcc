import copy

import numpy as np
import pytest

from models.demo.incidents import FROZEN_MINUTES, INCIDENTS, NEW_CATEGORY, Incident, apply
from models.demo.seasons import arrivals
from models.demo.simulator import LOG_AMOUNT_STD, MERCHANTS, Row, payments, rows


def traffic(n_minutes: int = 100) -> list[Row]:
    rng = np.random.default_rng(11)
    return rows(payments(rng, arrivals(rng, 1_780_272_000, 1_780_272_000 + 60 * n_minutes, 30)))


ROWS = traffic()


def during(incident: Incident, size: float | None = None, seed: int = 5) -> list[Row]:
    return apply(incident, ROWS, rng=np.random.default_rng(seed), size=size)


def column(name: str, of: list[Row]) -> list[float]:
    return [row[name] for row in of]  # type: ignore[misc]


def share(hit: list[bool]) -> float:
    return sum(hit) / len(hit)


@pytest.mark.parametrize("incident", Incident)
def test_an_incident_touches_only_its_columns_and_leaves_the_given_rows_alone(incident: Incident) -> None:
    before = copy.deepcopy(ROWS)
    after = during(incident)
    assert before == ROWS
    assert after == during(incident)
    assert len(after) == len(ROWS)
    assert after != ROWS
    touched = INCIDENTS[incident].columns
    for old, new in zip(ROWS, after, strict=True):
        assert new.keys() - touched == old.keys() - set(touched)
        assert all(new[name] == old[name] for name in old if name not in touched)


@pytest.mark.parametrize("incident", [i for i in Incident if INCIDENTS[i].size_means == "share of the rows"])
def test_a_size_that_is_a_share_hits_that_share_of_the_rows(incident: Incident) -> None:
    changed = [old != new for old, new in zip(ROWS, during(incident, 0.25), strict=True)]
    assert share(changed) == pytest.approx(0.25, abs=0.03)
    assert during(incident, 0.0) == ROWS


def test_a_mean_shift_moves_the_log_amount_by_its_size_in_sigma() -> None:
    moved = np.log(column("amount", during(Incident.MEAN_SHIFT, 0.5))) - np.log(column("amount", ROWS))
    assert np.median(moved) == pytest.approx(0.5 * LOG_AMOUNT_STD, abs=0.01)
    assert np.log(column("amount", ROWS)).std() == pytest.approx(LOG_AMOUNT_STD, rel=0.1)


def test_a_wrong_unit_multiplies_every_amount_by_a_thousand() -> None:
    assert column("amount", during(Incident.UNIT_X1000)) == pytest.approx([1000 * x for x in column("amount", ROWS)])


def test_a_null_burst_takes_the_ages_away() -> None:
    assert share([row["customer_age"] is None for row in during(Incident.NULL_BURST)]) == pytest.approx(0.44, abs=0.03)


def test_a_new_category_is_one_that_training_never_saw() -> None:
    assert NEW_CATEGORY not in MERCHANTS
    seen = [row["merchant_category"] == NEW_CATEGORY for row in during(Incident.NEW_CATEGORY)]
    assert share(seen) == pytest.approx(0.3, abs=0.03)


def test_swapped_columns_carry_each_others_values() -> None:
    after = during(Incident.COLUMNS_SWAPPED)
    assert column("account_age_days", after) == column("payments_last_24h", ROWS)
    assert column("payments_last_24h", after) == column("account_age_days", ROWS)


def test_a_frozen_column_has_one_value() -> None:
    assert set(column("minutes_since_last", during(Incident.COLUMN_FROZEN))) == {FROZEN_MINUTES}


def test_a_missing_column_is_absent_and_not_null() -> None:
    assert not any("country" in row for row in during(Incident.COLUMN_MISSING))


def test_a_season_is_slow_and_begins_at_nothing() -> None:
    assert during(Incident.SEASONAL_CHANGE, 0.0) == ROWS
    week = np.median(np.array(column("amount", during(Incident.SEASONAL_CHANGE, 7.0))) / column("amount", ROWS))
    month = np.median(np.array(column("amount", during(Incident.SEASONAL_CHANGE, 30.0))) / column("amount", ROWS))
    assert 1.01 < week < 1.03
    assert 1.03 < month < 1.06


def test_no_rows_stay_no_rows() -> None:
    assert all(apply(incident, [], rng=np.random.default_rng(1)) == [] for incident in Incident)
