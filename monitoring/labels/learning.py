"""What a version without a reference of held-out rows is held against: its own first labelled rows in production.

Laws
- Rows are taken in the order in which their labels count, until there are ROWS and whole DAYS of them; then the
  reference stands and never changes.
- A version that was bad from its first day is held against that: nothing here can tell.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.grades import MICRO, STEPS, Loss, Part, bin_numbers, graded, losses, predicted
from models.performance import BLOCK_ROWS_MIN, Performance, between_blocks
from monitoring.labels.ask import Ask
from monitoring.labels.cohorts import PARTS
from monitoring.labels.rows import Rows

ROWS = 5_000  # a mean loss is then known to some 4 % where its spread is three times its mean
DAYS = 7  # so that every hour of a week has had its say
DAYS_KEPT = 60  # of sums by day; a slow trickle of labels then goes into the last one
DAY_S = 86_400

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Learning:
    """Owned and changed by a track. `days`: (rows, sum of the main loss in millionths, of its squares in squared steps)
    by day."""

    grades: Counts | None = None
    days: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return 0 if self.grades is None else int(self.grades[Part.LABELLED].sum())

    def take(self, minute: int, rows: Rows, hits: Floats, ask: Ask) -> None:
        """Labelled rows of a minute."""
        bins = bin_numbers(ask.kind, ask.edges, rows["score"])
        found = losses(ask.kind, rows["score"], hits, ask.scale)
        grades = predicted(bins, ask.bins) + graded(ask.kind, bins, ask.bins, rows["score"], hits, found, ask.scale)
        if self.grades is None or self.grades.shape != (PARTS, ask.bins):
            self.grades, self.days = np.zeros((PARTS, ask.bins), dtype=np.int64), {}
        self.grades = self.grades + grades
        day = minute * 60 // DAY_S
        if day not in self.days and len(self.days) >= DAYS_KEPT:
            day = max(self.days)
        n, total, squares = self.days.get(day, (0, 0, 0))
        self.days[day] = (
            n + len(rows),
            total + int(grades[Part.LOSS].sum()),
            squares + int(grades[Part.LOSS_SQUARED].sum()),
        )

    def reference(self, minute: int, ask: Ask) -> Performance | None:
        """The reference, once there is enough; `minute` is over."""
        whole_days = sum(day < (minute + 1) * 60 // DAY_S for day in self.days)
        if self.grades is None or self.rows < ROWS or whole_days < DAYS:
            return None
        return Performance(
            task=ask.task,
            rows=self.rows,
            held_out=True,
            grades=tuple(tuple(part) for part in self.grades.tolist()),
            edges=ask.edges,
            scale=ask.scale,
            natural=((DAY_S, self._natural(), 0.0),),
        )

    def _natural(self) -> float:
        """How far days lie from the whole, as a share of the mean loss."""
        kept = [held for _, held in sorted(self.days.items()) if held[0] >= BLOCK_ROWS_MIN]
        if not kept:
            return 0.0
        n, total, squares = (np.array(part, dtype=np.float64) for part in zip(*kept, strict=True))
        mean = float(total.sum() / n.sum()) / MICRO
        return between_blocks(total / MICRO, squares / STEPS**2, n, mean) / mean if mean > 0 else 0.0


def main_losses(rows: Rows, hits: Floats, ask: Ask) -> Floats:
    """The loss that alarms are about, by row."""
    found: Floats = losses(ask.kind, rows["score"], hits, ask.scale)[Loss.MAIN]
    return found
