"""What a version without a reference of held-out rows is held against: its own first labelled rows in production.

Laws
- Rows are taken in the order in which their labels count, until there are ROWS of REQUESTS and whole DAYS of them; then the
  reference stands and never changes.
- Rows of one request that count in one minute are one witness: the reference says how many times the variance of its mean is
  that of as many rows apart (design effect, Kish 1965).
- A version that was bad from its first day is held against that: nothing here can tell.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.grades import MICRO, STEPS, Loss, Part, bin_numbers, graded, losses, predicted
from models.performance import BLOCK_ROWS_MIN, Performance, between_blocks
from monitoring.labels.ask import Ask
from monitoring.labels.cohorts import PARTS
from monitoring.labels.promise import LOSS_MIN
from monitoring.labels.rows import Rows
from monitoring.labels.witnesses import NOBODY, Witnesses, witnesses_of

ROWS = 5_000  # a mean loss is then known to some 4 % where its spread is three times its mean
REQUESTS = 100  # of fewer witnesses nobody knows how far the mean is known
DAYS = 7  # so that every hour of a week has had its say
DAYS_KEPT = 60  # of sums by day; a slow trickle of labels then goes into the last one
DAY_S = 86_400

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Learning:
    """Owned and changed by a track. `days`: (rows, sum of the main loss in millionths, of its squares in squared steps)
    by day; `witnesses`: of the main loss."""

    grades: Counts | None = None
    days: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    witnesses: Witnesses = NOBODY

    @property
    def rows(self) -> int:
        return 0 if self.grades is None else int(self.grades[Part.LABELLED].sum())

    def take(self, minute: int, rows: Rows, hits: Floats, ask: Ask) -> None:
        """Labelled rows of a minute."""
        bins = bin_numbers(ask.kind, ask.edges, rows["score"])
        found = losses(ask.kind, rows["score"], hits, ask.scale)
        grades = predicted(bins, ask.bins) + graded(ask.kind, bins, ask.bins, rows["score"], hits, found, ask.scale)
        if self.grades is None or self.grades.shape != (PARTS, ask.bins):
            self.grades, self.days, self.witnesses = np.zeros((PARTS, ask.bins), dtype=np.int64), {}, NOBODY
        self.grades = self.grades + grades
        self.witnesses = self.witnesses.and_(witnesses_of(rows["who"], found)[Loss.MAIN])
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
        enough = self.rows >= ROWS and self.witnesses.requests >= REQUESTS and whole_days >= DAYS
        if self.grades is None or not enough:
            return None
        return Performance(
            task=ask.task,
            rows=self.rows,
            held_out=True,
            grades=tuple(tuple(part) for part in self.grades.tolist()),
            edges=ask.edges,
            scale=ask.scale,
            natural=((DAY_S, self._natural(), 0.0),),
            alike=self._alike(self.grades),
        )

    def _alike(self, grades: Counts) -> float:
        """The design effect, at least 1; of sums that do not say it that of one single witness."""
        rows = self.rows
        mean = float(grades[Part.LOSS].sum()) / MICRO / rows
        variance = max(float(grades[Part.LOSS_SQUARED].sum()) / STEPS**2 / rows - mean**2, LOSS_MIN**2)
        error = self.witnesses.error(mean, rows)
        return float(rows) if error is None else max(1.0, error**2 * rows / variance)

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
