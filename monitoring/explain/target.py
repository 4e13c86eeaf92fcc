"""What should a column of numbers hold: values to hold the seen ones against, of the rows before the change or of the baseline.

Law: the values of a baseline fall into its bins exactly as its rows did; within a bin they are spread evenly, evenly in the
logarithm where the bin is positive and wide.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind

VALUES = 4000  # that stand for a baseline: a share of 0.1 % is still four of them
WIDE = 4.0  # a bin whose ends differ by more is skewed: incomes, amounts, times

Floats = npt.NDArray[np.float64]


class Target(NamedTuple):
    """`values` ascending, standing for `rows` rows; `edges`: from the lowest of training over the inner bin edges to the
    highest, `expected` of the values between them; `seen`: values that came, not made up.
    """

    values: Floats
    rows: float
    edges: Floats
    expected: Floats
    seen: bool

    @property
    def middle(self) -> float:
        return float(np.median(self.values))

    @property
    def width(self) -> float:
        """Between the quartiles."""
        low, high = np.quantile(self.values, [0.25, 0.75])
        return float(high - low)

    @property
    def mean(self) -> float:
        return float((self.values / self._unit).mean()) * self._unit

    @property
    def sigma(self) -> float:
        """Never 0 where values differ: squares of values near 1e-160 or 1e160 leave the range of a double."""
        return float((self.values / self._unit).std()) * self._unit

    @property
    def _unit(self) -> float:
        return float(np.abs(self.values[[0, -1]]).max()) or 1.0

    def counts(self, edges: Floats) -> Floats:
        """How many of the values lie in each of the bins."""
        return counted(self.values, edges)


def counted(ascending: Floats, edges: Floats) -> Floats:
    """Values in (-∞, e₀), [e₀, e₁), …; edges ascending. What lies within rounding of an edge lies above it."""
    below = np.searchsorted(ascending, edges - 1e-9 * np.abs(edges), side="left")
    counts = np.empty(below.size + 1)  # as np.diff, in a third of its time: a story counts ten thousand times
    counts[1:] = ascending.size
    counts[:-1] = below
    counts[1:] -= below
    return counts


def of_baseline(column: ColumnBaseline) -> Target | None:
    """The baseline as values; None where it has none."""
    counts = np.array(column.counts[SPECIALS:], dtype=np.float64)
    if not counts.sum() or column.low is None or column.high is None or column.kind is Kind.STRING:
        return None
    bounds = [column.low, *column.edges, column.high]
    share = np.round(counts * (VALUES / counts.sum())).astype(int)
    parts = [_between(bounds[i], bounds[i + 1], int(n), column.kind) for i, n in enumerate(share)]
    return _target(np.concatenate(parts), float(counts.sum()), edges_of(column), seen=False)


def edges_of(column: ColumnBaseline) -> Floats:
    """Of a column of numbers that has a baseline: its range and its inner edges; what is at the upper end is within."""
    high = column.high or 0.0
    return np.unique([column.low or 0.0, *column.edges, np.nextafter(high + 1e-6 * abs(high), np.inf)])


def _between(low: float, high: float, n: int, kind: Kind) -> Floats:
    inside = (np.arange(n) + 0.5) / max(1, n)
    if kind is Kind.INT:
        first = np.ceil(low)  # never a list of all: a bin of milliseconds holds billions of them
        return np.asarray(first + np.floor(inside * max(np.ceil(high) - first, 1.0)))
    if low > 0 and high > WIDE * low:
        return np.asarray(low * (high / low) ** inside)
    return np.asarray(low + (high - low) * inside)


def of_rows(values: Floats, edges: Floats) -> Target:
    """Values that came."""
    return _target(values, float(values.size), edges, seen=True)


def _target(values: Floats, rows: float, edges: Floats, *, seen: bool) -> Target:
    ascending = np.sort(values)
    return Target(ascending, rows, edges, counted(ascending, edges), seen)
