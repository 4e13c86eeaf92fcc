"""What is a segment compared with? With itself, as it was when the version was new: no training data says how it looked.

Laws
- A segment is learnt once a version, from its first record on, until its history is long enough to hold every season that
  it has and has rows enough; from then on its reference never changes. Before that it is counted and not judged.
- Learning is addition: order of records, chunk borders and writers cannot show. Records that come late, after their minute was
  closed, are in the windows and not in what is learnt.
- Natural is what the whole model's training blocks varied by, or the segment's own hours of the day and days of the week
  while it was learnt, whichever is more: its hours lie apart by nature, also where those of the whole do not.
- Bounded: HOURS + DAYS vectors while it is learnt, one afterwards.
- A replay is given what was learnt: it judges a piece of the log by the same references as it was judged by.
"""

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import numpy.typing as npt

from models.natural import BLOCK_ROWS_MIN, beyond_noise
from monitoring.reference import Extra, Reference
from monitoring.vectors import StoredVector, pack, unpack
from monitoring.window import MINUTE_S

HOURS, DAYS = 24, 7
HOUR_MINUTES, DAY_MINUTES = 60, 1440
HOUR_S, DAY_S = 3600, 86_400
LEARNT_VECTORS = HOURS + DAYS + 1

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class StoredLearnt(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint holds of a segment of a version."""

    version: tuple[str, str, str]
    segment: str
    since: int
    until: int | None
    counts: StoredVector
    blocks: dict[int, StoredVector]
    natural: list[tuple[int, list[float]]]


@dataclass(slots=True)
class Learnt:
    """`since`: the first minute with rows; `until`: the minute after which it was complete, None while it is being learnt;
    `blocks`: counts of the hours of the day, and of the days of the week from HOURS on, while it is learnt; `natural`:
    (length in s, how far blocks of that length lay from the others, shape (columns,)).
    """

    since: int
    counts: Counts
    until: int | None = None
    blocks: dict[int, Counts] = field(default_factory=dict)
    natural: tuple[tuple[int, Floats], ...] = ()
    _made: tuple[Reference, Reference] | None = field(default=None, repr=False, compare=False)

    def take(self, minute: int, counts: Counts) -> None:
        """Adds a minute's counts while it is being learnt; of another layout it begins anew (a baseline was added late)."""
        if self.counts.size != counts.size:
            self.since, self.counts, self.until = minute, np.zeros_like(counts), None
            self.blocks, self.natural, self._made = {}, (), None
        if self.until is not None:
            return
        self.counts = self.counts + counts
        for block in (minute // HOUR_MINUTES % HOURS, HOURS + minute // DAY_MINUTES % DAYS):
            self.blocks[block] = self.blocks[block] + counts if block in self.blocks else counts.copy()

    def complete(self, minute: int, reference: Reference, *, learning_s: int, rows_min: int) -> None:
        """Ends the learning where closing `minute` made it long enough."""
        if self.until is not None or (minute + 1 - self.since) * MINUTE_S < learning_s or not self.fits(reference):
            return
        if reference.extra(self.counts, Extra.ROWS_ANSWERED) < rows_min:
            return
        self.until = minute
        self.natural = _natural(self.counts, self.blocks, reference)
        self.blocks, self._made = {}, None

    def judges(self, minute: int) -> bool:
        """Is it what windows of this minute are held against?"""
        return self.until is not None and minute > self.until

    def fits(self, reference: Reference) -> bool:
        return self.counts.size == reference.segment_size

    def reference(self, whole: Reference) -> Reference:
        """The segment's own reference, on the bins of the version; the same one each time, once it is learnt."""
        if self._made is None or self._made[0] is not whole:
            self._made = whole, self._reference(whole)
        return self._made[1]

    def _reference(self, whole: Reference) -> Reference:
        lengths = sorted({length for length, _ in (*whole.natural_steps, *self.natural)})
        steps = tuple((length, np.maximum(whole.natural(length), self._own(length, whole))) for length in lengths)
        return replace(whole, baseline=self.counts[: int(whole.starts[-1])], natural_steps=steps, hours=None)

    def _own(self, covered_s: int, whole: Reference) -> Floats:
        if not self.natural:
            return np.zeros(len(whole.columns))
        return max((known for known in self.natural if known[0] <= covered_s), key=_length, default=self.natural[0])[1]


def _length(known: tuple[int, Floats]) -> int:
    return known[0]


def _natural(counts: Counts, blocks: dict[int, Counts], reference: Reference) -> tuple[tuple[int, Floats], ...]:
    """Days vary as days do; an hour by as much as the hours of a day, or as the days."""
    days = _apart([block for at, block in blocks.items() if at >= HOURS], DAYS, counts, reference)
    hours = _apart([block for at, block in blocks.items() if at < HOURS], HOURS, counts, reference)
    return (HOUR_S, np.maximum(hours, days)), (DAY_S, days)


def _apart(blocks: list[Counts], expected: int, counts: Counts, reference: Reference) -> Floats:
    """How far each column of these blocks lies from the others; 0 where less than half of them have rows enough to tell."""
    apart = np.zeros(len(reference.columns))
    telling = [block for block in blocks if reference.extra(block, Extra.ROWS_ANSWERED) >= BLOCK_ROWS_MIN]
    if 2 * len(telling) < expected:
        return apart
    stacked = np.array(telling)
    for j in range(len(reference.columns)):
        here = slice(reference.starts[j], reference.starts[j + 1])
        apart[j] = beyond_noise(stacked[:, here], counts[here] - stacked[:, here])
    return apart


def store(version: tuple[str, str, str], segment: str, learnt: Learnt) -> StoredLearnt:
    """What was learnt, as a value to be written."""
    natural = [(length, apart.tolist()) for length, apart in learnt.natural]
    blocks = {block: pack(counts) for block, counts in learnt.blocks.items()}
    return StoredLearnt(version, segment, learnt.since, learnt.until, pack(learnt.counts), blocks, natural)


def restore(stored: StoredLearnt) -> Learnt:
    """What was written."""
    natural = tuple((length, np.array(apart, dtype=np.float64)) for length, apart in stored.natural)
    blocks = {block: unpack(counts) for block, counts in stored.blocks.items()}
    return Learnt(stored.since, unpack(stored.counts), stored.until, blocks, natural)
