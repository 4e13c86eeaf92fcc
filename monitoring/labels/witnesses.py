"""How far is a mean loss known, where rows of one request may be as alike as they like? Sums over requests, and its variance.

The mean is a ratio of sums over requests, its variance the linearised one (Cochran 1977), so a request is one witness.

Laws
- Sums are of whole steps, so neither order nor chunks show.
- A sum of squares stops at SQUARES_MAX, of which no variance is made: rather none than a false one. Squares are not negative,
  so whether it stops does not depend on their order.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.grades import MICRO, STEPS

SQUARES_MAX = 2**62  # two of them add within 64 bits
_HALF = 32  # bits of a square that are summed apart: then a minute's sums of them fit

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Witnesses(NamedTuple):
    """Of one loss: requests, squares of their rows, of their losses together in squared steps, and the product of both, in
    steps."""

    requests: int = 0
    rows_squared: int = 0
    squares: int = 0
    times_rows: int = 0

    def and_(self, other: "Witnesses") -> "Witnesses":
        """Both together."""
        return Witnesses(
            self.requests + other.requests,
            self.rows_squared + other.rows_squared,
            min(self.squares + other.squares, SQUARES_MAX),
            self.times_rows + other.times_rows,
        )

    def error(self, mean: float, rows: int) -> float | None:
        """The standard error of the mean loss of `rows` rows; None where the squares do not say it, or there is one request."""
        if self.requests < 2 or not 0 <= self.squares < SQUARES_MAX:
            return None
        steps = mean * STEPS
        squares = self.squares - 2 * steps * self.times_rows + steps**2 * self.rows_squared
        return sqrt(max(0.0, squares) * self.requests / (self.requests - 1)) / rows / STEPS


NOBODY = Witnesses()


def witnesses_of(who: npt.NDArray[np.uint64], found: Floats) -> tuple[Witnesses, ...]:
    """Of each loss; who: the request of each row, found: losses, shapes (n,) and (losses, n)."""
    _, place, rows = np.unique(who, return_inverse=True, return_counts=True)
    n = rows.astype(np.int64)
    sums = np.stack([np.bincount(place, one, minlength=len(n)) for one in np.rint(found * MICRO)])
    steps = np.rint(sums / MICRO * STEPS).astype(np.int64)
    return tuple(Witnesses(len(n), int((n**2).sum()), _squares(one), int((one * n).sum())) for one in steps)


def squares_together(one: Counts, other: Counts) -> Counts:
    """Sums of squares that stop at SQUARES_MAX; also where one ran over, as in checkpoints of before they did."""
    full = (one < 0) | (other < 0) | (one >= SQUARES_MAX) | (other >= SQUARES_MAX)
    both: Counts = np.where(
        full, SQUARES_MAX, np.minimum(np.where(full, 0, one) + np.where(full, 0, other), SQUARES_MAX)
    )
    return both


def _squares(steps: Counts) -> int:
    least = np.minimum(np.abs(steps), 2**31)  # its square is the most that is held
    squares = least**2
    high, low = squares >> _HALF, squares & (2**_HALF - 1)
    return min((int(high.sum()) << _HALF) + int(low.sum()), SQUARES_MAX)
