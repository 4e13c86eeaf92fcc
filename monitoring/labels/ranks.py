"""Does a hit score above a miss? Hits and misses by score, on bins as fine as there is room for.

The place of a score is the bits of its double: below ½ as they stand, above it those of 1 − score, mirrored. Places are
integers in the order of the scores, as fine at 0.999 999 as at 0.000 001. A bin is a place without its last `shift` bits.

Laws
- Up to BINS_MAX distinct scores have a bin each; of more, `shift` is the least with which so many bins hold them all. It
  follows from the set of scores alone: neither order nor chunks show.
- Bins are in the order of the scores, so the AUC of the scores lies within Σ hits · misses / 2PN of that of the bins, ties as
  halves, however scores lie inside of a bin; without a shift it is the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

BINS_MAX = 256  # log odds of a spread of 1.3 then lie in steps of about 1/16: their AUC is known to 0.006 at the worst
BIN_BYTES = 24

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MIRROR = 2 * int(np.float64(0.5).view(np.int64))


@dataclass(slots=True)
class Ranks:
    """Owned and changed by a slice. `places` ascend; `counts`: misses, then hits of each, shape (2, bins)."""

    shift: int = 0
    places: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: Counts = field(default_factory=lambda: np.zeros((2, 0), dtype=np.int64))

    @classmethod
    def together(cls, parts: Iterable["Ranks"]) -> Self:
        """All of them, on the bins of the coarsest."""
        held = list(parts)
        shift = max((one.shift for one in held), default=0)
        whole = cls(shift)
        if held:
            places = np.concatenate([one.places >> (shift - one.shift) for one in held])
            whole.places, whole.counts = _distinct(places, np.concatenate([one.counts for one in held], axis=1))
        return whole

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def misses(self) -> Floats:
        """By bin, from the lowest score on."""
        return np.asarray(self.counts[0], dtype=np.float64)

    @property
    def hits(self) -> Floats:
        """The same."""
        return np.asarray(self.counts[1], dtype=np.float64)

    def add(self, scores: Floats, hits: Floats) -> None:
        """Labelled rows; scores: in [0, 1], hits: 1 or 0, shapes (n,)."""
        places = np.concatenate([self.places, _places(scores) >> self.shift])
        came = np.stack([hits <= 0, hits > 0]).astype(np.int64)
        places, counts = _distinct(places, np.concatenate([self.counts, came], axis=1))
        more = 0
        while 1 + np.count_nonzero(np.diff(places >> more)) > BINS_MAX:
            more += 1
        self.shift += more
        self.places, self.counts = _distinct(places >> more, counts) if more else (places, counts)


def _places(scores: Floats) -> Counts:
    low = scores <= 0.5
    bits: Counts = (np.where(low, scores, 1 - scores) + 0.0).view(np.int64)  # + 0: of −0 the bits of 0
    return np.where(low, bits, _MIRROR - bits)


def _distinct(places: Counts, counts: Counts) -> tuple[Counts, Counts]:
    """Each place once, ascending, with its counts together."""
    found, place = np.unique(places, return_inverse=True)
    summed = [np.bincount(place, one, minlength=len(found)) for one in counts]  # doubles: exact up to 2⁵³ rows
    return found, np.stack(summed).astype(np.int64)
