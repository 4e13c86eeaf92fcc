"""When do people pay, and how does the hour change what they do? Functions of the time alone.

Law: every season is periodic in one week, so four weeks of training have seen every one of them four times.
Times are s since the Unix epoch, UTC, arrays of shape (n,).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HOUR_S = 3600
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
_RATE_MAX = 2.0  # no hour of any day is above it, so thinning keeps the whole shape of `rate`


def weekend(at_s: Floats) -> Floats:
    """1 on Saturday and Sunday, else 0; the epoch began on a Thursday."""
    return ((at_s // DAY_S + 3) % 7 >= 5).astype(np.float64)


def evening(at_s: Floats) -> Floats:
    """From 0 at 9 in the morning to 1 at 9 in the evening and back."""
    return np.asarray(0.5 + 0.5 * np.cos(2 * np.pi * (_hour(at_s) - 21) / 24))


def rate(at_s: Floats) -> Floats:
    """Payments per unit of time in units of the weekly mean: most at 3 in the afternoon, 15 % fewer on weekend days."""
    by_hour = 1 + 0.72 * np.cos(2 * np.pi * (_hour(at_s) - 15) / 24)
    by_day = np.where(weekend(at_s) > 0, 0.89, 1.044)
    return np.asarray(by_hour * by_day)


def arrivals(rng: np.random.Generator, start_s: float, end_s: float, rows_per_minute: float) -> Floats:
    """Payment times in [start_s, end_s), ascending; `rows_per_minute` is the mean over a week, the seasons move it."""
    peak = _RATE_MAX * rows_per_minute / 60
    candidates = rng.uniform(start_s, end_s, rng.poisson(peak * (end_s - start_s)))
    kept = rng.random(candidates.size) * _RATE_MAX < rate(candidates)
    return np.sort(candidates[kept])


def _hour(at_s: Floats) -> Floats:
    return (at_s % DAY_S) / HOUR_S
