"""What pairs of answers add up to: a vector of counts (layout.py), and the requests that differ most.

Laws
- The count of A and B together is count(A) + count(B), to the integer: order, chunks and writers cannot show.
- The worst of A and B together are the worst of their worst; equally bad ones are ordered by time, id and row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from models.contract import Kind
from monitoring.reference import Reference
from monitoring.shadows.layout import TOLERANCE, Head, Layout, Output, Part
from monitoring.shadows.room import Pair
from monitoring.shadows.spread import SIZE, spread
from monitoring.tally import bins_of
from service.featurelog.cells import Joined, is_sound, join
from service.featurelog.record import Schema, SchemaColumn

WORST = 20
# Sums are of whole steps, so that they add up exactly: of 1/1024 of the scale, a row's at most 64 scales, and a request's own
# sum, where it is squared, at most 2048, so that two million such requests still fit in 64 bits.
STEPS, ROW_SCALES_MAX, REQUEST_SCALES_MAX = 1024, 64, 2048
LATENCY_SCALE_US = 500_000.0  # so the smallest difference that is told from none is half a microsecond

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Worst(msgspec.Struct, frozen=True, array_like=True):
    """The row of a request in which the answers lie furthest apart, in scales; infinite where one is no number."""

    distance: float
    at_us: int
    request_id: str
    row: int
    output: str
    given: float | int | str | bool | None
    shadow: float | int | str | bool | None

    @property
    def order(self) -> tuple[float, int, str, int]:
        return (-self.distance, self.at_us, self.request_id, self.row)


def worst_of(found: Sequence[Worst]) -> list[Worst]:
    """The worst, worst first."""
    return nsmallest(WORST, found, key=lambda one: one.order)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The rows of all pairs below each other; `starts`: the first row of each request, `rows`: how many it has."""

    given: Joined
    shadow: Joined
    starts: npt.NDArray[np.intp]
    rows: npt.NDArray[np.int64]


def count(
    pairs: Sequence[Pair], layout: Layout, reference: Reference, schemas: tuple[Schema, Schema]
) -> tuple[Counts, list[Worst]]:
    """The vector of these pairs, and the worst of them; `schemas`: of the answer and of the shadow."""
    vector = np.zeros(layout.size, dtype=np.int64)
    answered = [pair for pair in pairs if pair.shadow.outputs is not None]
    vector[Head.FAILED] = len(pairs) - len(answered)
    fit = [pair for pair in answered if _fits(pair, *schemas)]
    vector[Head.MISFIT] = len(answered) - len(fit)
    if not fit:
        return vector, []
    sides = _sides(fit, *schemas)
    vector[Head.REQUESTS] = len(fit)
    vector[Head.ROWS] = sides.rows.sum()
    vector[Head.ROWS_SQUARED] = (sides.rows**2).sum()
    longer_us = np.array([pair.shadow.compute_us - pair.answer.compute_us for pair in fit], dtype=np.float64)
    vector[Head.LATENCY : Head.LATENCY + SIZE] = spread(longer_us / LATENCY_SCALE_US)
    far = [_count_output(output, sides, vector, reference, schemas) for output in layout.outputs]
    return vector, _worst(fit, sides, layout, np.array(far), schemas) if far else []


def _fits(pair: Pair, given: Schema, shadow: Schema) -> bool:
    said, answer = pair.shadow.outputs, pair.answer.outputs
    return (
        said is not None and said.n == answer.n and is_sound(answer, given.outputs) and is_sound(said, shadow.outputs)
    )


def _sides(pairs: Sequence[Pair], given: Schema, shadow: Schema) -> _Sides:
    rows = [pair.answer.outputs.n for pair in pairs]
    return _Sides(
        join([pair.answer.outputs for pair in pairs], rows, given.outputs),
        join([pair.shadow.outputs for pair in pairs], rows, shadow.outputs),
        np.cumsum([0, *rows[:-1]], dtype=np.intp),
        np.array(rows, dtype=np.int64),
    )


def _count_output(
    output: Output, sides: _Sides, vector: Counts, reference: Reference, schemas: tuple[Schema, Schema]
) -> Floats:
    """Adds one output to the vector; returns how far apart its rows lie, in scales."""
    null_g, null_s = _null(sides.given, output.given), _null(sides.shadow, output.shadow)
    part, column = vector[output.start : output.end], reference.features + output.given
    cells_g, cells_s = sides.given.cells[output.given], sides.shadow.cells[output.shadow]
    match output.kind:
        case Kind.FLOAT:
            equal = _same_number(cells_g, cells_s)
            far = _numbers(output, cells_g.view(np.float64), cells_s.view(np.float64), null_g | null_s, sides, part)
        case Kind.STRING:
            equal = _same_text(output, sides, schemas)
            cells_s = _translated(output, cells_s)
            far = np.where(null_g | null_s, np.inf, 1.0)
        case Kind.INT | Kind.BOOL:
            equal = cells_g == cells_s
            far = np.where(null_g | null_s, np.inf, 1.0)
    equal = np.where(null_g | null_s, null_g & null_s, equal).astype(np.bool_)
    far = np.where(equal, 0.0, far)
    part[Part.EQUAL] = np.count_nonzero(equal)
    part[Part.AGREE] = np.count_nonzero(far <= (TOLERANCE if output.scale is not None else 0.0))
    part[Part.UNLIKE] = np.count_nonzero(np.isinf(far))
    bins_g = bins_of(reference, column, cells_g, null_g)
    bins_s = bins_of(reference, column, cells_s, null_s)
    part[Part.MOVED] = np.count_nonzero(bins_g != bins_s)
    vector[output.bins_start : output.end] = np.concatenate(
        [np.bincount(bins, minlength=output.bins) for bins in (bins_g, bins_s)]
    )
    return far


def _numbers(output: Output, given: Floats, shadow: Floats, null: Mask, sides: _Sides, part: Counts) -> Floats:
    """Spread and sums of one number; returns the distances, infinite where not both sides are finite."""
    both = np.isfinite(given) & np.isfinite(shadow) & ~null
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(both, (shadow - given) / (output.scale or 1.0), 0.0)
    part[Part.SPREAD : Part.SPREAD + SIZE] = spread(apart[both])
    steps = np.rint(np.clip(apart, -ROW_SCALES_MAX, ROW_SCALES_MAX) * STEPS).astype(np.int64)
    own = np.add.reduceat(steps, sides.starts)
    part[Part.SUM] = own.sum()
    own = np.clip(own, -REQUEST_SCALES_MAX * STEPS, REQUEST_SCALES_MAX * STEPS)
    part[Part.SUM_SQUARED], part[Part.SUM_TIMES_ROWS] = (own**2).sum(), (own * sides.rows).sum()
    far: Floats = np.where(both, np.abs(apart), np.inf)
    return far


def _same_number(given: Counts, shadow: Counts) -> Mask:
    """The same bits, or NaN on both sides."""
    nan: Mask = np.isnan(given.view(np.float64)) & np.isnan(shadow.view(np.float64))
    same: Mask = (given == shadow) | nan
    return same


def _translated(output: Output, cells: Counts) -> Counts:
    """The shadow's codes in those of the answer; -1 is a text that is not among its categories."""
    if not len(output.codes):
        return np.full_like(cells, -1)
    known = (cells >= 0) & (cells < len(output.codes))
    return np.where(known, output.codes[np.where(known, cells, 0)], -1)


def _same_text(output: Output, sides: _Sides, schemas: tuple[Schema, Schema]) -> Mask:
    cells_g, cells_s = sides.given.cells[output.given], _translated(output, sides.shadow.cells[output.shadow])
    same: Mask = cells_g == cells_s
    texts_g, texts_s = _texts(sides.given, output.given), _texts(sides.shadow, output.shadow)
    for row in np.flatnonzero((cells_g < 0) | (cells_s < 0)).tolist():  # rare: texts outside the categories
        given = _label(sides.given.cells[output.given, row], schemas[0].outputs[output.given], texts_g.get(row, ""))
        shadow = _label(sides.shadow.cells[output.shadow, row], schemas[1].outputs[output.shadow], texts_s.get(row, ""))
        same[row] = given == shadow
    return same


def _texts(side: Joined, place: int) -> dict[int, str]:
    """The texts outside the categories, by row."""
    return dict(zip(*side.text.get(place, ((), ())), strict=True))


def _label(code: np.int64, column: SchemaColumn, text: str) -> str:
    categories = column.categories or ()
    return categories[code] if 0 <= code < len(categories) else text


def _null(side: Joined, place: int) -> Mask:
    return np.zeros(side.cells.shape[1], np.bool_) if side.null is None else side.null[place]


def _said(side: Joined, place: int, row: int, schema: Schema) -> Any:
    """The value of one cell."""
    if side.null is not None and side.null[place, row]:
        return None
    column, cell = schema.outputs[place], side.cells[place, row]
    match column.kind:
        case Kind.FLOAT:
            return float(cell.view(np.float64))
        case Kind.BOOL:
            return bool(cell)
        case Kind.INT:
            return int(cell)
        case Kind.STRING:
            return _label(cell, column, _texts(side, place).get(row, ""))


def _worst(
    pairs: Sequence[Pair], sides: _Sides, layout: Layout, far: Floats, schemas: tuple[Schema, Schema]
) -> list[Worst]:
    """far: shape (outputs, rows)."""
    furthest = far.max(axis=0)
    by_request = np.maximum.reduceat(furthest, sides.starts)
    differ = np.flatnonzero(by_request > 0)
    if len(differ) > WORST:
        least = np.partition(by_request[differ], -WORST)[-WORST]
        differ = differ[by_request[differ] >= least]
    found: list[Worst] = []
    for place in sorted(differ.tolist(), key=lambda p: (-by_request[p], *_order(pairs[p])))[:WORST]:
        start, rows = int(sides.starts[place]), int(sides.rows[place])
        row = start + int(furthest[start : start + rows].argmax())
        output, pair = layout.outputs[int(far[:, row].argmax())], pairs[place]
        given = _said(sides.given, output.given, row, schemas[0])
        shadow = _said(sides.shadow, output.shadow, row, schemas[1])
        about = (float(furthest[row]), pair.answer.at_us, pair.answer.request_id, row - start)
        found.append(Worst(*about, output.name, given, shadow))
    return found


def _order(pair: Pair) -> tuple[int, str]:
    return pair.answer.at_us, pair.answer.request_id
