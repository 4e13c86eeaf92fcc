"""What a column holds in rows of the sample, and what it should hold: of training, or of the rows just before the change.

Law: where enough rows are known from before the change, what is expected is what they held: a season may already have moved it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special
from models.contract import Kind
from monitoring.explain.bools import NAMES
from monitoring.explain.sample import Rows
from monitoring.explain.target import Target, edges_of, of_baseline, of_rows
from monitoring.explain.where import bins
from monitoring.reference import Reference

BEFORE_ROWS_MIN = 300  # of rows just before the change, to be held against in place of the baseline

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Texts(NamedTuple):
    """Rows by category, in the order of the baseline, and those outside them by text."""

    seen: Floats
    unseen: Mapping[str, int]


def numbers(rows: Rows, reference: Reference, place: int) -> tuple[Floats, Mask]:
    """The finite values of a column, and in which rows they are."""
    cells = rows.cells[:, place].copy()
    values = cells.view("<f8") if reference.columns[place].kind is Kind.FLOAT else cells.astype(np.float64)
    there = np.isfinite(values) & ~rows.nulls[:, place]
    return values[there], there


def target_of(reference: Reference, place: int, before: Rows) -> Target | None:
    """Of numbers; None where nothing is known of them."""
    values, _ = numbers(before, reference, place)
    if values.size < BEFORE_ROWS_MIN:
        return of_baseline(reference.columns[place])
    return of_rows(values, edges_of(reference.columns[place]))


def texts(rows: Rows, reference: Reference, place: int) -> Texts:
    """Of a column of text."""
    index = bins(rows, reference, place)
    unseen: dict[str, int] = {}
    for i in np.flatnonzero(index == Special.UNSEEN).tolist():
        text = next((text for at, text in rows.texts[i] if at == place), "")
        unseen[text] = unseen.get(text, 0) + 1
    counts = np.bincount(index, minlength=reference.columns[place].bins)
    return Texts(counts[SPECIALS:].astype(np.float64), unseen)


def texts_expected(reference: Reference, place: int, before: Rows) -> Floats:
    """Rows by category."""
    if before.n >= BEFORE_ROWS_MIN:
        return texts(before, reference, place).seen
    return np.array(reference.columns[place].counts[SPECIALS:], dtype=np.float64)


def bools(rows: Rows, reference: Reference, place: int) -> Floats:
    """How often false and true came."""
    values, _ = numbers(rows, reference, place)
    return np.bincount((values != 0).astype(np.intp), minlength=len(NAMES)).astype(np.float64)


def bools_expected(reference: Reference, place: int, before: Rows) -> Floats:
    """The same as it should be."""
    found = bools(before, reference, place)
    if found.sum() >= BEFORE_ROWS_MIN:
        return found
    column = reference.columns[place]
    trained = dict(zip(column.labels()[SPECIALS:], column.counts[SPECIALS:], strict=True))
    return np.array([trained.get(name, 0) for name in NAMES], dtype=np.float64)
