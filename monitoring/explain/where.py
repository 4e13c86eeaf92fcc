"""Which rows are hit: all of them, or only those in which some other feature has one value?

Law: a segment is named only where it is shown on both sides: its rows changed, and the others changed by less than SPARED of
that, each with its own bound; so traffic that is too thin to tell names none.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from models.baseline import SPECIALS
from models.contract import Kind
from monitoring.explain.fit import Fit, fit
from monitoring.explain.sample import Rows
from monitoring.reference import Reference
from monitoring.tally import bins_of

ROWS_MIN = 15  # in the segment and beside it, before and after
CONFIDENCE = 0.999
SPARED = 0.25
MASK_P_MAX = 1e-4
HIT_IN_MIN, HIT_BESIDE_MAX = 0.7, 0.1  # where a value does not tell a hit row for sure, as thousandths of small amounts

Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]


class Found(NamedTuple):
    """Rows where feature number `place` has the value of `bin`."""

    place: int
    bin: int
    effect: float


def bins(rows: Rows, reference: Reference, place: int) -> Index:
    """The bin of a column in each row."""
    return bins_of(reference, place, rows.cells[:, place].copy(), rows.nulls[:, place])


def segment(before: Rows, now: Rows, reference: Reference, place: int, leave: frozenset[int]) -> Found | None:
    """The segment of a change of column `place`; `leave`: features that changed themselves."""
    if min(before.n, now.n) < 2 * ROWS_MIN:
        return None
    size = reference.columns[place].bins
    was, came = bins(before, reference, place), bins(now, reference, place)
    found: list[Found] = []
    for j, column in enumerate(reference.columns[: reference.features]):
        if j == place or j in leave or column.kind not in (Kind.STRING, Kind.BOOL):
            continue
        of_was, of_came = bins(before, reference, j), bins(now, reference, j)
        for value in range(SPECIALS, column.bins):
            inside, beside = _both(was, came, of_was == value, of_came == value, size)
            if inside is None or beside is None:
                continue
            least, most = inside.bounds(CONFIDENCE)[0], beside.bounds(CONFIDENCE)[1]
            if least > 0 and most < SPARED * max(least, inside.effect / 2):
                found.append(Found(j, value, least))
    return max(found, key=lambda one: (one.effect, -one.place, -one.bin), default=None)


def segment_of(hits: Mask, now: Rows, reference: Reference, leave: frozenset[int]) -> Found | None:
    """The segment that rows known one by one to be hit make up: all but a few of its rows are hit, and next to none beside it.

    Shown where chance would put the hits into one of the values so cleanly less than once in 1/MASK_P_MAX incidents (Fisher's
    exact test, its p times the number of values).
    """
    found: list[Found] = []
    tried = 0
    for j, column in enumerate(reference.columns[: reference.features]):
        if j in leave or column.kind not in (Kind.STRING, Kind.BOOL):
            continue
        of_now = bins(now, reference, j)
        for value in range(SPECIALS, column.bins):
            inside = of_now == value
            tried += bool(inside.any())
            hit_in, hit_beside = int((hits & inside).sum()), int((hits & ~inside).sum())
            if hit_in < HIT_IN_MIN * inside.sum() or hit_beside > HIT_BESIDE_MAX * (~inside).sum() or not inside.any():
                continue
            p = float(hypergeom.sf(hit_in - 1, now.n, int(inside.sum()), int(hits.sum())))
            found.append(Found(j, value, -p))
    best = max(found, key=lambda one: (one.effect, -one.place, -one.bin), default=None)
    return best if best is not None and -best.effect * tried < MASK_P_MAX else None


def _both(was: Index, came: Index, in_was: Mask, in_came: Mask, size: int) -> tuple[Fit | None, Fit | None]:
    return _fit(was[in_was], came[in_came], size), _fit(was[~in_was], came[~in_came], size)


def _fit(was: Index, came: Index, size: int) -> Fit | None:
    if min(was.size, came.size) < ROWS_MIN:
        return None
    expected, seen = (np.bincount(index, minlength=size).astype(np.float64) for index in (was, came))
    return fit(expected, seen, float(was.size))
