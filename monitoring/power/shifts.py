"""What would a column look like if it changed by so much? Its training distribution, moved by an amount that a person knows.

Laws
- A change of 0 is the training distribution (of a number, but for half a row at either end); every changed distribution
  adds up to 1.
- A number moves by so many of its standard deviations, spread within each bin as a gaussian is; nulls and their like stay.
- Of a text the commonest category loses so much of all rows to the others, in proportion, and so does the commonest value of
  a bool and of a number with one bin a value: σ says little of them. A null share grows at the cost of all.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from monitoring.values import distinct

SHIFT_MAX = 5.0  # σ: beyond, every row is in an end bin

Shares = npt.NDArray[np.float64]


class Change(StrEnum):
    """How a column changes, in words of its unit."""

    SHIFT = "σ"
    CATEGORY = "share of the commonest category"
    VALUE = "share of the commonest value"
    NULLS = "share of nulls"


class Limits(NamedTuple):
    """The kinds of change that a column can have, with the most of each."""

    change: Change
    most: float


def changes(column: ColumnBaseline) -> list[Limits]:
    """What can be asked of a column: nothing where training had no rows or one value."""
    if not column.n:
        return []
    shares, found = training(column), list[Limits]()
    if column.kind is Kind.STRING and np.count_nonzero(shares[SPECIALS:]) > 1:
        found.append(Limits(Change.CATEGORY, float(shares[SPECIALS:].max())))
    elif column.kind is not Kind.STRING and column.edges and (column.kind is Kind.BOOL or distinct(column) is not None):
        found.append(Limits(Change.VALUE, float(shares[SPECIALS:].max())))
    elif column.kind is not Kind.STRING and column.edges and column.std:
        found.append(Limits(Change.SHIFT, SHIFT_MAX))
    if column.counts[Special.NULL]:  # elsewhere the contract refuses a null
        found.append(Limits(Change.NULLS, float(1 - shares[Special.NULL])))
    return found


def training(column: ColumnBaseline) -> Shares:
    """Shares of the bins at training."""
    counts = np.array(column.counts, dtype=np.float64)
    return np.asarray(counts / max(counts.sum(), 1))


def changed(column: ColumnBaseline, change: Change, amount: float) -> Shares:
    """Shares of the bins after the change."""
    shares = training(column)
    match change:
        case Change.SHIFT:
            return _shifted(column, shares, amount * (column.std or 0.0))
        case Change.CATEGORY | Change.VALUE:
            commonest = SPECIALS + int(shares[SPECIALS:].argmax())
            return _grown(shares, commonest, -amount)
        case Change.NULLS:
            return _grown(shares, Special.NULL, amount)


def _grown(shares: Shares, place: int, amount: float) -> Shares:
    """One bin grows and the others shrink in proportion."""
    others = 1 - shares[place]
    found = shares * ((others - amount) / others if others > 0 else 0.0)
    found[place] = shares[place] + amount
    return np.maximum(found, 0.0)


def _shifted(column: ColumnBaseline, shares: Shares, by: float) -> Shares:
    """A gaussian in each bin, as if the values' normal scores were straight between the bounds; beyond the training range
    they go on with a slope of 1/σ. An even spread instead puts far too much behind the greatest training value.
    """
    edges, values, std = np.array(column.edges), shares[SPECIALS:], column.std or 1.0
    low = column.low if column.low is not None else float(edges[0])
    high = max(column.high if column.high is not None else low, float(edges[-1]) + 1e-9 * std)
    bounds, whole, least = np.array([low, *edges, high]), values.sum(), 0.5 / column.n
    z = special.ndtri(np.clip(np.concatenate([[0.0], np.cumsum(values) / whole]), least, 1 - least))
    at = bounds - by
    moved = np.interp(at, bounds, z) + np.minimum(at - low, 0) / std + np.maximum(at - high, 0) / std
    until = special.ndtr(moved)
    found = shares.copy()
    found[SPECIALS:] = whole * np.diff(until)
    found[Special.BELOW] += whole * until[0]
    found[Special.ABOVE] += whole * (1 - until[-1])
    return found
