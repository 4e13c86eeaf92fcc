"""What became of predictions, by when they were made: integer counts in slices of event time.

Laws
- A label counts in the slice of its prediction, however late it comes, as long as that slice is held.
- Counts add: a window's are the sum of its slices', and neither chunks nor writers show in them.
- Intervals are of requests, not of rows: beside the sums of losses stand those of squares of what the rows of one
  request, joined in one minute, had together (witnesses.py).
- Beside the counts of a probability stand its ranks (ranks.py): bins of what a score promises are too wide for who ranks
  above whom.

A vector is `Head`, then delays by DELAY_BUCKETS, then the grades of models.grades.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.grades import Loss, Part, bin_numbers, graded, losses, predicted
from models.task import TaskKind
from monitoring.labels.ask import Ask
from monitoring.labels.ranks import BIN_BYTES, BINS_MAX, Ranks
from monitoring.labels.rows import Rows
from monitoring.labels.witnesses import Witnesses, squares_together, witnesses_of

SLICE_MINUTES = 360
WINDOWS_S = (86_400, 7 * 86_400, 30 * 86_400)
SLICES_MAX = WINDOWS_S[-1] // 60 // SLICE_MINUTES
DELAY_BUCKETS = 64
DELAY_STEPS = 4  # buckets a doubling, from a minute on: 19 % apart, 45 days in the last but one
PARTS = Part.LOSS_SQUARED + 1

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Head(IntEnum):
    """Counts of a slice that belong to no bin. ROWS: answered and gradable; ENTERED: of these, those that waited for a
    label."""

    ROWS = 0
    ENTERED = 1
    LET_GO = 2
    LABELLED = 3
    UNKNOWABLE = 4
    EXPIRED = 5
    MISFIT = 6  # the label is of another kind than the task's
    UNSCORED = 7
    REQUESTS = 8  # with a label, by the minute of the label
    ROWS_SQUARED = 9
    SQUARES = 10  # of each loss of a request's rows together, in squared steps
    TIMES_ROWS = 10 + len(Loss)  # of each loss, times the request's rows, in steps
    SIZE = 10 + 2 * len(Loss)


DELAYS = int(Head.SIZE)
SQUARES = slice(Head.SQUARES, Head.SQUARES + len(Loss))
GRADES = DELAYS + DELAY_BUCKETS


def size_of(bins: int) -> int:
    """Length of a vector."""
    return GRADES + PARTS * bins


def slice_bytes(ask: Ask) -> int:
    """What a slice can grow to."""
    return 8 * size_of(ask.bins) + (BINS_MAX * BIN_BYTES if ask.kind is TaskKind.BINARY else 0)


def grades_of(vector: Counts) -> Counts:
    """The grades of a vector; shape (parts, bins)."""
    grades: Counts = vector[GRADES:].reshape(PARTS, -1)
    return grades


def delay_buckets(delay_us: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """The bucket of each delay; a label from before its prediction (clocks differ) has none."""
    places = np.log2(np.maximum(delay_us, 0) / 60e6 + 1) * DELAY_STEPS
    return np.asarray(np.minimum(places, DELAY_BUCKETS - 1), dtype=np.intp)


def delay_s(bucket: float) -> float:
    """The delay at a place between buckets."""
    return float((2 ** (bucket / DELAY_STEPS) - 1) * 60)


@dataclass(slots=True)
class Cohorts:
    """The slices of one version; owned and changed by its track."""

    slices: dict[int, Counts] = field(default_factory=dict)
    ranks: dict[int, Ranks] = field(default_factory=dict)

    def heads(self, head: Head, rows: Rows, ask: Ask, closed: int) -> None:
        """Counts rows under one head."""
        for number, some in _by_slice(rows):
            if (vector := self._slice(number, ask, closed)) is not None:
                vector[head] += len(some)

    def unscored(self, minute: int, n: int, ask: Ask) -> None:
        """Counts rows that could not be graded."""
        if n and (vector := self._slice(minute // SLICE_MINUTES, ask, minute)) is not None:
            vector[Head.UNSCORED] += n

    def predict(self, rows: Rows, ask: Ask, closed: int) -> None:
        """Counts what was predicted."""
        for number, some in _by_slice(rows):
            if (vector := self._slice(number, ask, closed)) is not None:
                vector[Head.ROWS] += len(some)
                grades_of(vector)[:] += predicted(bin_numbers(ask.kind, ask.edges, some["score"]), ask.bins)

    def grade(self, rows: Rows, hits: Floats, at_us: npt.NDArray[np.int64], ask: Ask, closed: int) -> None:
        """Counts labelled rows: what came true, and when it was known."""
        numbers = rows["at_us"] // (SLICE_MINUTES * 60_000_000)
        for number in np.unique(numbers).tolist():
            vector = self._slice(number, ask, closed)
            if vector is None:
                continue
            inside = numbers == number
            some, true = rows[inside], hits[inside]
            found = losses(ask.kind, some["score"], true, ask.scale)
            bins = bin_numbers(ask.kind, ask.edges, some["score"])
            vector[Head.LABELLED] += len(some)
            delays = delay_buckets(at_us[inside] - some["at_us"])
            vector[DELAYS:GRADES] += np.bincount(delays, minlength=DELAY_BUCKETS)
            grades_of(vector)[:] += graded(ask.kind, bins, ask.bins, some["score"], true, found, ask.scale)
            _add_requests(vector, some, found)
            if ask.kind is TaskKind.BINARY:
                self.ranks.setdefault(number, Ranks()).add(some["score"], true)

    def advance(self, minute: int) -> None:
        """Forgets the slices that no window holds when `minute` was closed."""
        oldest = minute // SLICE_MINUTES - SLICES_MAX
        for number in [number for number in self.slices if number < oldest]:
            del self.slices[number]
            self.ranks.pop(number, None)

    def window(self, window_s: int, minute: int, ask: Ask) -> Counts:
        """The newest, unfinished slice and the whole ones before it that lie in the window."""
        total = np.zeros(size_of(ask.bins), dtype=np.int64)
        for number in _numbers(window_s, minute):
            if (vector := self.slices.get(number)) is not None:
                squares = squares_together(total[SQUARES], vector[SQUARES])
                total += vector
                total[SQUARES] = squares
        return total

    def ranks_of(self, window_s: int, minute: int) -> Ranks:
        """Those of the same slices."""
        return Ranks.together(self.ranks[number] for number in _numbers(window_s, minute) if number in self.ranks)

    def _slice(self, number: int, ask: Ask, closed: int) -> Counts | None:
        """None where no window holds it any more."""
        if number < closed // SLICE_MINUTES - SLICES_MAX:
            return None
        size = size_of(ask.bins)
        if number not in self.slices or self.slices[number].size != size:
            self.slices[number] = np.zeros(size, dtype=np.int64)
        return self.slices[number]


def witnesses_in(vector: Counts, loss: Loss) -> Witnesses:
    """Of one loss."""
    squares, times_rows = int(vector[Head.SQUARES + loss]), int(vector[Head.TIMES_ROWS + loss])
    return Witnesses(int(vector[Head.REQUESTS]), int(vector[Head.ROWS_SQUARED]), squares, times_rows)


def _numbers(window_s: int, minute: int) -> range:
    newest = minute // SLICE_MINUTES
    return range(newest - window_s // 60 // SLICE_MINUTES + 1, newest + 1)


def _by_slice(rows: Rows) -> list[tuple[int, Rows]]:
    numbers = rows["at_us"] // (SLICE_MINUTES * 60_000_000)
    return [(number, rows[numbers == number]) for number in np.unique(numbers).tolist()]


def _add_requests(vector: Counts, rows: Rows, found: Floats) -> None:
    of = witnesses_of(rows["who"], found)
    vector[Head.REQUESTS] += of[0].requests
    vector[Head.ROWS_SQUARED] += of[0].rows_squared
    vector[SQUARES] = squares_together(vector[SQUARES], np.array([one.squares for one in of]))
    vector[Head.TIMES_ROWS : Head.TIMES_ROWS + len(Loss)] += [one.times_rows for one in of]
