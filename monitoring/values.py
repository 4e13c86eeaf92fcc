"""Where do a column's training values lie inside its bins, as far as its baseline tells?

Laws
- A column with one bin a value gives the values back: v[i+1] = 2·e[i] − v[i] from the lowest on, since edges are midpoints.
  They are believed only where they end at the highest one and have the column's mean and standard deviation.
- Elsewhere a bin between two edges is filled evenly on the normal scale. Over each outer bin the values go from its edge to the
  end of the range as (exp(at) − 1)/(exp(a) − 1), t even on the normal scale: a = 0 is a normal tail, a > 0 a lognormal one,
  a < 0 one that stops, as a score does. The a of both sides are those that give the column its mean and deviation.
- Where they pile up at the far end of an outer bin of many σ there is a second hump, of which bins say nothing: no places.
- Where the range and all edges are whole numbers, k stands for k - ½ to k + ½.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS, ColumnBaseline

STEPS = 16  # places inside a bin
SHAPES = np.linspace(
    -12, 12, 241
)  # a lognormal tail of 10 000 rows with σ = 1.5 has 3.6; a step moves W by less than 1 %
SECOND_MOMENT = 0.25  # its weight beside the mean, because few extreme rows make it
SMALL_SHAPE = 1e-6  # the weight of a²: a narrow outer bin tells nothing of its shape
WIDE, PILED = 3.0, -2.0  # σ, above the outer decile of a million normal values; a of a tail that ends gently
SAME = 1e-9

Floats = npt.NDArray[np.float64]


def distinct(column: ColumnBaseline) -> Floats | None:
    """The training values in ascending order, one a value bin; None where a bin holds several, and of a text."""
    if column.low is None or column.high is None or column.mean is None or column.std is None:
        return None
    values = [column.low]
    for edge in column.edges:
        values.append(2 * edge - values[-1])
    found, edges = np.array(values), np.array(column.edges)
    shares = np.array(column.counts[SPECIALS:]) / max(1, sum(column.counts[SPECIALS:]))
    near = SAME * max(abs(column.low), abs(column.high), SAME)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float((shares * found).sum())
        std = float(np.sqrt((shares * (found - mean) ** 2).sum()))
    apart = np.abs(np.array([found[-1], mean, std]) - [column.high, column.mean, column.std])
    in_bins = bool((found[:-1] < edges).all() and (edges <= found[1:]).all())
    return found if in_bins and bool((apart <= near).all()) else None


def places(column: ColumnBaseline) -> Floats | None:
    """STEPS + 1 places from the left to the right end of each value bin; shape (bins, STEPS + 1). None of a text, and where
    one bin holds everything or an outer one a hump.
    """
    if column.low is None or column.high is None or column.mean is None or not column.std or not column.edges:
        return None
    at = np.array([column.low, *column.edges, column.high])
    if (at == np.rint(at)).all():
        at += np.append(np.full(len(at) - 1, -0.5), 0.5)
    counts = np.array(column.counts[SPECIALS:], dtype=np.float64)
    score = scores(np.cumsum(counts)[:-1] / counts.sum(), counts.sum())
    even = np.linspace(0, 1, STEPS + 1)
    inside = at[:-1, None] + np.diff(at)[:, None] * even
    rows = np.diff(special.ndtr(score[:-1, None] + np.diff(score)[:, None] * even), axis=1)
    first, second = _moments(inside[1:-1], rows[1:-1], column.mean)
    way = _ways(even)
    low = at[1] + (at[0] - at[1]) * way
    high = at[-2] + (at[-1] - at[-2]) * way
    low_moments, high_moments = _moments(low, rows[0][::-1], column.mean), _moments(high, rows[-1], column.mean)
    off = (first.sum() + low_moments[0][:, None] + high_moments[0]) / column.std
    spread = (second.sum() + low_moments[1][:, None] + high_moments[1]) / column.std**2 - 1
    cost = off**2 + (SECOND_MOMENT * spread) ** 2 + SMALL_SHAPE * (SHAPES[:, None] ** 2 + SHAPES**2)
    i, j = np.unravel_index(int(cost.argmin()), cost.shape)
    wide = np.array([at[1] - at[0], at[-1] - at[-2]]) > WIDE * column.std
    if (wide & (SHAPES[[i, j]] < PILED)).any():
        return None
    inside[0], inside[-1] = low[i][::-1], high[j]
    return np.asarray(inside)


def scores(below: Floats, rows: float) -> Floats:
    """The shares below each inner edge on the normal scale, with the two ends of the range, beyond which half a row lies."""
    least = 0.5 / rows
    return np.asarray(special.ndtri(np.clip(np.concatenate([[0.0], below, [1.0]]), least, 1 - least)))


def _ways(t: Floats) -> Floats:
    """How far from the edge to the end of the range; shape (SHAPES, STEPS + 1)."""
    a = np.where(np.abs(SHAPES) < SAME, 1.0, SHAPES)[:, None]
    curved = np.expm1(a * t) / np.expm1(a)
    return np.asarray(np.where(np.abs(SHAPES)[:, None] < SAME, t, curved))


def _moments(at: Floats, rows: Floats, mean: float) -> tuple[Floats, Floats]:
    """First and second moment about the mean of what lies between the places; at: (bins, STEPS + 1), rows: shares."""
    a, b = at[:, :-1] - mean, at[:, 1:] - mean
    return (rows * (a + b)).sum(axis=1) / 2, (rows * (a * a + a * b + b * b)).sum(axis=1) / 3
