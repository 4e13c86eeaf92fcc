"""Is the loss of labelled rows larger than it may be, or other than their scores promise? Sequentially, at a stated rate of
false alarms.

Two nulls, of the labelled rows in the order of the minutes in which their labels counted:
- `loss`: over each whole week (from the first label on) the mean loss is at most that of the reference, plus its error,
  plus the tolerance.
- `estimate`: given its score, a row's mean loss is what the reference promises for that score, give or take the error of the
  promise and the tolerance.
The second does not mind that cases became harder or fewer, only that a score is no longer worth what it was. It holds minute by
minute; the first only by the week, since losses have seasons of a day and of a week, so it is looked at only when a week is
over.

A bet of a minute multiplies what was put on it by Π (1 + λx) over the requests whose labels came, x being the mean over
the request's rows of what the loss is above its bound. Under the null the mean of x is at most 0, and λ is so small that
no factor is negative, so the expectation does not rise. A bet that losses are lower than promised multiplies by
Π e^(λx − λ²s/2), x being what they are below their bound and s the mean square of the loss that the reference promises:
for a loss l that is not negative e^−λl ≤ 1 − λl + λ²l²/2, so its expectation does not rise either.

Laws
- e-detector (Shin, Ramdas and Rinaldo 2024), Shiryaev-Roberts form: a new unit of wealth is put in at the first label of
  every day and what was there is kept in the bets: M ← (M + 1) · Π (1 + λx). While the null holds, M less the number of
  days is a supermartingale, so the mean number of days to M ≥ c is at least c, whatever the distribution: with
  c = 30 / α, at most α false alarms in 30 days (each test has half of what labels have; `loss` takes in a unit a week, so
  its c is a seventh). Nothing is lost to long quiet,
  so a change is found as fast in the second year as in the second week.
- A request is one witness, however many rows it has: they may be as alike as they like.
- An alarm stands until M has fallen below CLEAR_SHARE of c; while it stands M is held below HELD · c. Then the detector
  begins anew, with the same reference.

λ for an excess of δ: δ / (σ² + δ²), near the growth-optimal bet on a bounded mean (Waudby-Smith and Ramdas 2024), capped by
STAKE_MAX. The wealth is spread over EXCESSES, and of what is put on `estimate`, LOWER_SHARE bets on losses lower
than promised.
"""

from dataclasses import dataclass, field
from math import inf, log
from typing import Self

import numpy as np
import numpy.typing as npt

from monitoring.labels.promise import Promise
from monitoring.window import MINUTE_S

DAY_MINUTES = 86_400 // MINUTE_S
DAYS, WEEK_DAYS = 30, 7
EXCESSES = (0.05, 0.15, 0.4, 1.2)  # above the tolerance, as shares of the reference's loss
EXCESS_BELOW_MAX = 0.8
STAKE_MAX = 0.5  # of what one request can take of a bet
# Standard errors of the reference that a bound lies beyond it: of the whole, and of each group of bins, whose errors cancel.
ERRORS, ERRORS_OF_GROUP = 2.0, 1.0
CLEAR_SHARE = 0.1
HELD = 1000.0  # a clear takes a loss of 10 000: a bad hour of a large bet loses ten while nothing has ended
LOWER_SHARE = (
    0.2  # of what is put on `estimate`: that losses are lower than promised, as where labels are all one class
)

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is tolerated, as shares of the reference's loss, and `alpha`: false alarms in 30 days of both tests together."""

    loss: float
    estimate: float
    alpha: float

    @property
    def threshold(self) -> float:
        """ln c of `estimate`."""
        return log(2 * DAYS / self.alpha)

    @property
    def threshold_of_loss(self) -> float:
        """ln c of `loss`."""
        return log(2 * DAYS / WEEK_DAYS / self.alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """The stakes and bounds that follow from a reference: by strategy, and for `estimate` by bin."""

    whole: float
    upper: Floats
    lower: Floats
    square: Floats
    stakes_whole: Floats
    stakes_upper: Floats
    stakes_lower: Floats

    @classmethod
    def of(cls, promise: Promise, limits: Limits) -> Self:
        whole = promise.mean * (1 + limits.loss) + ERRORS * promise.mean_error
        slack = ERRORS_OF_GROUP * promise.errors[0] + limits.estimate * promise.mean
        upper, lower = promise.loss + slack, np.maximum(promise.loss - slack, 0.0)
        excess = np.array(EXCESSES) * promise.mean
        below = np.minimum(excess, EXCESS_BELOW_MAX * promise.mean)
        return cls(
            whole=whole,
            upper=upper,
            lower=lower,
            square=promise.square,
            stakes_whole=_stakes(excess, promise.variance, whole),
            stakes_upper=_stakes(excess, promise.variance_within, float(upper.max())),
            stakes_lower=below / promise.mean_square,
        )


def _stakes(excess: Floats, variance: float, most: float) -> Floats:
    return np.minimum(excess / (variance + excess**2), STAKE_MAX / most)


_WEIGHTS = np.log(np.full(len(EXCESSES), 1 / len(EXCESSES)))


def _nothing() -> Floats:
    return np.full(len(EXCESSES), -inf)


@dataclass(slots=True)
class Detector:
    """ln M by strategy; owned and changed by a track. `first`: the first day with labels, from which weeks
    count; `looked`: ln M of `loss` when its last week was over."""

    first: int = -1
    day: int = -1
    week: int = -1
    days: int = 0
    whole: Floats = field(default_factory=_nothing)
    upper: Floats = field(default_factory=_nothing)
    lower: Floats = field(default_factory=_nothing)
    looked: float = -inf
    loss_standing: bool = False
    estimate_standing: bool = False
    unseen: bool = False  # are there labels of the newest week that `loss` was not looked at with?

    def take(
        self, minute: int, losses: Floats, bins: Index, who: npt.NDArray[np.uint64], bets: Bets, limits: Limits
    ) -> None:
        """The labelled rows of a minute, by key: main loss, bin and request of each; shapes (n,)."""
        if minute // DAY_MINUTES > self.day:
            self._begin_day(minute // DAY_MINUTES, limits)
        _, place, rows = np.unique(who, return_inverse=True, return_counts=True)
        above = np.stack([losses - bets.whole, losses - bets.upper[bins], bets.lower[bins] - losses, bets.square[bins]])
        x = np.stack([np.bincount(place, one, minlength=len(rows)) / rows for one in above])
        self.whole = self.whole + _gains(bets.stakes_whole, x[0])
        self.upper = self.upper + _gains(bets.stakes_upper, x[1])
        self.lower = self.lower + bets.stakes_lower * x[2].sum() - bets.stakes_lower**2 * x[3].sum() / 2
        self.unseen = True
        self._look_at_estimate(limits.threshold)

    @property
    def evidence(self) -> tuple[float, float]:
        """ln M of `loss`, when last looked at, and of `estimate`."""
        return self.looked, _total(np.concatenate([self.upper, self.lower]))

    def close_week(self, minute: int, limits: Limits) -> bool:
        """Looks at `loss` when the week of its last label is over; says whether it is."""
        over = self.unseen and self.week_over <= minute
        if over:
            self._look_at_loss(limits.threshold_of_loss)
        return over

    @property
    def week_over(self) -> int:
        """The first minute behind the week of the last label."""
        return (self.first + WEEK_DAYS * (self.week + 1)) * DAY_MINUTES

    def _begin_day(self, day: int, limits: Limits) -> None:
        self.first = day if self.first < 0 else self.first
        week = (day - self.first) // WEEK_DAYS
        if week > self.week:
            if self.unseen:
                self._look_at_loss(limits.threshold_of_loss)
            self.week = week
            self.whole = np.logaddexp(self.whole, _WEIGHTS)
        self.day, self.days = day, self.days + 1
        self.upper = np.logaddexp(self.upper, _WEIGHTS + log(1 - LOWER_SHARE))
        self.lower = np.logaddexp(self.lower, _WEIGHTS + log(LOWER_SHARE))

    def _look_at_loss(self, limit: float) -> None:
        self.looked, self.unseen = _total(self.whole), False
        standing = _stands(self.loss_standing, self.looked, limit)
        if self.loss_standing and not standing:
            self.whole, self.looked = _nothing(), -inf
        self.loss_standing = standing
        self.whole = _held(self.whole, limit)

    def _look_at_estimate(self, limit: float) -> None:
        total = _total(np.concatenate([self.upper, self.lower]))
        standing = _stands(self.estimate_standing, total, limit)
        if self.estimate_standing and not standing:
            self.upper, self.lower = _nothing(), _nothing()
        self.estimate_standing = standing
        both = _held(np.concatenate([self.upper, self.lower]), limit)
        self.upper, self.lower = both[: len(EXCESSES)], both[len(EXCESSES) :]


def _gains(stakes: Floats, x: Floats) -> Floats:
    """ln Π (1 + λx) of each stake; x: shape (requests,)."""
    gains: Floats = np.log1p(stakes[:, None] * x[None, :]).sum(axis=1)
    return gains


def _stands(standing: bool, total: float, limit: float) -> bool:
    return total >= limit + (log(CLEAR_SHARE) if standing else 0.0)


def _held(logs: Floats, limit: float) -> Floats:
    """Together at most HELD times the limit: what an alarm has won beyond that would only delay its end."""
    beyond = _total(logs) - limit - log(HELD)
    return logs if beyond <= 0 else logs - beyond


def _total(logs: Floats) -> float:
    top = float(logs.max())
    return top if top == -inf else top + float(np.log(np.exp(logs - top).sum()))
