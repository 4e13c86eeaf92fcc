"""Quantiles of differences, which have a sign, from integer counts in fixed memory.

Laws
- A sketch is a vector of SIZE counts; merging two is adding them.
- A quantile is within RELATIVE_ERROR of the true one where that lies between LOWEST and HIGHEST in units of the scale; what
  is smaller counts as 0, what is larger as HIGHEST.

Source: DDSketch (Masson, Rim, Lee, VLDB 2019), once to either side of zero.
"""

from math import ceil, exp, log

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 0.05
LOWEST, HIGHEST = 1e-6, 1e4
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = log(GAMMA)
SIDE = ceil(log(HIGHEST / LOWEST) / _LOG_GAMMA)
SIZE = 2 * SIDE + 1

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def spread(differences: Floats) -> Counts:
    """Counts of finite differences in units of the scale; shape (n,)."""
    far = np.abs(differences)
    with np.errstate(divide="ignore"):
        steps = np.ceil(np.log(far / LOWEST) / _LOG_GAMMA)
    steps = np.where(far < LOWEST, 0, np.clip(steps, 1, SIDE))
    places = (SIDE + np.sign(differences) * steps).astype(np.intp)
    return np.bincount(places, minlength=SIZE).astype(np.int64, copy=False)


def quantile(counts: Counts, q: float) -> float | None:
    """The difference, in units of the scale, that a share q does not exceed; None without counts."""
    place = _place(counts, q)
    return None if place is None else _middle(place - SIDE)


def size_quantile(counts: Counts, q: float) -> float | None:
    """The same of the differences without their sign."""
    sizes = counts[SIDE:].copy()
    sizes[1:] += counts[SIDE - 1 :: -1]
    place = _place(sizes, q)
    return None if place is None else _middle(place)


def _place(counts: Counts, q: float) -> int | None:
    n = int(counts.sum())
    return int(np.searchsorted(np.cumsum(counts), max(1, ceil(q * n)))) if n else None


def _middle(step: int) -> float:
    """Of the bin that is so many steps from zero."""
    if not step:
        return 0.0
    return (1 if step > 0 else -1) * LOWEST * exp(abs(step) * _LOG_GAMMA) * 2 / (GAMMA + 1)
