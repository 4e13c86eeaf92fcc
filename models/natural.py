"""How far from the whole does an ordinary block of the training data lie? The tolerance below which a shift is nature.

The distance is PSI without its sampling noise. For counts O of a window (N rows) and of a reference (M rows) on the
same bins, G = 2 Σ O ln(O/E) over both, with E from the pooled shares; without drift G follows χ²(df), df = pooled bins in
use - 1, and with drift the noncentral χ²(df, λ), whose mean is df + λ. So λ̂ = max(0, G - df), and since for small
shifts G ≈ PSI · MN/(M+N), the distance is λ̂ · (M+N)/(MN) (Cressie and Read 1984 for the family of statistics).

Laws
- Two windows with the same shares have distance 0; it is symmetric in window and reference.
- The tolerance of a length is the largest distance of one block of that length from the rest. It errs upwards: a maximum over
  blocks keeps their largest noise, so quiet hours with few rows widen it; more training data narrows it.
- A block that its rows do not fill is no block of that length: three hours of a day that the data breaks off in would pass
  the day's season off as what days vary by. Filled is one that is silent for at most SILENCE_MAX of its length longer than is
  usual: at its place in the week, so that a shop's nights and short Saturdays are no holes; the last one, which ends where
  the data does, also anywhere.

`beyond_noise` is for references by hour of the week (weekly.py): the mean of the distances and three standard deviations of
what is not noise among them (moments: the variance of λ̂ is 2(df + 2λ)), at most the largest distance seen, and at least what
the oddest block is proven to be, at 95 % over all blocks (Bonferroni). For blocks held against all hours it was tried and is
too narrow: the week after the demo's training month lies at 1.5 of it.
"""

from math import gcd

import numpy as np
import numpy.typing as npt

from models.baseline import Counts, Index
from models.noncentral import noncentrality_lower

HOUR_S, WEEK_S = 3600, 7 * 86_400
BLOCK_LENGTHS_S = (HOUR_S, 86_400, WEEK_S)
BLOCKS_MIN = 8  # fewer say little of what the next one may be
BLOCK_ROWS_MIN = 50  # below, the noise of a decile alone is near 0.2
SILENCE_MAX = 0.05  # of a length: 1.2 h of a day move even a column that is the hour of the day by 0.03 only
DEVIATIONS, PROVEN = 3.0, 0.05
_DIGITS = 4  # of a tolerance: more would only record noise

Floats = npt.NDArray[np.float64]


def noise_corrected_psi(window: Counts, reference: Counts) -> Floats:
    """The distance of each window from its reference; shapes (..., bins) → (...). 0 where either has no rows."""
    g, df, scale = _statistic(window, reference)
    return np.asarray(np.maximum(g - df, 0.0) * scale)


def blocks(at_s: Floats) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """(length in s, block number of each row or -1) for every length with enough full blocks; counted from the first row."""
    found = ((length_s, _numbered(at_s, length_s)) for length_s in BLOCK_LENGTHS_S)
    return [(length_s, block) for length_s, block in found if block.max() + 1 >= BLOCKS_MIN]


def blocks_from_shortest(at_s: Floats) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """`blocks`, and before them those of as many hours as rows are enough in, where hours or days are too thin.

    A window that has rows enough to be judged is then at least about as long as the shortest of them: with a row an hour the
    first days of a week were held against what whole weeks vary by, and each column of the calendar had drifted.
    """
    known = blocks(at_s)
    for length_s in range(2 * HOUR_S, known[0][0] if known else 0, HOUR_S):
        block = _numbered(at_s, length_s)
        of_all = np.count_nonzero(block >= 0) >= len(block) / 2  # and not of the rush hours only
        if of_all and block.max() + 1 >= BLOCKS_MIN:
            return [(length_s, block), *known]
    return known


def _numbered(at_s: Floats, length_s: int) -> npt.NDArray[np.intp]:
    """The full blocks of a length, numbered from 0; -1: a row of none."""
    since = (at_s - at_s.min()) / length_s
    at, number, rows = np.unique(np.floor(since), return_inverse=True, return_counts=True)
    full = rows >= BLOCK_ROWS_MIN
    full[full] = _filled(at[full], _silence(since, at)[full], WEEK_S // gcd(length_s, WEEK_S))
    return np.asarray(np.where(full, np.cumsum(full) - 1, -1)[number])


def tolerance(index: Index, block: npt.NDArray[np.intp], counts: Counts) -> float:
    """How far blocks lie from the rest by nature; index: bin of each row, block: its block or -1, counts: of all rows."""
    bins = counts.size
    kept = block >= 0
    flat = np.bincount(block[kept] * bins + index[kept], minlength=(block.max() + 1) * bins)
    by_block = flat.reshape(-1, bins)
    return float(f"{noise_corrected_psi(by_block, counts - by_block).max():.{_DIGITS}g}")


def beyond_noise(window: Counts, reference: Counts) -> float:
    """How far windows like these lie from their references by nature; shapes (blocks, bins)."""
    g, df, scale = _statistic(window, reference)
    excess = g - df
    distance, noise = excess * scale, 2 * (df + 2 * np.maximum(excess, 0)) * scale**2
    apart = np.sqrt(max(0.0, float(distance.var() - noise.mean())))
    usual = min(float(distance.max()), float(distance.mean()) + DEVIATIONS * apart)
    proven = (noncentrality_lower(g, df, 1 - PROVEN / len(g)) * scale).max()
    return float(f"{max(0.0, usual, proven):.{_DIGITS}g}")


def _silence(since: Floats, at: Floats) -> Floats:
    """The longest stretch without a row in each block [at, at + 1), in blocks; since: times of the rows, unordered."""
    points = np.sort(np.concatenate([since, at, at + 1]))
    owner = np.floor(points[:-1])  # of the stretch that begins there: an end is the next block's start
    known = np.isin(owner, at)
    longest = np.zeros(len(at))
    np.maximum.at(longest, np.searchsorted(at, owner[known]), np.diff(points)[known])
    return longest


def _filled(at: Floats, silence: Floats, week: int) -> npt.NDArray[np.bool_]:
    """Which blocks are no longer silent than is usual; at: their numbers, silence: in blocks, week: after how
    many blocks a place in the week comes again."""
    usual = np.zeros(len(at))
    for place in np.unique(at % week):
        here = at % week == place
        usual[here] = np.median(silence[here])
    if len(at):
        usual[-1] = min(usual[-1], np.median(silence))
    return np.asarray(silence <= usual + SILENCE_MAX)


def _statistic(window: Counts, reference: Counts) -> tuple[Floats, Counts, Floats]:
    """G and its degrees of freedom, and what makes PSI of G; shapes (..., bins) → (...)."""
    pooled = window + reference
    n, m = window.sum(axis=-1), reference.sum(axis=-1)
    both = np.maximum(n + m, 1)
    g = 2 * (_part(window, pooled, n / both) + _part(reference, pooled, m / both))
    scale = np.where((n > 0) & (m > 0), both / np.maximum(n * m, 1), 0.0)
    return np.asarray(g), np.asarray((pooled > 0).sum(axis=-1) - 1), np.asarray(scale)


def _part(counts: Counts, pooled: Counts, share: npt.NDArray[np.float64]) -> Floats:
    """Σ O ln(O/E) with E = share · pooled; an empty cell adds 0."""
    expected = pooled * share[..., None]
    ratio = np.divide(counts, expected, out=np.ones_like(expected), where=(counts > 0) & (expected > 0))
    return np.asarray((counts * np.log(ratio)).sum(axis=-1))
