"""How far did losses lie from the reference, over the last days in which labels counted? What an alarm says in numbers.

Law: sums are of whole millionths and squares of whole steps, so the order of rows does not show.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.grades import MICRO, STEPS
from monitoring.labels.promise import Promise

DAYS = 7
WINDOW_S = DAYS * 86_400
Z_95 = 1.644854  # one-sided

Floats = npt.NDArray[np.float64]


class Sums(NamedTuple):
    """Of one day: rows, their main losses and what was promised in millionths, squares of loss and of loss less promise."""

    rows: int = 0
    loss: int = 0
    promised: int = 0
    squares: int = 0
    beyond_squares: int = 0


class Excess(NamedTuple):
    """As shares of the reference's loss, over `n` rows: how far the mean lies off, and at least so far (95 %, one-sided)."""

    n: int
    effect: float
    at_least: float


@dataclass(slots=True)
class Recent:
    """Owned and changed by a track; by day since the Unix epoch."""

    days: dict[int, Sums] = field(default_factory=dict)

    def take(self, day: int, losses: Floats, promised: Floats) -> None:
        """Labelled rows of one day."""
        new = (
            len(losses),
            int(np.rint(losses * MICRO).astype(np.int64).sum()),
            int(np.rint(promised * MICRO).astype(np.int64).sum()),
            int((np.rint(losses * STEPS).astype(np.int64) ** 2).sum()),
            int((np.rint((losses - promised) * STEPS).astype(np.int64) ** 2).sum()),
        )
        held = self.days.get(day, Sums())
        self.days[day] = Sums(*(a + b for a, b in zip(held, new, strict=True)))
        for old in [number for number in self.days if number <= day - DAYS]:
            del self.days[old]

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days.values())

    def of_loss(self, promise: Promise) -> Excess:
        """Against the reference's mean."""
        total = self._total()
        return _excess(total.rows, total.loss / MICRO, total.squares, promise.mean, promise.mean)

    def of_estimate(self, promise: Promise) -> Excess:
        """Against what the scores promised."""
        total = self._total()
        return _excess(total.rows, (total.loss - total.promised) / MICRO, total.beyond_squares, 0.0, promise.mean)

    def _total(self) -> Sums:
        return Sums(*(sum(part) for part in zip(*self.days.values(), strict=True))) if self.days else Sums()


def _excess(n: int, total: float, squares: int, expected: float, unit: float) -> Excess:
    if not n:
        return Excess(0, 0.0, 0.0)
    mean = total / n
    error = sqrt(max(0.0, squares / STEPS**2 / n - mean**2) / n)
    off = mean - expected
    return Excess(n, off / unit, max(0.0, abs(off) - Z_95 * error) / unit)
