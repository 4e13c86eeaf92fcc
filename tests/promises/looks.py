"""Every look of a long time at once: which looks of the monitor raise a check, from the counts of each minute.

Laws
- It is the monitor's own screen and judge (`monitoring.screen`, `monitoring.judge.look`) on the same windows; before them one
  bound more leaves out what provably is within its tolerance.
- The windows are those of the tiers: at a minute that completes a slice, the newest whole slices; they begin empty.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from monitoring.judge import Look, Window, alphas, look
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.screen import screen
from monitoring.skew import SkewRule, may_breach
from monitoring.tier import Scale

BLOCK = 512  # looks of one array operation
LOOKED_AT_ONCE = 128  # by the judge: most of what a look costs is a call of numpy

Counts = npt.NDArray[np.int64]


class Raised(NamedTuple):
    """A look that raises checks; `minute` is the place in the counts."""

    minute: int
    look: Look


def raised(reference: Reference, counts: Counts, rules: Rules, *, model: str, after: int = 0) -> list[Raised]:
    """Looks at minutes ≥ `after` that raise anything, in order; counts: shape (minutes, reference.size), the first minute is
    one that a slice of every tier begins with.
    """
    found: list[Raised] = []
    for scales in rules.tiers.values():
        for scale in scales:
            for minutes, sums in _windows(counts, scale, after):
                places = np.flatnonzero(_may_matter(reference, sums, scale, rules))
                levels = np.full(len(places), alphas(rules, reference, 1, _window(scale, 0, sums[0])).drift)
                suspect = screen(reference, sums[places], levels, _skew_rule(rules)).suspect
                places = places[suspect]
                for some in np.array_split(places, -(-len(places) // LOOKED_AT_ONCE) or 1):
                    windows = [_window(scale, int(minutes[place]), sums[place]) for place in some]
                    looks = look(reference, windows, rules, model=model, versions=1)
                    raising = [any(True for _ in looked.raised()) for looked in looks]
                    found += [Raised(int(minutes[some[i]]), looks[i]) for i, raises in enumerate(raising) if raises]
    return sorted(found, key=lambda one: (one.minute, one.look.window.scale.window_s))


def _may_matter(reference: Reference, sums: Counts, scale: Scale, rules: Rules) -> npt.NDArray[np.bool_]:
    """Looks in which something may pass its tolerance: seasons are significant in long windows, and seldom relevant.

    The lower bound of λ falls with the degrees of freedom, and with one of them it is at most (√G − z)²; G of the bins as
    they are is at least the one that is judged (screen.py).
    """
    bins, first = int(reference.starts[-1]), reference.starts[:-1]
    a = np.where(reference.answerable, reference.expected(sums), 0).astype(np.float64)
    b = np.where(reference.answerable, sums[:, :bins], 0).astype(np.float64)
    m, n = np.add.reduceat(a, first, axis=1), np.add.reduceat(b, first, axis=1)
    expected = (a + b) * (n / np.maximum(m + n, 1))[:, reference.owners]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = special.xlogy(b, b / expected) + special.xlogy(a, a / (a + b - expected))
    g = 2 * np.add.reduceat(np.nan_to_num(terms), first, axis=1)
    root = np.maximum(np.sqrt(np.maximum(g, 0)) - float(special.ndtri(rules.confidence)), 0)
    least = np.min([apart for from_s, apart in reference.natural_steps if from_s <= scale.minutes * 60], axis=0)
    over = root**2 * (m + n) / np.maximum(m * n, 1) > 0.999 * np.maximum(rules.tolerance_floor, least)
    return np.asarray(over.any(axis=1) | may_breach(reference, sums, _skew_rule(rules)))


def _skew_rule(rules: Rules) -> SkewRule:
    return SkewRule(rules.n_min, rules.confidence, rules.skew_tolerance, rules.collapse_ratio)


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
