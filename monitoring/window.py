"""What lies in a sliding window: counts in slices of event time, and their sum.

Laws
- `total` is the sum of `slices`, to the integer, after any number of additions and moves.
- The order of additions does not matter; two rings at the same minute that were given the same counts in any order are
  equal.
- A ring holds its newest, unfinished slice and the whole ones before it: between `window - slice` and `window` of time.
- Memory: at most `slices_max` vectors and their sum, whatever arrives.

Minutes are whole minutes since the Unix epoch; a closed minute m stands for everything before the start of m + 1.
"""

from dataclasses import dataclass, field
from math import ceil

import numpy as np
import numpy.typing as npt

MINUTE_S = 60
MINUTE_US = 60_000_000
SLICES_MAX = 60  # a window forgets in steps of a sixtieth: finer costs memory, coarser makes a clear late

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """A window's shape, in minutes."""

    window_minutes: int
    slice_minutes: int

    @classmethod
    def of(cls, window_s: int) -> "Span":
        """The window of this length, in at most SLICES_MAX slices of whole minutes."""
        minutes = max(1, window_s // MINUTE_S)
        return cls(minutes, ceil(minutes / SLICES_MAX))

    @property
    def slices_max(self) -> int:
        return ceil(self.window_minutes / self.slice_minutes)

    def newest(self, minute: int) -> int:
        """The slice that a minute lies in."""
        return minute // self.slice_minutes

    def oldest(self, minute: int) -> int:
        """The oldest slice that the window still holds when `minute` was the last one closed."""
        return self.newest(minute) - self.slices_max + 1

    def first_minute(self, minute: int) -> int:
        """The first minute that the window still holds when `minute` was the last one closed."""
        return self.oldest(minute) * self.slice_minutes


@dataclass(slots=True)
class Ring:
    """The counts of one window; owned and changed by the state."""

    span: Span
    slices: dict[int, Counts] = field(default_factory=dict)
    total: Counts | None = None

    def add(self, minute: int, counts: Counts) -> None:
        """Adds counts to the slice of `minute`; a vector of another layout starts the ring again (a baseline was added
        late).
        """
        if self.total is not None and self.total.size != counts.size:
            self.slices, self.total = {}, None
        number = self.span.newest(minute)
        for held in (self.slices.setdefault(number, np.zeros_like(counts)), self._sum(counts)):
            held += counts

    def advance(self, minute: int) -> bool:
        """Forgets what left the window when `minute` was closed; says whether anything did."""
        oldest = self.span.oldest(minute)
        gone = [number for number in self.slices if number < oldest]
        for number in gone:
            counts = self.slices.pop(number)
            self._sum(counts)[:] -= counts
        return bool(gone)

    def _sum(self, like: Counts) -> Counts:
        if self.total is None:
            self.total = np.zeros_like(like)
        return self.total

    def next_change(self) -> int | None:
        """The minute whose closing makes the oldest slice leave; None when the ring is empty."""
        if not self.slices:
            return None
        return (min(self.slices) + self.span.slices_max) * self.span.slice_minutes

    def covered_minutes(self, minute: int) -> int:
        """How far back the counts reach, up to the end of `minute`; 0 when the ring is empty."""
        if not self.slices:
            return 0
        first = max(self.span.first_minute(minute), min(self.slices) * self.span.slice_minutes)
        return max(0, minute + 1 - first)
