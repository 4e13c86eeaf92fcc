"""Do seen rows fit what was expected, and which explanation fits well enough with the fewest things assumed?

Laws
- A fit is the G of a two-sample test over bins; bins that expect too little are joined with their neighbours first.
- The simplest explanation wins: one with more parameters must lower G by PARAMETER_COST for each of them.
- What does not fit is never chosen, however little else there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from monitoring.explain.looks import AnyLook, Offset, Scaled, Spread, Stretched

EXPECTED_MIN = 3.0  # of a bin; below, χ² is far from what G does
P_MIN = 1e-4  # of the fit of an explanation; a true one is refused once in 10 000 times
# Seasons and noise of years keep a million rows from fitting anything exactly: what is left may be a tenth of what was there.
LEFT_MAX = 0.1
# Where a number was fitted that is too much of a large change: a wrong entry too brings the middle to its place. There may be
# left what seasons leave, in G a row, which is about a PSI.
FITTED_LEFT_MAX = 0.03
FITTED = Scaled | Offset | Spread | Stretched
# χ²(1) at 0.02 %, not at 0.1 %: a number that is found by trying a hundred of them also fits what chance did to the bins.
PARAMETER_COST = 14.0
# Rows outside the range of training that are looked at apart, and the share that is taken to be there by chance. They would
# be joined with their neighbours otherwise, and a thousandfold amount in a tenth of the rows would look like a good day.
BEYOND_ROWS, BEYOND_SHARE = 3, 0.002
MOVED_P_MAX = 1e-3  # of rows as they came, above which there is nothing to explain

Floats = npt.NDArray[np.float64]


class Fit(NamedTuple):
    """`g` ~ χ²(df) where `n` seen rows come from where the expected ones come from."""

    g: float
    df: int
    n: float

    def p(self, parameters: int = 0) -> float:
        """How often rows that fit would fit so badly."""
        return float(special.chdtrc(max(1, self.df - parameters), self.g))

    @property
    def effect(self) -> float:
        """Beyond what chance does, a row."""
        return max(0.0, self.g - self.df) / max(1.0, self.n)

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Of the effect a row: the λ that would still make so small a G, and so large a one, over the rows."""
        df, n = max(1, self.df), max(1.0, self.n)
        low, high = (special.chndtrinc(self.g, df, p) for p in (confidence, 1 - confidence))
        return (float(np.nan_to_num(low)) / n, float(np.nan_to_num(high)) / n)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An explanation, how many numbers of it were chosen to fit, and how it fits."""

    look: AnyLook
    parameters: int
    fit: Fit


def fit(expected: Floats, seen: Floats, rows: float, *, range_known: bool = False) -> Fit:
    """expected: any weights, shape (bins,), that stand for `rows` rows; seen: counts, shape (bins,).

    `range_known`: the first and the last bin hold what training never had, so a few rows there are a lot.
    """
    total, n = float(expected.sum()), float(seen.sum())
    if total <= 0 or n <= 0:
        return Fit(0.0, 0, n)
    expected = expected * (rows / total)
    low, high = (int(range_known and seen[end] >= BEYOND_ROWS) for end in (0, -1))
    inner = slice(low, seen.size - high)
    a, b = _joined(expected[inner], seen[inner], min(rows, n) / (rows + n))
    beyond = [end for end, apart in ((0, low), (-1, high)) if apart]
    if beyond:
        a = np.append(a, np.maximum(expected[beyond], BEYOND_SHARE * rows))
        b = np.append(b, seen[beyond])
        rows = float(a.sum())
    pooled = (a + b) / (rows + n)
    g = 2 * float((special.xlogy(a, a / (pooled * rows)) + special.xlogy(b, b / (pooled * n))).sum())
    return Fit(max(0.0, g), len(a) - 1, n * rows / (n + rows))


def _joined(a: Floats, b: Floats, share: float) -> tuple[Floats, Floats]:
    starts, held = [0], 0.0
    pooled = ((a + b) * share).tolist()
    for place, one in enumerate(pooled):
        if held >= EXPECTED_MIN:
            starts.append(place)
            held = 0.0
        held += one
    if held < EXPECTED_MIN and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(a, starts), np.add.reduceat(b, starts)


def choose(candidates: Sequence[Candidate], came: Fit) -> Candidate | None:
    """The explanation to give; `came`: the fit of the rows as they came. None where nothing is to be explained, or does."""
    if came.p() > MOVED_P_MAX:
        return None
    fitting = [one for one in candidates if _fits(one, came)]
    return min(fitting, key=cost, default=None)


def cost(one: Candidate) -> float:
    return one.fit.g + PARAMETER_COST * one.parameters


def _fits(one: Candidate, came: Fit) -> bool:
    left_max = LEFT_MAX * came.effect
    if isinstance(one.look, FITTED):
        left_max = min(left_max, FITTED_LEFT_MAX)
    return one.fit.p(one.parameters) > P_MIN or one.fit.effect < left_max
