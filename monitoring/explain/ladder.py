"""How far back does the sample reach, and how finely: slices of event time whose length grows with their age.

Laws
- Of every slice at most `k` rows are held; slices are aligned, so which one a minute lies in depends on the minute and on
  the last one closed, never on what came.
- Every age has slices of about a fifth of it, so there is always a "just before" beside a "now".
- A slice that grew too old for its length is joined with its neighbours into one four times as long, and the oldest are
  forgotten. Moving late is moving once: `advance(a)` then `advance(b)` is `advance(b)`.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from monitoring.explain.sample import ANY, Rows, join, lowest

LENGTHS = (1, 4, 16, 64, 256, 1024)  # minutes
LONGEST_KEPT = 8
SLICES_MAX = 8 * len(LENGTHS) + 2  # a level holds its newest two parents' worth; two more may still be open


class Slice(NamedTuple):
    """`number` counts slices of this length since the epoch."""

    minutes: int
    number: int

    @property
    def first(self) -> int:
        """Its first minute."""
        return self.minutes * self.number

    @property
    def last(self) -> int:
        return self.minutes * (self.number + 1) - 1


@dataclass(slots=True)
class Ladder:
    """The sample of one version and arm; owned and changed by the state."""

    columns: int
    k: int
    slices: dict[Slice, Rows] = field(default_factory=dict)
    settled: int = 0  # the group of four minutes that was last moved for

    def below(self, minute: int, closed: int) -> int:
        """The hash above which a row of this minute cannot stay."""
        at = place(minute, closed)
        if at is None:
            return -1
        held = self.slices.get(at)
        return ANY if held is None or held.n < self.k else int(held.hashes[-1])

    def add(self, minute: int, rows: Rows, closed: int) -> None:
        """Takes in rows of a minute; rows of a time that is forgotten are not kept."""
        at = place(minute, closed)
        if at is not None and rows.n:
            self._put(at, rows)

    def advance(self, closed: int) -> None:
        """Moves what grew old when `closed` was closed."""
        if closed // LENGTHS[1] == self.settled:
            return
        self.settled = closed // LENGTHS[1]
        for old in sorted(self.slices):
            at = place(old.first, closed)
            if at != old:
                rows = self.slices.pop(old)
                if at is not None:
                    self._put(at, rows)

    def _put(self, at: Slice, rows: Rows) -> None:
        held = self.slices.get(at)
        self.slices[at] = lowest(rows if held is None else join([held, rows], self.columns), self.k)

    def between(self, first: int, last: int) -> Rows:
        """The rows of the slices that lie in minutes [first, last] with all of their length."""
        inside = [rows for at, rows in sorted(self.slices.items()) if first <= at.first and at.last <= last]
        return join(inside, self.columns)


def place(minute: int, closed: int) -> Slice | None:
    """The slice that holds a minute when `closed` was the last one closed; None when it is forgotten."""
    for minutes, parent in pairwise(LENGTHS):
        if minute >= (closed // parent - 1) * parent:
            return Slice(minutes, minute // minutes)
    oldest = closed // LENGTHS[-1] - LONGEST_KEPT + 1
    return Slice(LENGTHS[-1], minute // LENGTHS[-1]) if minute // LENGTHS[-1] >= oldest else None
