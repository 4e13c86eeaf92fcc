"""What lies in the drift windows: counts in slices of one length, shared by all windows that are made of such slices.

Laws
- A window is the newest whole slices of its tier and nothing else: it changes when a slice is completed, and is looked at
  then, not each minute. Between two looks its counts stay what they were, so looking again tells nothing new.
- The order of additions does not matter; two tiers that were given the same counts in any order are equal.
- Memory: at most `SLICES_MAX` whole slices and the one that is being filled, whatever arrives and however many windows
  there are.

Minutes are whole minutes since the Unix epoch; a closed minute m stands for everything before the start of m + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Self

import numpy as np
import numpy.typing as npt

from monitoring.window import MINUTE_S

# A window forgets, and is looked at, in steps of a sixteenth: finer spends the budget of false alarms on looks at almost the
# same rows, coarser sees a shift later.
SLICES_MAX = 16
SLICE_MINUTES = (1, 2, 4, 8, 15, 30, 90, 180, 720)  # from 15 on they divide the day, so a window of days is whole days
# A shift is seen soonest in a window that holds it and little else, so each window is a third to a half longer than the last:
# at most a fifth of the rows is lost to the distance between two (measured: docs/drift.md).
LADDER_MINUTES = (1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 44, 60, 88, 120, 180, 240, 360, 480, 720, 1080, 1440, 2880, 10_080)

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """A drift window: the newest `slices` whole slices of `slice_minutes`."""

    window_s: int
    slice_minutes: int
    slices: int

    @classmethod
    def of(cls, window_s: int) -> Self:
        """The window of this length, or up to a slice longer where no slice divides it."""
        minutes = max(1, window_s // MINUTE_S)
        fits = [s for s in SLICE_MINUTES if minutes <= SLICES_MAX * s and minutes % s == 0]
        slice_minutes = fits[0] if fits else ceil(minutes / SLICES_MAX)
        return cls(window_s, slice_minutes, ceil(minutes / slice_minutes))

    @property
    def minutes(self) -> int:
        return self.slices * self.slice_minutes

    def first_minute(self, minute: int) -> int:
        """The first minute of the window as it is when `minute` was the last one closed."""
        return ((minute + 1) // self.slice_minutes - self.slices) * self.slice_minutes

    def last_minute(self, minute: int) -> int:
        """The last minute of it: that of the newest whole slice."""
        return (minute + 1) // self.slice_minutes * self.slice_minutes - 1


@dataclass(slots=True)
class Tier:
    """The slices of one length; owned and changed by the state."""

    slice_minutes: int
    slices: dict[int, Counts] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Length of the vectors that are held; 0 when there are none."""
        return next((counts.size for counts in self.slices.values()), 0)

    def holds(self, minute: int, closed: int) -> bool:
        """Would counts of `minute` still be in a window when `closed` was the last minute closed?"""
        return minute // self.slice_minutes >= self._oldest(closed)

    def add(self, minute: int, counts: Counts) -> None:
        """Adds counts to the slice of `minute`; a vector of another layout starts the tier again (a baseline was added
        late).
        """
        if self.slices and self.size != counts.size:
            self.slices = {}
        held = self.slices.setdefault(minute // self.slice_minutes, np.zeros_like(counts))
        held += counts

    def advance(self, minute: int) -> None:
        """Forgets what no window holds any more when `minute` was closed."""
        oldest = self._oldest(minute)
        for number in [number for number in self.slices if number < oldest]:
            del self.slices[number]

    def due(self, minute: int) -> bool:
        """Did closing `minute` complete a slice, so that the windows have changed?"""
        return bool(self.slices) and (minute + 1) % self.slice_minutes == 0

    def next_due(self, after: int) -> int | None:
        """The next minute whose closing completes a slice; None when there is nothing that could change."""
        if not self.slices:
            return None
        return ((after + 1) // self.slice_minutes + 1) * self.slice_minutes - 1

    def sums(self, minute: int, lengths: Sequence[int], size: int) -> Counts:
        """The newest so many whole slices added up, for each length; shape (len(lengths), size)."""
        newest = (minute + 1) // self.slice_minutes - 1
        newest_first = np.zeros((max(lengths), size), dtype=np.int64)
        for place in range(max(lengths)):
            if (counts := self.slices.get(newest - place)) is not None and counts.size == size:
                newest_first[place] = counts
        added: Counts = np.cumsum(newest_first, axis=0)[np.asarray(lengths) - 1]
        return added

    def covered_minutes(self, minute: int, slices: int) -> int:
        """How far back the counts of a window of so many slices reach, from the end of its newest one."""
        newest = (minute + 1) // self.slice_minutes - 1
        inside = [number for number in self.slices if newest - slices < number <= newest]
        return (newest + 1 - min(inside)) * self.slice_minutes if inside else 0

    def _oldest(self, minute: int) -> int:
        return minute // self.slice_minutes - SLICES_MAX


def tiers(scales: Sequence[Scale]) -> dict[int, tuple[Scale, ...]]:
    """The windows by the length of their slices in minutes, the shortest first."""
    lengths = sorted({scale.slice_minutes for scale in scales})
    return {
        length: tuple(sorted((s for s in scales if s.slice_minutes == length), key=lambda s: s.slices))
        for length in lengths
    }
