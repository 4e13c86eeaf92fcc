"""Since when: at which slice of event time did a column's counts change, and how sure is that?

Laws
- A function of the slices and the reference counts; slices ascend in time and do not overlap, their lengths may differ.
- The interval holds the change with the probability INTERVAL, if there was one change: every slice is taken to be as likely
  beforehand as it is long.
- Nothing can be said finer than a slice: a change inside one is told with that slice in its interval.

Two multinomials meet at the change point; the likelihood of each place is that of the rows before it under their own shares
and of the rows after it under theirs (Chen and Gupta, Parametric Statistical Change Point Analysis, 2012, ch. 2). The shares
before it are drawn to the reference by PRIOR_ROWS, so an incident that is older than the slices is seen to be so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

INTERVAL = 0.99
PRIOR_ROWS = (
    200.0  # the weight of the reference before the change: a season moves shares, so it is not held to be exact
)
AFTER_ROWS = 1.0  # and of all bins alike after it: nothing is known about what a change looks like

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Stretch(NamedTuple):
    """Counts of one column, shape (bins,), in minutes [first, first + minutes)."""

    first: int
    minutes: int
    counts: Counts


class Since(NamedTuple):
    """Minutes: the change is likeliest at the start of `minute`, and lies in [earliest, latest].

    From `sure` on all rows are after it. `open`: it may be older than all that is held; `counts` are those from `minute` on.
    """

    minute: int
    earliest: int
    latest: int
    sure: int
    open: bool
    counts: Counts


def partition(tiers: Sequence[Sequence[Stretch]]) -> list[Stretch]:
    """One row of slices out of several that show the same time more and less finely: the finest for every time.

    Of a slice that is finer known from its middle on, what is left without the finer ones is its beginning; lengths that do not
    divide each other leave a gap there instead.
    """
    kept: list[Stretch] = []
    for tier in sorted((sorted(tier) for tier in tiers if tier), key=lambda tier: tier[0].minutes):
        start = kept[0].first if kept else None
        older = [s for s in tier if start is None or s.first + s.minutes <= start]
        over = [s for s in tier if start is not None and s.first < start < s.first + s.minutes]
        kept = [*older, *(left for s in over if (left := _beginning(s, kept)) is not None), *kept]
    return kept


def _beginning(whole: Stretch, finer: Sequence[Stretch]) -> Stretch | None:
    end = whole.first + whole.minutes
    inside = [s for s in finer if s.first < end]
    if any(s.first + s.minutes > end for s in inside):
        return None
    left = whole.counts - np.sum([s.counts for s in inside], axis=0)
    return Stretch(whole.first, finer[0].first - whole.first, left)


def since(stretches: Sequence[Stretch], reference: Counts) -> Since | None:
    """Where the counts changed; None where nothing was counted. reference: shape (bins,)."""
    held = [stretch for stretch in stretches if stretch.counts.sum()]
    if not held:
        return None
    counts = np.array([stretch.counts for stretch in held], dtype=np.float64)
    weight = np.array([stretch.minutes for stretch in held], dtype=np.float64)
    fit = _fit(counts, reference.astype(np.float64)) + np.log(weight)
    best = int(np.argmax(fit))
    odds = np.exp(fit - fit[best])
    cumulated = np.cumsum(odds) / odds.sum()
    low = int(np.searchsorted(cumulated, (1 - INTERVAL) / 2))
    high = min(int(np.searchsorted(cumulated, (1 + INTERVAL) / 2)), len(held) - 1)
    return Since(
        minute=held[best].first,
        # Rows of the slice before may already be after it; those of the slice itself may still be before.
        earliest=held[max(0, min(low, best) - 1)].first,
        latest=held[max(high, best)].first + held[max(high, best)].minutes,
        sure=held[max(high, best)].first,
        open=min(low, best) == 0,
        counts=np.sum([stretch.counts for stretch in held[best:]], axis=0),
    )


def _fit(counts: Floats, reference: Floats) -> Floats:
    """The log likelihood of a change at the start of each slice; counts: shape (slices, bins)."""
    bins = counts.shape[1]
    total = counts.sum(axis=0)
    known = (reference + 0.5) / (reference.sum() + 0.5 * bins)
    before = np.vstack([np.zeros(bins), np.cumsum(counts, axis=0)[:-1]])
    after = total - before
    shares_before = (before + PRIOR_ROWS * known) / (before.sum(axis=1, keepdims=True) + PRIOR_ROWS)
    shares_after = (after + AFTER_ROWS / bins) / (after.sum(axis=1, keepdims=True) + AFTER_ROWS)
    return np.asarray((before * np.log(shares_before)).sum(axis=1) + (after * np.log(shares_after)).sum(axis=1))
