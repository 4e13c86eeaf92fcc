"""Which windows could be in breach at all? A bound that is cheap, so that the exact tests are made where they matter.

Laws
- Sound: a window that is not suspect holds no check that would breach, whatever its counts (a property test holds it
  against the exact tests).
- What it passes over is not lost: the exact numbers of any window can be asked for later, from its counts.

Drift. Merging bins never raises G, and Williams' correction only divides it, so the raw G of a column is at least the one
that is judged; the judged one has at least as many degrees of freedom as there are bins that are not rare, less one. The
tests of order are cheap enough to be made. Skew has a bound of its own (skew.may_breach).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from monitoring.drift import EXPECTED_MIN, least_of_ordered
from monitoring.reference import Reference
from monitoring.skew import SkewRule, may_breach, rows_came

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """Of each window: could a check of it breach, and could a column of it have a verdict; shape (windows,)."""

    suspect: Flags
    measured: Flags


def screen(reference: Reference, counts: Counts, alphas: Floats, rule: SkewRule) -> Screened:
    """The windows worth an exact look; counts: shape (windows, reference.size); alphas: the level of a drift check in each."""
    full = rows_came(reference, counts) >= rule.n_min  # thin traffic leaves most of the short windows out
    found = Screened(np.zeros(len(counts), dtype=np.bool_), np.zeros(len(counts), dtype=np.bool_))
    if full.any():
        some = _screened(reference, counts[full], alphas[full], rule)
        found.suspect[full], found.measured[full] = some.suspect, some.measured
    return found


def _screened(reference: Reference, counts: Counts, alphas: Floats, rule: SkewRule) -> Screened:
    suspect, bins = may_breach(reference, counts, rule), int(reference.starts[-1])
    if not bins:
        return Screened(suspect, np.zeros(len(counts), dtype=np.bool_))
    a = np.where(reference.answerable, reference.expected(counts), 0).astype(np.float64)
    b = np.where(reference.answerable, counts[:, :bins], 0).astype(np.float64)
    first = reference.starts[:-1]
    m, n = np.add.reduceat(a, first, axis=1), np.add.reduceat(b, first, axis=1)
    enough = (n >= rule.n_min) & (m >= 2 * EXPECTED_MIN)
    measured: Flags = np.asarray(enough.any(axis=1))
    looked = np.flatnonzero(measured & ~suspect)
    if looked.size:
        over = _over(reference, a[looked], b[looked], m[looked], n[looked], alphas[looked])
        suspect[looked] = (over & enough[looked]).any(axis=1)
    return Screened(suspect, measured)


def _over(reference: Reference, a: Floats, b: Floats, m: Floats, n: Floats, alphas: Floats) -> Flags:
    """Columns of which a statistic may pass its level; shape (windows, columns)."""
    first, owners = reference.starts[:-1], reference.owners
    c, rows = a + b, m + n
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = c * (n / rows)[:, owners]
        terms = special.xlogy(b, b / expected) + special.xlogy(a, a / (c - expected))
        g = 2 * np.add.reduceat(np.nan_to_num(terms), first, axis=1)
    common = c * (np.minimum(m, n) / np.maximum(rows, 1))[:, owners] >= EXPECTED_MIN
    df = np.maximum(np.add.reduceat(common, first, axis=1, dtype=np.intp) - 1, 1)
    limits = np.array([_limits(float(alpha), int(df.max())) for alpha in alphas])
    over: Flags = g >= np.take_along_axis(limits, df - 1, axis=1)
    return over | (4 * least_of_ordered(reference, a, b) < alphas[:, None])


@lru_cache(maxsize=1024)
def _limits(alpha: float, df_max: int) -> Floats:
    """The G that 1, 2, … degrees of freedom pass at this level."""
    limits: Floats = special.chdtri(np.arange(1, df_max + 1), alpha)
    return limits
