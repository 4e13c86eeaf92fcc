"""How large is a drift in the measures that people know, each with an interval?

Laws
- All measures of a column speak of the same drift: the decision rule's noncentrality λ (drift.py) says how far along the
  straight line from the baseline's shares to the window's the truth lies, t = √(λ/G), and each measure is what it is there. So
  an interval that holds no drift for one measure holds none for any, and no measure contradicts a verdict.
- Sampling noise is taken out of the estimate: t = 0 where G is no larger than its degrees of freedom.

Along that line total variation, Jensen–Shannon distance and Wasserstein distance grow with t (the second to first order), PSI
with t². Total variation: half the sum of the differences of shares. Jensen–Shannon: the distance, base 2, in [0, 1] (Endres
and Schindelin 2003). Wasserstein-1 in σ of the training values is the area between both distribution functions: exact where
training had a bin a value; elsewhere over the places that values.py finds inside the bins, the window's function being even
on the normal scale of training's between two edges, which is what a shift or a stretch of normal or lognormal values makes of
it. Beyond the last edge it runs parallel, and the more rows lie outside the training range, the nearer to their share.
What lies beyond the training range counts as at its border, so for a unit that changed it is a lower bound. Its interval has
its own sampling noise (the influence of a row in each bin), because it hangs on the location alone, where λ has the noise of
all bins, and how far the area is from that of a window whose rows lie inside each bin as training's do; its lower end is 0
where that of the others is.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from models.noncentral import EXACT_G_MAX
from monitoring.reference import Reference
from monitoring.values import distinct, places, scores

SIDE = 0.975  # of each side of an interval: 95 % together
BEYOND_ROWS = 3  # beyond the training range from which they say half of where the window's tail ends: one may be chance
NUDGE = 1e-4  # of a distribution towards one bin: the derivative of the distance to that

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Area = Callable[[Floats, Floats], tuple[float, float]]


class Interval(msgspec.Struct, frozen=True, array_like=True):
    """A measure with its 95 % interval."""

    estimate: float
    low: float
    high: float


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """`wasserstein_sigma` is None for a text, where training had a single value, and where values.py finds no places."""

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
    if column.kind is Kind.STRING or not column.std:
        return None
    m, n = _in_order(base), _in_order(window)
    area = _area(column, float(m.sum()), float(n.sum()))
    if not m.sum() or not n.sum() or area is None:
        return None
    p, q = m / m.sum(), n / n.sum()
    far, other = (one / column.std for one in area(p, q))
    variance = 0.0
    for i in range(len(p)):
        toward = np.zeros(len(p))
        toward[i] = NUDGE
        of_p = (area(p * (1 - NUDGE) + toward, q)[0] / column.std - far) / NUDGE if p[i] else 0.0
        of_q = (area(p, q * (1 - NUDGE) + toward)[0] / column.std - far) / NUDGE if q[i] else 0.0
        variance += p[i] * of_p**2 / float(m.sum()) + q[i] * of_q**2 / float(n.sum())
    half = float(special.ndtri(SIDE)) * sqrt(variance) + abs(far - other)
    return Interval(far * way[0], min(far * way[0], max(0.0, far - half)) if way[1] else 0.0, far + half)


def _area(column: ColumnBaseline, m: float, n: float) -> Area | None:
    """From shares of m and of n rows to the area between their distribution functions, by both ways to fill a bin."""
    if (values := distinct(column)) is not None:
        return partial(_stairs, values)
    if (inside := places(column)) is not None:
        return partial(_between, inside, (m, n))
    return None


def _stairs(values: Floats, p: Floats, q: Floats) -> tuple[float, float]:
    """The area between the functions of shares on these values; what lies beyond them is at the outermost ones."""
    far = float((np.abs(np.cumsum(q - p)[1:-2]) * np.diff(values)).sum())
    return far, far


def _between(inside: Floats, rows: tuple[float, float], p: Floats, q: Floats) -> tuple[float, float]:
    """The area, and the area if the window's rows lay inside each bin as training's; inside: shape (bins, places)."""
    one, two = scores(np.cumsum(p)[1:-2], rows[0]), scores(np.cumsum(q)[1:-2], rows[1])
    seen = scores(np.array([q[0], 1 - q[-1]]), rows[1])[1:-1]
    for end, edge, beyond in ((0, 1, q[0]), (-1, -2, q[-1])):
        trust = beyond * rows[1] / (beyond * rows[1] + BEYOND_ROWS)
        two[end] = trust * seen[end] + (1 - trust) * (two[edge] + one[end] - one[edge])
    even = np.linspace(0, 1, inside.shape[1])
    f, g = (special.ndtr(z[:-1, None] + np.diff(z)[:, None] * even) for z in (one, two))
    share = np.diff(f[:, [0, -1]], axis=1)
    along = np.where(share > 0, (f - f[:, :1]) / np.where(share > 0, share, 1.0), even)
    alike = g[:, :1] + (g[:, -1:] - g[:, :1]) * along
    width = np.diff(inside, axis=1)
    areas = [float((width * (apart[:, :-1] + apart[:, 1:])).sum()) / 2 for apart in (np.abs(f - g), np.abs(f - alike))]
    return areas[0], areas[1]


def _in_order(counts: Counts) -> Floats:
    """The numbers below the range, in each bin, above the range."""
    below = counts[Special.BELOW] + counts[Special.NEG_INF]
    above = counts[Special.ABOVE] + counts[Special.POS_INF]
    return np.array([below, *counts[SPECIALS:], above], dtype=np.float64)
