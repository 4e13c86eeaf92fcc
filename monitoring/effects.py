"""How large is a drift in the measures that people know, each with an interval?

Laws
- All measures of a column speak of the same drift: the decision rule's noncentrality λ (drift.py) says how far along the
  straight line from the baseline's shares to the window's the truth lies, t = √(λ/G), and each measure is what it is there. So
  an interval that holds no drift for one measure holds none for any, and no measure contradicts a verdict.
- Sampling noise is taken out of the estimate: t = 0 where G is no larger than its degrees of freedom.

Along that line total variation, Jensen–Shannon distance and Wasserstein distance grow with t (the second to first order), PSI
with t². Total variation: half the sum of the differences of shares. Jensen–Shannon: the distance, base 2, in [0, 1] (Endres
and Schindelin 2003). Wasserstein-1 in σ of the training values, from both distribution functions at the edges of the bins and
straight between them; within the outermost bins the difference falls off as a normal tail does. What lies beyond the training
range counts as at its border, so for a unit that changed it is a lower bound. Its interval is that of the sum of rows that it
is (delta method, the signs of the differences as they are), because it hangs on the location alone, where λ has the noise of
all bins; its lower end is 0 where that of the others is.
"""

from math import sqrt

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from models.noncentral import EXACT_G_MAX
from monitoring.reference import Reference

SIDE = 0.975  # of each side of an interval: 95 % together
# Of the rectangle over an outer decile of 10 000 normal values, between the shares at its inner edge:
# Φ(−1.28)/φ(−1.28) of 2.6 σ.
NORMAL_TAIL = 0.22

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Interval(msgspec.Struct, frozen=True, array_like=True):
    """A measure with its 95 % interval."""

    estimate: float
    low: float
    high: float


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """`wasserstein_sigma` is None for a text and where training had a single value."""

    psi: Interval
    jensen_shannon: Interval
    total_variation: Interval
    wasserstein_sigma: Interval | None


def effects(reference: Reference, j: int, counts: Counts, statistic: float, df: int) -> Effects | None:
    """The measures of column j; counts: shape (reference.size,) of a window, statistic, df: its G. None where either side has
    no rows.
    """
    column, start, end = reference.columns[j], reference.starts[j], reference.starts[j + 1]
    can = reference.answerable[start:end]
    base, window = (np.where(can, whole[start:end], 0) for whole in (reference.expected(counts[None, :])[0], counts))
    m, n = float(base.sum()), float(window.sum())
    if not m or not n or df < 1:
        return None
    way = _way(statistic, df)
    p, q = base / m, window / n
    psi = (m + n) / (m * n) * statistic
    return Effects(
        psi=Interval(*(float(psi * t * t) for t in way)),
        jensen_shannon=_along(_jensen_shannon(p, q), way, 1.0),
        total_variation=_along(float(np.abs(p - q).sum()) / 2, way, 1.0),
        wasserstein_sigma=_wasserstein(column, base, window, way),
    )


def _way(g: float, df: int) -> tuple[float, float, float]:
    """How far from the baseline to the window: estimate, low, high."""
    if g <= 0:
        return 0.0, 0.0, 0.0
    return (
        sqrt(max(0.0, g - df) / g),
        sqrt(_noncentrality(g, df, SIDE) / g),
        sqrt(_noncentrality(g, df, 1 - SIDE) / g),
    )


def _noncentrality(g: float, df: int, below: float) -> float:
    """The λ with P(χ'²_df(λ) ≤ g) = below; 0 where even λ = 0 has less."""
    if special.chdtr(df, g) <= below:
        return 0.0
    if g <= EXACT_G_MAX:
        return float(max(0.0, np.nan_to_num(special.chndtrinc(g, df, below))))
    z = float(special.ndtri(below))  # g ~ N(df + λ, 2(df + 2λ)), solved for λ
    root = sqrt(max(0.0, 2 * z * z + 2 * g - df)) - z * sqrt(2)
    return max(0.0, (root * root - df) / 2)


def _along(plain: float, way: tuple[float, float, float], most: float) -> Interval:
    return Interval(*(min(plain * t, most) for t in way))


def _jensen_shannon(p: Floats, q: Floats) -> float:
    mean = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = special.xlogy(p, p / mean) + special.xlogy(q, q / mean)
    return sqrt(max(0.0, float(np.nan_to_num(parts).sum()) / 2 / np.log(2)))


def _wasserstein(
    column: ColumnBaseline, base: Counts, window: Counts, way: tuple[float, float, float]
) -> Interval | None:
    if column.kind is Kind.STRING or not column.std or column.low is None or column.high is None:
        return None
    m, n = _in_order(base), _in_order(window)
    if not m.sum() or not n.sum():
        return None
    p, q = m / m.sum(), n / n.sum()
    apart = np.cumsum(q - p)[:-1]  # at the low end, each edge, the high end
    weight = _weights(np.array([column.low, *column.edges, column.high]), np.abs(apart)) / column.std
    far = float((weight * np.abs(apart)).sum())
    pull = np.append(np.cumsum((weight * np.sign(apart))[::-1])[::-1], 0.0)  # of a row in each bin on the distance
    variance = sum(
        float((share * pull**2).sum() - (share * pull).sum() ** 2) / rows
        for share, rows in ((p, m.sum()), (q, n.sum()))
    )
    half = float(special.ndtri(SIDE)) * sqrt(max(0.0, variance))
    return Interval(far * way[0], min(far * way[0], max(0.0, far - half)) if way[1] else 0.0, far + half)


def _weights(at: Floats, apart: Floats) -> Floats:
    """What the difference at each place stands for of the area between the distribution functions."""
    width = np.diff(at)
    weight = np.zeros(len(at))
    weight[:-1] += width / 2
    weight[1:] += width / 2
    for border, edge, outer in ((0, 1, 0), (-1, -2, -1)):
        if apart[edge] > apart[border]:
            weight[border] += width[outer] * (1 - NORMAL_TAIL - 0.5)
            weight[edge] += width[outer] * (NORMAL_TAIL - 0.5)
    return weight


def _in_order(counts: Counts) -> Floats:
    """The numbers below the range, in each bin, above the range."""
    below = counts[Special.BELOW] + counts[Special.NEG_INF]
    above = counts[Special.ABOVE] + counts[Special.POS_INF]
    return np.array([below, *counts[SPECIALS:], above], dtype=np.float64)
