"""The fault table, with few repetitions: every row holds. The long way: `python -m tests.promises.faults`."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.promises.faults.row import Impossible, Row, Tally
from tests.promises.faults.rows import ROWS

SEED = 20_261_121


def marked(rows: Iterable[Row]) -> list[object]:
    return [
        pytest.param(row, id=row.fault, marks=pytest.mark.integration if row.serves else pytest.mark.simulation)
        for row in rows
    ]


@pytest.mark.parametrize("row", marked(ROWS))
def test_no_fault_loses_or_doubles_what_was_acknowledged(row: Row, tmp_path: Path) -> None:
    try:
        tally = row.run(tmp_path, row.few, random.Random(SEED))
    except Impossible as error:
        pytest.skip(str(error))
    assert (tally.lost, tally.duplicated, tally.broken) == (0, 0, []), f"seed {SEED}"
    assert tally.held and tally.acknowledged > 0


def test_a_row_that_loses_doubles_or_breaks_anything_has_not_held() -> None:
    for told, found in ((["a", "b"], ["a"]), (["a"], ["a", "a"])):
        tally = Tally()
        tally.add(told, found)
        assert not tally.held
    broken = Tally(injections=1)
    assert broken.held
    broken.expect(False, "something else")
    assert not broken.held
    assert not Tally().held  # nothing was injected


def test_the_bound_is_that_of_the_rule_of_three() -> None:
    assert Tally(injections=300).bound == pytest.approx(0.01)
