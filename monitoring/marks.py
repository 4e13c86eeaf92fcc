"""Which records of the log a window was made of: the first and the last of each writer.

Law: marks grow by taking minima and maxima, so the order in which records are marked does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring.tier import SLICES_MAX

Place = tuple[int, int]  # (epoch, seq): with the writer it names a record for ever
Ends = tuple[Place, Place]
# Writers beyond it are not named in an event; a host has one a worker, restarts reuse their directories.
WRITERS_MAX = 256

LogRange = dict[str, Ends]


def widen(held: LogRange, more: Mapping[str, Ends]) -> None:
    """Makes `held` cover `more` as well."""
    for writer, (first, last) in more.items():
        if (known := held.get(writer)) is not None:
            held[writer] = (min(known[0], first), max(known[1], last))
        elif len(held) < WRITERS_MAX:
            held[writer] = (first, last)


@dataclass(slots=True)
class MarkTier:
    """Log ranges by slice of a tier; owned and changed by the state."""

    slice_minutes: int
    slices: dict[int, LogRange] = field(default_factory=dict)

    def add(self, minute: int, marks: Mapping[str, Ends]) -> None:
        widen(self.slices.setdefault(minute // self.slice_minutes, {}), marks)

    def advance(self, minute: int) -> None:
        """Forgets what no window holds any more when `minute` was closed."""
        oldest = minute // self.slice_minutes - SLICES_MAX
        for number in [number for number in self.slices if number < oldest]:
            del self.slices[number]

    def covering(self, first_minute: int) -> LogRange:
        """The range that holds every record of the slices from this minute on."""
        held: LogRange = {}
        for number in sorted(self.slices):
            if number * self.slice_minutes >= first_minute:
                widen(held, self.slices[number])
        return held
