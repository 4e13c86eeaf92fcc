"""Load on the demo models: what is sent is what the simulators say, and an incident begins when it is told to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.traffic import PaymentsSource, Trouble, tumour_cells, user_seeds, v1, v2_columns, v2_matrix
from models.demo.incidents import Incident
from models.demo.simulator import FEATURES
from models.demo.tumours import tumours

NOW_S = 1_750_000_000.0


def source(trouble: Trouble | None = None, seed: int = 7) -> PaymentsSource:
    return PaymentsSource(np.random.default_rng(seed), trouble)


@pytest.mark.parametrize("incident", sorted(Incident))
def test_an_incident_changes_nothing_before_it_begins(incident: Incident) -> None:
    calm = source().take(200, now_s=NOW_S, elapsed_s=9.9)
    assert source(Trouble(incident, after_s=10)).take(200, now_s=NOW_S, elapsed_s=9.9) == calm


@pytest.mark.parametrize("incident", sorted(Incident))
def test_an_incident_changes_the_rows_once_it_has_begun(incident: Incident) -> None:
    calm = source().take(200, now_s=NOW_S, elapsed_s=10)
    assert source(Trouble(incident, after_s=10)).take(200, now_s=NOW_S, elapsed_s=10).rows != calm.rows


@pytest.mark.parametrize("incident", sorted(Incident))
def test_only_a_missing_column_is_to_be_refused(incident: Incident) -> None:
    paid = source(Trouble(incident)).take(200, now_s=NOW_S, elapsed_s=1)
    assert paid.refused == (incident is Incident.COLUMN_MISSING)


def test_a_batch_that_the_missing_column_spared_is_to_be_answered() -> None:
    assert not source(Trouble(Incident.COLUMN_MISSING, size=0.0)).take(5, now_s=NOW_S, elapsed_s=1).refused


def test_the_size_of_an_incident_is_handed_on() -> None:
    calm = source().take(50, now_s=NOW_S, elapsed_s=1)
    assert source(Trouble(Incident.UNIT_X1000, size=0.0)).take(50, now_s=NOW_S, elapsed_s=1).rows == calm.rows


@given(st.integers(1, 40))
def test_columns_hold_the_cells_of_the_rows(n: int) -> None:
    paid = source().take(n, now_s=NOW_S, elapsed_s=0)
    inputs = v2_columns(paid.rows)["inputs"]
    assert [column["name"] for column in inputs] == list(FEATURES)
    assert all(column["shape"] == [n, 1] and len(column["data"]) == n for column in inputs)
    assert [
        dict(zip(FEATURES, cells, strict=True)) for cells in zip(*(c["data"] for c in inputs), strict=True)
    ] == paid.rows


def test_a_column_that_the_rows_lack_is_not_sent() -> None:
    paid = source(Trouble(Incident.COLUMN_MISSING)).take(3, now_s=NOW_S, elapsed_s=0)
    assert {column["name"] for column in v2_columns(paid.rows)["inputs"]} == set(FEATURES) - {"country"}


def test_a_matrix_is_flattened_row_after_row() -> None:
    cells = tumour_cells(np.random.default_rng(1), tumours(), 2)
    (tensor,) = v2_matrix("input", cells)["inputs"]
    assert tensor["shape"] == [2, 30]
    assert tensor["data"][30:] == cells[1].tolist()


def test_lists_are_sent_as_they_are() -> None:
    assert v1([[1.0, 2.0]]) == {"instances": [[1.0, 2.0]]}


def test_users_draw_apart_and_a_seed_gives_the_same_users_again() -> None:
    first, again = user_seeds(5), user_seeds(5)
    drawn = [next(first).random() for _ in range(3)]
    assert drawn == [next(again).random() for _ in range(3)]
    assert len(set(drawn)) == 3
