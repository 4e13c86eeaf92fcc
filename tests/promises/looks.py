"""Every look of a long time at once: which looks of the monitor raise a check, from the counts of each minute.

Laws
- It is the monitor's own judge (`monitoring.judge.look`) on the same windows; only looks that provably raise nothing are
  left out.
- The windows are those of the tiers: at a minute that completes a slice, the newest whole slices; they begin empty.

A look is left out when no column can be significant and no skew can be relevant. G of the bins as they are is at least G of
merged bins (data processing) and at least Williams' corrected G; bins that are not rare stay apart, so at least their number
less one are the degrees of freedom. The tests of location and spread are scores of bins, z² ≤ X² (Cauchy and Schwarz), X²
being Pearson's over the same bins. A lower bound of λ falls with the degrees of freedom, and with one of them it is at most
(√G − z)². The lower bound of a share is below the share.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS
from monitoring.drift import EXPECTED_MIN
from monitoring.judge import Look, Window, alphas, look
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.tier import Scale

BLOCK = 2048  # looks of one array operation
LOOKED_AT_ONCE = 128  # by the judge: most of what a look costs is a call of numpy

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Raised(NamedTuple):
    """A look that raises checks; `minute` is the place in the counts."""

    minute: int
    look: Look


def raised(reference: Reference, counts: Counts, rules: Rules, *, model: str, after: int = 0) -> list[Raised]:
    """Looks at minutes ≥ `after` that raise anything, in order; counts: shape (minutes, reference.size), the first minute is
    one that a slice of every tier begins with.
    """
    screen = Screen(reference, rules, int(counts.sum(axis=0).max()))
    found: list[Raised] = []
    for scales in rules.tiers.values():
        for scale in scales:
            for minutes, sums in _windows(counts, scale, after):
                places = np.flatnonzero(screen.may_raise(sums, scale))
                for some in np.array_split(places, -(-len(places) // LOOKED_AT_ONCE) or 1):
                    windows = [_window(scale, int(minutes[place]), sums[place]) for place in some]
                    looks = look(reference, windows, rules, model=model, versions=1)
                    raising = [any(True for _ in looked.raised()) for looked in looks]
                    found += [Raised(int(minutes[some[i]]), looks[i]) for i, raises in enumerate(raising) if raises]
    return sorted(found, key=lambda one: (one.minute, one.look.window.scale.window_s))


def _window(scale: Scale, minute: int, counts: Counts) -> Window:
    covered = min(scale.minutes, (minute + 1) // scale.slice_minutes * scale.slice_minutes)
    return Window(scale, covered * 60, counts)


def _windows(counts: Counts, scale: Scale, after: int) -> Iterator[tuple[npt.NDArray[np.intp], Counts]]:
    """Minutes at which a window is looked at, and what it holds then, block by block."""
    each = scale.slice_minutes
    whole = len(counts) // each
    slices = counts[: whole * each].reshape(whole, each, counts.shape[1]).sum(axis=1)
    until = np.concatenate([np.zeros((1, slices.shape[1]), dtype=np.int64), np.cumsum(slices, axis=0)])
    first = max(0, (after + 1 + each - 1) // each - 1)
    for start in range(first, whole, BLOCK):
        newest = np.arange(start, min(start + BLOCK, whole))
        yield (newest + 1) * each - 1, until[newest + 1] - until[np.maximum(newest + 1 - scale.slices, 0)]


class Screen:
    """Says of many looks at once which may raise something; `rows`: of all minutes together."""

    def __init__(self, reference: Reference, rules: Rules, rows: int) -> None:
        self._reference, self._rules = reference, rules
        self._a = np.where(reference.answerable, reference.baseline, 0)
        largest = int(self._a.sum()) + rows + 1
        whole = np.arange(largest, dtype=np.float64)
        self._xlogx = special.xlogy(whole, whole)
        self._m = np.add.reduceat(self._a, reference.starts[:-1])
        self._ordered = np.zeros(len(self._a), dtype=np.bool_)
        self._ordered[reference.ordinal] = True
        self._m_ordered = np.add.reduceat(np.where(self._ordered, self._a, 0), reference.starts[:-1])
        self._naturals = [pair for column in reference.columns for pair in column.natural]
        specials = reference.starts[:-1, None] + np.arange(SPECIALS)
        trained = np.maximum(np.add.reduceat(reference.baseline, reference.starts[:-1]), 1)
        self._specials, self._known = specials, reference.baseline[specials] / trained[:, None]

    def may_raise(self, sums: Counts, scale: Scale) -> Mask:
        """Shape (looks,); sums: shape (looks, reference.size)."""
        reference, rules = self._reference, self._rules
        extra = sums[:, int(reference.starts[-1]) : int(reference.starts[-1]) + len(Extra)]
        enough = extra[:, Extra.ROWS_ANSWERED] >= rules.n_min
        if reference.hours is not None:  # held against a mixture of hours: left to the judge
            return np.asarray(enough)
        came = extra.sum(axis=1) > extra[:, Extra.ROWS_ANSWERED]
        may = came & ~enough  # rejected rows alone: left to the judge
        held = np.flatnonzero(enough)
        if held.size:
            alpha = alphas(rules, reference, 1, scale).drift
            may[held] = came[held] | self._odd(sums[held]) | self._far(sums[held], alpha, scale)
        return may

    def _odd(self, sums: Counts) -> Mask:
        seen = sums[:, self._specials]
        n = np.maximum(np.add.reduceat(sums[:, : len(self._a)], self._reference.starts[:-1], axis=1), 1)
        return ((seen > 0) & (seen / n[:, :, None] > self._rules.skew_tolerance + self._known)).any(axis=(1, 2))

    def _far(self, sums: Counts, alpha: float, scale: Scale) -> Mask:
        """May a column be significant? Thresholds are a little lower than they are, so that no rounding leaves anything out."""
        rules = self._rules
        a, starts, m, owners = self._a, self._reference.starts[:-1], self._m, self._reference.owners
        b = np.where(self._reference.answerable, sums[:, : len(a)], 0)
        c, n = a + b, np.add.reduceat(b, starts, axis=1)
        total, table = m + n, self._xlogx
        g = 2 * (np.add.reduceat(table[a] + table[b] - table[c], starts, axis=1) + table[total] - table[m] - table[n])
        whole = np.add.reduceat(
            c * (np.minimum(m, n) / total)[:, owners] >= EXPECTED_MIN, starts, axis=1, dtype=np.int64
        )
        least = 0.999 * special.chdtri(np.arange(1, whole.max() + 2), alpha)
        far = g > least[np.maximum(whole - 2, 0)]
        pearson = np.add.reduceat((b - (n / total)[:, owners] * c) ** 2 / np.maximum(c, 1), starts, axis=1)
        n_ordered = np.add.reduceat(np.where(self._ordered, b, 0), starts, axis=1)
        both = self._m_ordered + n_ordered
        wide = np.maximum(total**2 / np.maximum(m * n, 1), both**2 / np.maximum(self._m_ordered * n_ordered, 1))
        has_order = self._m_ordered > 0
        far |= has_order & (pearson * wide > 0.999 * float(special.ndtri(alpha / 8)) ** 2)
        root = np.maximum(np.sqrt(np.maximum(g, 0)) - float(special.ndtri(rules.confidence)), 0)
        relevant = root**2 * total / np.maximum(m * n, 1) > 0.999 * self._limit(scale)
        return np.asarray((far & relevant).any(axis=1))

    def _limit(self, scale: Scale) -> Floats:
        """The least tolerance that a window of this length has of each column, however little of it is filled."""
        lengths = {scale.minutes * 60, *(length for length, _ in self._naturals if length <= scale.minutes * 60), 1}
        natural = np.min([self._reference.natural(length) for length in lengths], axis=0)
        return np.maximum(self._rules.tolerance_floor, natural)
