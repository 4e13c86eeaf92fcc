"""How good were the predictions of a window, by their labels; and how good are they probably, before labels come?

Realised, with 95 % intervals:
- means (log loss, Brier, accuracy, bias, MAE): the ratio of sums over requests with its linearised variance, so that rows
  of one request count as one witness (witnesses.py); RMSE: the root of the interval of the mean square;
- AUC: on bins of the scores as fine as there is room for (ranks.py), ties as halves, with DeLong's variance (DeLong, DeLong and
  Clarke-Pearson 1988), rows as independent, and as far wider as the order inside of bins could move it;
- calibration in the large: mean outcome less mean score; its slope: the logistic line of outcomes over log odds (Cox
  1958); expected calibration error: the mean over bins of |share of hits − mean score|, beside the value that chance
  alone gives it (Bröcker 2012): below that it says nothing.

Estimated, of all predictions of the window, labelled or not: what the scores promise (promise.py); the interval holds
the error of the promise, for AUC also the order inside of bins, and nothing of what the world may have become.

Laws
- Fewer than ROWS_MIN rows, a single class for AUC, or an AUC that hangs on the order inside of bins: no number, rather than a
  wide one.
- An interval has a width or is none: rows that are all alike, or one single positive, do not say how far others would lie.
- Both are functions of integer counts.
"""

from dataclasses import dataclass
from math import pi, sqrt

import msgspec
import numpy as np
import numpy.typing as npt

from models.grades import MICRO, SCORE_BINS, Loss, Part, log_odds
from models.task import TaskKind
from monitoring.labels.cohorts import grades_of, witnesses_in
from monitoring.labels.promise import Promise
from monitoring.labels.ranks import Ranks

ROWS_MIN = 30
TIES_MAX = 0.05  # that the order inside of bins may move an AUC by: what is reported was then seen to be off by 0.006
Z_95 = 1.959964
NEWTON_STEPS = 12  # from slope 1: a dozen lead to the last digit or, where classes are parted, nowhere
CONDITION_MAX = 1e9

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Measure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measure; None where there is too little to say it, or its bounds. `noise`: what chance alone gives it, where that
    is not 0."""

    name: str
    realised: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None
    estimated_low: float | None = None
    estimated_high: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    """`half`: of its interval; None where nobody knows."""

    at: float
    half: float | None

    def times(self, scale: float) -> "_Value":
        return _Value(self.at * scale, None if self.half is None else self.half * abs(scale))


def measures_of(
    kind: TaskKind, vector: Counts, promise: Promise | None, scale: float, ranks: Ranks | None = None
) -> tuple[Measure, ...]:
    """Every measure of a window; `scale`: the unit of a number's errors, `ranks`: of a probability, where they are held."""
    match kind:
        case TaskKind.BINARY:
            return _binary(vector, promise, ranks)
        case TaskKind.CLASSES:
            return _classes(vector, promise)
        case TaskKind.NUMBER:
            return _number(vector, promise, scale)


def _binary(vector: Counts, promise: Promise | None, ranks: Ranks | None) -> tuple[Measure, ...]:
    grades = grades_of(vector)
    hits, misses = grades[Part.HITS], grades[Part.LABELLED] - grades[Part.HITS]
    return (
        _measure("auc", _auc(grades, ranks), _expected_auc(grades, promise)),
        _measure("log_loss", _mean(vector, Loss.MAIN), _promised(grades, promise, Loss.MAIN)),
        _measure("brier", _mean(vector, Loss.SQUARED), _promised(grades, promise, Loss.SQUARED)),
        _measure("accuracy", _accuracy(hits, misses), _expected_accuracy(grades, promise)),
        *_calibration(vector, promise),
    )


def _classes(vector: Counts, promise: Promise | None) -> tuple[Measure, ...]:
    grades = grades_of(vector)
    wrong, promised = _mean(vector, Loss.MAIN), _promised(grades, promise, Loss.MAIN)
    return (
        _measure("accuracy", _complement(wrong), _complement(promised)),
        _measure("brier", _mean(vector, Loss.SQUARED), _promised(grades, promise, Loss.SQUARED)),
        *_calibration(vector, promise),
    )


def _number(vector: Counts, promise: Promise | None, scale: float) -> tuple[Measure, ...]:
    grades = grades_of(vector)
    of = [(_mean(vector, loss), _promised(grades, promise, loss)) for loss in Loss]
    found = [
        (a and a.times(unit), b and b.times(unit)) for (a, b), unit in zip(of, (scale, scale**2, scale), strict=True)
    ]
    return (
        _measure("mae", *found[Loss.MAIN]),
        _root(_measure("rmse", *found[Loss.SQUARED])),
        _measure("bias", *found[Loss.SIGNED]),
    )


def _measure(name: str, realised: _Value | None, estimated: _Value | None, noise: float | None = None) -> Measure:
    return Measure(name, *_bounds(realised), *_bounds(estimated), noise=None if noise is None else _round(noise))


def _bounds(value: _Value | None) -> tuple[float | None, float | None, float | None]:
    if value is None:
        return None, None, None
    half = value.half or 0.0
    low, high = _round(value.at - half), _round(value.at + half)
    return (_round(value.at), low, high) if low < high else (_round(value.at), None, None)


def _root(squares: Measure) -> Measure:
    """Of a mean square and its interval."""
    roots = {
        name: None if value is None else _round(sqrt(max(0.0, value)))
        for name in ("realised", "low", "high", "estimated", "estimated_low", "estimated_high")
        for value in [getattr(squares, name)]
    }
    return msgspec.structs.replace(squares, **roots)


def _mean(vector: Counts, loss: Loss) -> _Value | None:
    grades = grades_of(vector)
    rows = int(grades[Part.LABELLED].sum())
    if rows < ROWS_MIN:
        return None
    mean = int(grades[Part.LOSS + loss].sum()) / MICRO / rows
    error = witnesses_in(vector, loss).error(mean, rows)
    return _Value(mean, None if error is None else Z_95 * error)


def _promised(grades: Counts, promise: Promise | None, loss: Loss) -> _Value | None:
    rows = int(grades[Part.PREDICTED].sum())
    if promise is None or rows < ROWS_MIN:
        return None
    shares = grades[Part.PREDICTED] / rows
    by_bin = (promise.loss, promise.second, promise.signed)[loss]
    # Bins of one group err together, so their errors add.
    return _Value(float(shares @ by_bin), Z_95 * float(shares @ promise.errors[loss]))


def _complement(value: _Value | None) -> _Value | None:
    return None if value is None else _Value(1 - value.at, value.half)


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """Under the curve of hits over misses, ties as halves. `below`: of a hit in each bin, the share of misses below it;
    `above`: of a miss, that of hits above it; `ties`: how far the order inside of bins could move it.
    """

    at: float
    below: Floats
    above: Floats
    ties: float

    @classmethod
    def of(cls, hits: Floats, misses: Floats) -> "_Area | None":
        """hits, misses: by bin, from the lowest score on. None where there are too few."""
        p, n = float(hits.sum()), float(misses.sum())
        if p + n < ROWS_MIN or p < 1 or n < 1:
            return None
        below = (np.cumsum(misses) - misses / 2) / n
        above = 1 - (np.cumsum(hits) - hits / 2) / p
        return cls(float(hits @ below) / p, below, above, float(hits @ misses) / (2 * p * n))


def _auc(grades: Counts, ranks: Ranks | None) -> _Value | None:
    """On the ranks, where they are of all labelled rows: slices of earlier checkpoints have none; else on the grades' bins."""
    hits, misses = grades[Part.HITS].astype(np.float64), (grades[Part.LABELLED] - grades[Part.HITS]).astype(np.float64)
    ranked = ranks is not None and ranks.rows == int(grades[Part.LABELLED].sum())
    if ranks is not None and ranked:
        hits, misses = ranks.hits, ranks.misses
    area = _Area.of(hits, misses)
    if area is None:
        return None
    ties = 0.0 if ranks is not None and ranked and not ranks.shift else area.ties
    if ties > TIES_MAX:
        return None
    p, n = float(hits.sum()), float(misses.sum())
    if p < 2 or n < 2:
        return _Value(area.at, None)
    variance = float(hits @ (area.below - area.at) ** 2) / (p - 1) / p
    variance += float(misses @ (area.above - area.at) ** 2) / (n - 1) / n
    return _Value(area.at, Z_95 * sqrt(variance) + ties if variance > 0 else None)


def _expected_auc(grades: Counts, promise: Promise | None) -> _Value | None:
    """By the rates that the scores promise; their errors are carried over by the derivative, and add as in _promised."""
    if promise is None:
        return None
    said = grades[Part.PREDICTED].astype(np.float64)
    hits, misses = said * promise.rate, said * (1 - promise.rate)
    area = _Area.of(hits, misses)
    if area is None or area.ties > TIES_MAX:
        return None
    slope = said * np.abs((area.below - area.at) / hits.sum() - (area.above - area.at) / misses.sum())
    return _Value(area.at, Z_95 * float(slope @ promise.errors[Loss.SIGNED]) + area.ties)


def _accuracy(hits: Counts, misses: Counts) -> _Value | None:
    """At a threshold of ½, which is a border between bins; Wald's interval."""
    n = int(hits.sum() + misses.sum())
    if n < ROWS_MIN:
        return None
    half = SCORE_BINS // 2
    share = int(misses[:half].sum() + hits[half:].sum()) / n
    return _Value(share, Z_95 * sqrt(share * (1 - share) / n))


def _expected_accuracy(grades: Counts, promise: Promise | None) -> _Value | None:
    said = grades[Part.PREDICTED]
    n, half = int(said.sum()), SCORE_BINS // 2
    if promise is None or n < ROWS_MIN:
        return None
    right = np.where(np.arange(SCORE_BINS) < half, 1 - promise.rate, promise.rate)
    return _Value(float(said @ right) / n, Z_95 * float(said @ promise.errors[Loss.SIGNED]) / n)


def _calibration(vector: Counts, promise: Promise | None) -> tuple[Measure, ...]:
    grades = grades_of(vector)
    large = _mean(vector, Loss.SIGNED)
    guess = _promised(grades, promise, Loss.SIGNED)
    found = [
        _measure("calibration_in_the_large", large and large.times(-1), guess and guess.times(-1)),
        _measure("calibration_slope", _slope(grades), None),
    ]
    n = grades[Part.LABELLED].astype(np.float64)
    if n.sum() >= ROWS_MIN:
        scores, shares = grades[Part.SCORE] / MICRO / np.maximum(n, 1), grades[Part.HITS] / np.maximum(n, 1)
        error = float(n @ np.abs(shares - scores)) / n.sum()
        # E|share − p| of n rows is about √(2/π · p(1 − p)/n), by the normal form.
        noise = float(np.sqrt(2 / pi * n * scores * (1 - scores)).sum()) / n.sum()
        found.append(Measure("calibration_error", _round(error), noise=_round(noise)))
    else:
        found.append(Measure("calibration_error"))
    return tuple(found)


def _slope(grades: Counts) -> _Value | None:
    """Cox's: the logistic line of hits over the bins' log odds, by Newton's method; its interval from the curvature."""
    n, hits = grades[Part.LABELLED].astype(np.float64), grades[Part.HITS].astype(np.float64)
    kept = n > 0
    if n.sum() < ROWS_MIN or np.count_nonzero(kept) < 3 or not 0 < hits.sum() < n.sum():
        return None
    n, hits = n[kept], hits[kept]
    x = log_odds(grades[Part.SCORE][kept] / MICRO / n)
    line = np.array([0.0, 1.0])
    terms = np.stack([np.ones_like(x), x])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(line @ terms)))
        curvature = (terms * n * p * (1 - p)) @ terms.T
        if np.linalg.cond(curvature) > CONDITION_MAX:
            return None
        line = line + np.linalg.solve(curvature, terms @ (hits - n * p))
    return _Value(float(line[1]), Z_95 * sqrt(float(np.linalg.inv(curvature)[1, 1])))


def _round(value: float) -> float:
    """Six significant digits: more are noise, and differ between processors."""
    return float(f"{value:.6g}")
