"""What can a share of rows be, given how many of how many were seen?

Bounds are exact, by Clopper and Pearson 1934 through the incomplete beta function, one-sided at the confidence given;
shapes (n,) throughout. `farthest_up` and `farthest_down` turn a distance that a column's training blocks kept (PSI) into
the rate that a single bin of it can have had at most and at least in such a block.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

_HALVINGS = 40  # of [0, 1]: to 10^-12, far below a row

Floats = npt.NDArray[np.float64]


def upper_bound(seen: Floats, n: Floats, confidence: float) -> Floats:
    """The highest rate at which so few are seen with at least 1 − confidence; 1 where all were seen."""
    bound = special.betaincinv(seen + 1, np.maximum(n - seen, 1), confidence)
    return np.where(seen >= n, 1.0, bound)


def lower_bound(seen: Floats, n: Floats, confidence: float) -> Floats:
    """The lowest rate at which so many are seen with at least 1 − confidence; 0 where none was seen."""
    bound = special.betaincinv(np.maximum(seen, 1), n - seen + 1, 1 - confidence)
    return np.where(seen <= 0, 0.0, bound)


def tail_above(seen: Floats, n: Floats, rate: Floats) -> Floats:
    """P(at least `seen` of n) at this rate; 1 where none was seen."""
    return np.where(seen <= 0, 1.0, special.betainc(np.maximum(seen, 1), n - seen + 1, rate))


def tail_below(seen: Floats, n: Floats, rate: Floats) -> Floats:
    """P(at most `seen` of n) at this rate; 1 where all were seen."""
    return np.where(seen >= n, 1.0, special.betaincc(seen + 1, np.maximum(n - seen, 1), rate))


def distance(present: Floats, trained: Floats) -> Floats:
    """How far a two-bin column with this rate lies from one with the trained rate: 2 KL, the limit of G · (M+N)/(MN) for a
    window of far fewer rows than training. Merging bins never adds distance, so a whole column lies at least as far.
    """
    return _distance(np.clip(present, 0.0, 1.0), *_rates_of(trained))


def farthest_up(trained: Floats, psi: Floats) -> Floats:
    """The highest rate within this distance."""
    return _farthest(trained, psi, np.ones_like(trained))


def farthest_down(trained: Floats, psi: Floats) -> Floats:
    """The lowest rate within this distance; 0 where even that is within it."""
    return _farthest(trained, psi, np.zeros_like(trained))


def _rates_of(trained: Floats) -> tuple[Floats, Floats]:
    q = np.clip(trained, 1e-300, 1 - 1e-16)
    return q, 1 - q


def _distance(p: Floats, q: Floats, others: Floats) -> Floats:
    apart: Floats = 2 * (special.rel_entr(p, q) + special.rel_entr(1 - p, others))
    return apart


def _farthest(trained: Floats, psi: Floats, end: Floats) -> Floats:
    inside, outside = np.clip(trained, 0.0, 1.0), end
    q, others = _rates_of(trained)
    outside_too = _distance(outside, q, others) <= psi
    for _ in range(_HALVINGS):  # hot: a fifth of what closing a minute costs
        middle = (inside + outside) / 2
        near = _distance(middle, q, others) <= psi
        inside, outside = np.where(near, middle, inside), np.where(near, outside, middle)
    return np.where(outside_too, end, inside)
