"""What one minute of the log says about a canary and the stable version beside it: counts.

Laws
- Only requests that the share decided on are in it: arm `canary` or `stable`. A version that a caller pinned or a tester
  asked for is nobody's evidence, nor is a shadow.
- A vector adds: two writers, two monitors, any order of records give the same.
- The share in effect is read from the records too: the canary answers a bucket below it, stable one from it on (routing).
- One row a request stands in the bins of the outputs, chosen by the hash of its id: rows of one request are alike, and a
  hundred of them would count as a hundred witnesses.

A vector of an arm is `Part`, then the latency sketch of the answered requests (sketch.py), then the bins of the outputs,
side by side (models.baseline).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from monitoring.sketch import BUCKETS

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BP_A_PERCENT = 100


class Part(IntEnum):
    """Where the parts of an arm's vector begin."""

    REQUESTS = 0
    FAILED = 1  # failed and shed: our side's fault
    REJECTED = 2  # refused as bad input
    LABELLED = 3  # rows whose label arrived in this minute
    WRONG = 4  # of these, those that the prediction missed
    LATENCY = 5
    OUTPUTS = 5 + BUCKETS


@dataclass(frozen=True, slots=True, eq=False)
class Minute:
    """A closed minute of event time; the vectors have shape (Part.OUTPUTS + bins,).

    `half`: the part of stable that has an odd bucket; `low_bp`, `high_bp`: the share was in this range, in basis points; low
    above high: it changed within the minute.
    """

    number: int
    canary: Counts
    stable: Counts
    half: Counts
    low_bp: int
    high_bp: int

    @property
    def concurrent(self) -> bool:
        """Had both arms requests?"""
        return bool(self.canary[Part.REQUESTS] and self.stable[Part.REQUESTS])

    @property
    def steady(self) -> bool:
        """Can one share explain all of the minute?"""
        return self.low_bp <= self.high_bp

    def shows(self, percent: float) -> bool:
        """Can this share?"""
        return self.low_bp <= round(percent * BP_A_PERCENT) <= self.high_bp


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """The sets of answers whose shares are compared, as 0/1 rows over the outputs' bins; shape (cuts, bins).

    `inside`: the bins of the set; `among`: all bins of its column; `names`: the sets in words.
    """

    names: tuple[str, ...]
    inside: Floats
    among: Floats

    @property
    def bins(self) -> int:
        return int(self.inside.shape[1])

    @classmethod
    def of(cls, columns: Sequence[ColumnBaseline]) -> "Cuts":
        """Of a number: everything below each edge of its bins, and NaN; of a text: each category, and any other text."""
        starts = np.cumsum([0, *(column.bins for column in columns)])
        names: list[str] = []
        inside, among = [np.zeros((0, int(starts[-1])))], [np.zeros((0, int(starts[-1])))]
        for column, start in zip(columns, starts, strict=False):
            sets = _sets(column)
            names += (f"{column.name} {name}" for name, _ in sets)
            block = np.zeros((2, len(sets), int(starts[-1])))
            block[0, :, start : start + column.bins] = [bins for _, bins in sets]
            block[1, :, start : start + column.bins] = 1
            inside.append(block[0])
            among.append(block[1])
        return cls(tuple(names), np.concatenate(inside), np.concatenate(among))

    def none(self) -> "Cuts":
        """No cut of the same bins."""
        return Cuts((), self.inside[:0], self.among[:0])


def _sets(column: ColumnBaseline) -> list[tuple[str, Floats]]:
    labels, one = column.labels(), np.eye(column.bins)
    if column.kind is Kind.STRING:
        return [(f"= {labels[place]}", one[place]) for place in (Special.UNSEEN, *range(SPECIALS, column.bins))]
    first, last = SPECIALS, column.bins
    below = one[Special.NEG_INF] + one[Special.BELOW]
    sets = [("below training's range", below)]
    for place, edge in zip(range(first, last), column.edges, strict=False):
        sets.append((f"< {edge:g}", below + one[first : place + 1].sum(axis=0)))
    above = one[Special.ABOVE] + one[Special.POS_INF]
    return [*sets, ("above training's range", above), ("is NaN", one[Special.NAN])]
