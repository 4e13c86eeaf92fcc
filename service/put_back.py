"""What a version answers to rows as they came, and to the same rows with a column put back.

Laws
- A column is put back by undoing what its story says was done to it; where that cannot be undone, its values are drawn from the
  rows before the change, by a seeded permutation, which keeps the column's own distribution and no relation to others.
- Of a change that a segment alone has, only the rows of the segment are put back, and drawn from its rows before.
- Both are run by the session that the service runs, in the same order; what differs is the column.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from models.contract import Column, Kind
from service.rows import Row, Table
from service.served import ServedVersion

SEED = 1
ROWS_A_RUN = 1024

Floats = npt.NDArray[np.float64]


class Undo(msgspec.Struct, frozen=True):
    """Of a story's column: the present value is `factor` × the right one + `by`; or another column has it: `swapped_with`.

    `segment`: (feature, value) where only the rows with that value are hit.
    """

    column: str
    factor: float | None = None
    by: float = 0.0
    swapped_with: str = ""
    segment: tuple[str, str] | None = None


class Moved(NamedTuple):
    """How one output differs: `came` and `back` are its means, differences are of single rows, `changed` a share of them."""

    output: str
    came: float
    back: float
    difference_mean: float
    difference_p90: float
    changed: float


def restored(rows: Sequence[Row], columns: Sequence[Column], undo: Undo, before: Sequence[Row]) -> list[Row] | None:
    """The rows with the column put back in those that were hit; None where none were, or nothing is there to put back from."""
    names = [column.name for column in columns]
    place = names.index(undo.column)
    hit = _hit(rows, names, undo.segment)
    known = [row for row, is_in in zip(before, _hit(before, names, undo.segment), strict=True) if is_in]
    if not any(hit):
        return None
    if undo.swapped_with in names:
        other = names.index(undo.swapped_with)
        right = [{place: row[other], other: row[place]} for row in rows]
    elif undo.factor:
        right = [{place: _undone(row[place], columns[place], undo)} for row in rows]
    elif known:
        order = np.random.default_rng(SEED).permutation(len(known)).tolist()
        right = [{place: known[at][place]} for at in islice(cycle(order), len(rows))]
    else:
        return None
    return [_with(row, values) if is_in else row for row, values, is_in in zip(rows, right, hit, strict=True)]


def _hit(rows: Sequence[Row], names: Sequence[str], segment: tuple[str, str] | None) -> list[bool]:
    if segment is None:
        return [True] * len(rows)
    feature, value = segment
    if feature not in names:
        return [False] * len(rows)
    place = names.index(feature)
    return [_shows(row[place], value) for row in rows]


def _shows(value: Any, told: str) -> bool:
    """Is it the value that the story names? A long name is cut there."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return value is not None and (text == told or (told.endswith("…") and text.startswith(told[:-1])))


def _with(row: Row, values: Mapping[int, Any]) -> Row:
    return tuple(values.get(place, value) for place, value in enumerate(row))


def _undone(value: Any, column: Column, undo: Undo) -> Any:
    if value is None:
        return None
    right = (float(value) - undo.by) / (undo.factor or 1.0)
    return round(right) if column.kind is Kind.INT else right


def answers(served: ServedVersion, rows: Sequence[Row]) -> Floats:
    """Every output column as numbers, texts as codes; shape (rows, outputs)."""
    parts: list[Floats] = []
    for start in range(0, len(rows), ROWS_A_RUN):
        some = list(rows[start : start + ROWS_A_RUN])
        block = served.outputs.block(served.session.run(dict(served.tensors(Table(some)))), len(some))
        if block is None:
            return np.zeros((len(rows), 0))
        cells = np.frombuffer(block.cells, "<i8").reshape(block.n, -1)
        values = cells.astype(np.float64)
        for place, column in enumerate(served.contract.output_columns):
            if column.kind is Kind.FLOAT:
                values[:, place] = np.ascontiguousarray(cells[:, place]).view("<f8")
        parts.append(values)
    return np.concatenate(parts) if parts else np.zeros((0, len(served.contract.output_columns)))


def moved(served: ServedVersion, came: Floats, back: Floats) -> list[Moved]:
    """Output by output; shapes as of `answers`."""
    found = []
    for place, column in enumerate(served.contract.output_columns):
        a, b = came[:, place], back[:, place]
        there = np.isfinite(a) & np.isfinite(b)
        apart = np.abs(a[there] - b[there])
        if apart.size:
            mean, p90 = float(apart.mean()), float(np.quantile(apart, 0.9))
            found.append(
                Moved(column.name, float(a[there].mean()), float(b[there].mean()), mean, p90, float((apart > 0).mean()))
            )
    return found
