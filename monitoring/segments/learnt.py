"""What is a segment compared with? With itself, as it was when the version was new: no training data says how it looked.

Laws
- A segment is learnt once a version, from its first record on, until its history is long enough to hold every season that
  it has and has rows enough; from then on its reference never changes. Before that it is counted and not judged.
- Learning is addition: order of records, chunk borders and writers cannot show. Records that come late, after their minute was
  closed, are in the windows and not in what is learnt.
- Natural is what the whole model's training blocks varied by, or the segment's own blocks while it was learnt, whichever is
  more.
- A replay is given what was learnt: it judges a piece of the log by the same references as it was judged by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from models.natural import BLOCK_ROWS_MIN, BLOCKS_MIN, beyond_noise
from monitoring.reference import Extra, Reference
from monitoring.tier import SLICES_MAX, Tier
from monitoring.vectors import StoredVector, pack, unpack
from monitoring.window import MINUTE_S

DAY_MINUTES = 1440  # blocks tell of seasons where they reach back a day

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class StoredLearnt(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint holds of a segment of a version."""

    version: tuple[str, str, str]
    segment: str
    since: int
    until: int | None
    counts: StoredVector
    natural: list[tuple[int, list[float]]]


@dataclass(slots=True)
class Learnt:
    """`since`: the first minute with rows; `until`: the minute after which it was complete, None while it is being learnt;
    `natural`: (length in s, how far blocks of that length lay from the others, shape (columns,)).
    """

    since: int
    counts: Counts
    until: int | None = None
    natural: tuple[tuple[int, Floats], ...] = ()

    def take(self, minute: int, counts: Counts) -> None:
        """Adds a minute's counts while it is being learnt; of another layout it begins anew (a baseline was added late)."""
        if self.counts.size != counts.size:
            self.since, self.counts, self.until, self.natural = minute, counts.copy(), None, ()
        elif self.until is None:
            self.counts = self.counts + counts

    def complete(
        self, minute: int, tracks: Sequence[Mapping[int, Tier]], reference: Reference, *, learning_s: int, rows_min: int
    ) -> None:
        """Ends the learning where closing `minute` made it long enough; `tracks`: the tiers of its arms."""
        if self.until is not None or (minute + 1 - self.since) * MINUTE_S < learning_s or not self.fits(reference):
            return
        if reference.extra(self.counts, Extra.ROWS_ANSWERED) < rows_min:
            return
        self.until = minute
        self.natural = _natural(self.counts, tracks, minute, reference)

    def judges(self, minute: int) -> bool:
        """Is it what windows of this minute are held against?"""
        return self.until is not None and minute > self.until

    def fits(self, reference: Reference) -> bool:
        return self.counts.size == reference.segment_size

    def reference(self, whole: Reference) -> Reference:
        """The segment's own reference, on the bins of the version."""
        lengths = sorted({length for length, _ in (*whole.natural_steps, *self.natural)})
        steps = tuple((length, np.maximum(whole.natural(length), self._own(length, whole))) for length in lengths)
        return replace(whole, baseline=self.counts[: int(whole.starts[-1])], natural_steps=steps, hours=None)

    def _own(self, covered_s: int, whole: Reference) -> Floats:
        if not self.natural:
            return np.zeros(len(whole.columns))
        return max((known for known in self.natural if known[0] <= covered_s), key=_length, default=self.natural[0])[1]


def _length(known: tuple[int, Floats]) -> int:
    return known[0]


def _natural(
    counts: Counts, tracks: Sequence[Mapping[int, Tier]], minute: int, reference: Reference
) -> tuple[tuple[int, Floats], ...]:
    found = []
    for slice_minutes in sorted({minutes for tiers in tracks for minutes in tiers}):
        if slice_minutes * SLICES_MAX < DAY_MINUTES:
            continue
        blocks = _blocks([tiers[slice_minutes] for tiers in tracks if slice_minutes in tiers], minute, reference)
        if len(blocks) >= BLOCKS_MIN:
            found.append((slice_minutes * MINUTE_S, _apart(blocks, counts, reference)))
    return tuple(found)


def _blocks(tiers: Sequence[Tier], minute: int, reference: Reference) -> Counts:
    """The whole slices with rows enough, summed over arms; shape (blocks, reference.segment_size)."""
    newest = (minute + 1) // tiers[0].slice_minutes - 1 if tiers else 0
    blocks = np.zeros((SLICES_MAX, reference.segment_size), dtype=np.int64)
    for tier in tiers:
        for place in range(SLICES_MAX):
            held = tier.slices.get(newest - place)
            if held is not None and held.size == reference.segment_size:
                blocks[place] += held
    rows = blocks[:, int(reference.starts[-1]) + Extra.ROWS_ANSWERED]
    return blocks[rows >= BLOCK_ROWS_MIN]


def _apart(blocks: Counts, counts: Counts, reference: Reference) -> Floats:
    apart = np.zeros(len(reference.columns))
    for j in range(len(reference.columns)):
        here = slice(reference.starts[j], reference.starts[j + 1])
        rest = np.maximum(counts[here] - blocks[:, here], 0)  # what came late is in a block and was not learnt
        apart[j] = beyond_noise(blocks[:, here], rest)
    return apart


def store(version: tuple[str, str, str], segment: str, learnt: Learnt) -> StoredLearnt:
    """What was learnt, as a value to be written."""
    natural = [(length, apart.tolist()) for length, apart in learnt.natural]
    return StoredLearnt(version, segment, learnt.since, learnt.until, pack(learnt.counts), natural)


def restore(stored: StoredLearnt) -> Learnt:
    """What was written."""
    natural = tuple((length, np.array(apart, dtype=np.float64)) for length, apart in stored.natural)
    return Learnt(stored.since, unpack(stored.counts), stored.until, natural)
