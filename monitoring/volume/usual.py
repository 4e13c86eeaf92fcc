"""Are the rows of the newest whole hour as many as usual at that time?

Laws
- The answer is a type of its own, `Volume`, and no `Verdict`: nothing that judges versions takes it. More or fewer clients
  are a reason to look, and none to train a model again.
- No verdict before a week of history, nor where fewer than EXPECTED_MIN rows are usual.
- Changed needs both: *significant* (tail of the predictive distribution below `alpha`) and *relevant* (more than `ratio`
  times as many as usual, or as few).

Usual is the mean, over past days, of the logarithm of the rows in the same hour of the day, or, once there are two weeks of
history, over past weeks in the same hour of the week. Counts of hours are over-dispersed: the variance of a negative
binomial count is μ + φμ², that of its logarithm φ + 1/μ. φ is what past hours varied by beyond 1/μ: pooled over all hours,
or that of this hour of the day where it varies more. A new hour then lies within Student's t, times
√((φ + 1/μ)(1 + 1/k)), of the mean of k. Hours of a day rise and fall together, so not the hours but the days that φ was
learnt from are the degrees of freedom.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from monitoring.volume.arrivals import Hours

DAY_HOURS, WEEK_HOURS = 24, 168
DAYS_MIN, DAYS_MAX = 7, 28  # fewer days have not seen a weekend
WEEKS_MIN, WEEKS_MAX = 2, 4
EXPECTED_MIN = 20.0  # below, the logarithm of a count is not near normal
DISPERSION_MIN = 5.0  # rows an hour from which on an hour tells of φ

Floats = npt.NDArray[np.float64]


class _Measured(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` of the hour; `expected`, with `low` to `high` as its predictive interval at the rule's confidence."""

    rows: int
    expected: float
    low: float
    high: float
    p_value: float


class Usual(_Measured, frozen=True, tag="usual"):
    """Not shown to differ."""


class Changed(_Measured, frozen=True, tag="changed"):
    """Far more rows or far fewer than at this time on other days."""


class TooLittleHistory(msgspec.Struct, frozen=True, tag="too_little_history"):
    """Nothing can be said yet."""

    have_hours: int
    need_hours: int


class TooFewExpected(msgspec.Struct, frozen=True, tag="too_few_expected"):
    """So few rows are usual at this time that more or fewer say nothing."""

    expected: float
    need: float


Volume = Usual | Changed | TooLittleHistory | TooFewExpected


@dataclass(frozen=True, slots=True)
class VolumeRule:
    """`alpha` of one hour, two-sided; `confidence` of the interval; `ratio` that never matters."""

    alpha: float
    confidence: float
    ratio: float


class _Past(NamedTuple):
    """Counts of the same hour of `k` past periods, and how many days of freedom they have; shape (k, hours of a period)."""

    counts: Floats
    days: int


def judge_volume(hours: Hours, hour: int, rule: VolumeRule) -> Volume:
    """What the rows of `hour` come to, from the hours before it."""
    past = _past(hours, hour)
    if past is None:
        return TooLittleHistory(max(0, hour - hours.since - 1), DAYS_MIN * DAY_HOURS)
    k, rows = len(past.counts), hours.rows.get(hour, 0)
    logs = np.log(past.counts + 0.5)
    usual = float(past.counts[:, 0].mean())
    if usual < EXPECTED_MIN:
        return TooFewExpected(usual, EXPECTED_MIN)
    centre = float(logs[:, 0].mean())
    spread = float(np.sqrt((_dispersion(past.counts, logs) + 1 / usual) * (1 + 1 / k)))
    away = float(np.log(rows + 0.5)) - centre
    p_value = float(2 * special.stdtr(past.days, -abs(away) / spread))
    reach = float(special.stdtrit(past.days, (1 + rule.confidence) / 2)) * spread
    kind = Changed if p_value < rule.alpha and abs(away) > np.log(rule.ratio) else Usual
    return kind(
        rows=rows,
        expected=float(np.exp(centre)),
        low=float(np.exp(centre - reach)),
        high=float(np.exp(centre + reach)),
        p_value=p_value,
    )


def _past(hours: Hours, hour: int) -> _Past | None:
    """Of the first hour only a part may be in the log: it is left out."""
    whole = hour - hours.since - 1
    if (k := min(WEEKS_MAX, whole // WEEK_HOURS)) >= WEEKS_MIN:
        counts = hours.before(hour, k * WEEK_HOURS).reshape(k, WEEK_HOURS)
        return _Past(counts.astype(np.float64), 7 * (k - 1))
    if (k := min(DAYS_MAX, whole // DAY_HOURS)) >= DAYS_MIN:
        return _Past(hours.before(hour, k * DAY_HOURS).reshape(k, DAY_HOURS).astype(np.float64), k - 1)
    return None


def _dispersion(counts: Floats, logs: Floats) -> float:
    """φ: of all hours together, or of the judged hour of the day where that is more."""
    means, variances = counts.mean(axis=0), logs.var(axis=0, ddof=1)
    telling = means >= DISPERSION_MIN
    beyond = variances[telling] - 1 / means[telling]
    return max(0.0, float(beyond.mean()), float(variances[0] - 1 / means[0]))
