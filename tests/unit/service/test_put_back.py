"""Only what an incident hit is put back: all rows, or those of its segment."""

import numpy as np
import pytest

from models.contract import Column, Kind
from service.put_back import Undo, restored
from service.rows import Row

COLUMNS = (
    Column(name="amount", kind=Kind.FLOAT),
    Column(name="channel", kind=Kind.STRING, categories=("pos", "web")),
    Column(name="mobile", kind=Kind.BOOL),
    Column(name="fee", kind=Kind.FLOAT),
)
RIGHT: list[Row] = [(float(i), "pos" if i % 5 == 0 else "web", i % 5 == 0, -float(i)) for i in range(1, 101)]
BEFORE: list[Row] = [(7.0 if c == "pos" else 8.0, c, m, 1.0) for _, c, m, _ in RIGHT]


@pytest.mark.parametrize("segment", [("channel", "pos"), ("mobile", "true"), ("channel", "po…")])
def test_a_change_of_a_segment_is_undone_in_its_rows_alone(segment: tuple[str, str]) -> None:
    came = [(a * 1000 if c == "pos" else a, c, m, f) for a, c, m, f in RIGHT]
    assert restored(came, COLUMNS, Undo("amount", 1000.0, segment=segment), []) == RIGHT
    swapped = [(f, c, m, a) if c == "pos" else (a, c, m, f) for a, c, m, f in RIGHT]
    assert restored(swapped, COLUMNS, Undo("amount", swapped_with="fee", segment=segment), []) == RIGHT


def test_values_of_a_segment_are_drawn_from_its_rows_before() -> None:
    back = restored(RIGHT, COLUMNS, Undo("amount", segment=("channel", "pos")), BEFORE)
    assert back is not None
    assert [row[0] for row in back] == [7.0 if c == "pos" else a for a, c, _, _ in RIGHT]


def test_without_a_segment_all_rows_are_put_back() -> None:
    came = [(a * 1000, c, m, f) for a, c, m, f in RIGHT]
    assert restored(came, COLUMNS, Undo("amount", 1000.0), []) == RIGHT
    drawn = restored(came, COLUMNS, Undo("amount"), BEFORE)
    assert drawn is not None and set(np.array([row[0] for row in drawn])) == {7.0, 8.0}


@pytest.mark.parametrize("segment", [("channel", "phone"), ("client", "pos")])
def test_a_segment_that_no_row_shows_puts_nothing_back(segment: tuple[str, str]) -> None:
    assert restored(RIGHT, COLUMNS, Undo("amount", 1000.0, segment=segment), BEFORE) is None
