"""How good were the predictions of a window, by their labels; and how good are they probably, before labels come?

Realised, with 95 % intervals:
- means (log loss, Brier, accuracy, bias, MAE): the ratio of sums over requests with its linearised variance (Cochran
  1977), so that rows of one request count as one witness; RMSE: the root of the interval of the mean square;
- AUC: on the bins of the scores, ties as halves, with DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988); rows count as
  independent;
- calibration in the large: mean outcome less mean score; its slope: the logistic line of outcomes over log odds (Cox
  1958); expected calibration error: the mean over bins of |share of hits − mean score|, beside the value that chance
  alone gives it (Bröcker 2012): below that it says nothing.

Estimated, of all predictions of the window, labelled or not: what the scores promise (promise.py); the interval holds
the error of the promise and nothing of what the world may have become.

Laws
- Fewer than ROWS_MIN rows, or a single class for AUC: no number, rather than a wide one.
- Both are functions of integer counts.
"""

from dataclasses import dataclass
from math import pi, sqrt

import msgspec
import numpy as np
import numpy.typing as npt

from models.grades import MICRO, SCORE_BINS, STEPS, Loss, Part, log_odds
from models.task import TaskKind
from monitoring.labels.cohorts import Head, grades_of
from monitoring.labels.promise import Promise

ROWS_MIN = 30
Z_95 = 1.959964
NEWTON_STEPS = 12  # from slope 1: a dozen lead to the last digit or, where classes are parted, nowhere
CONDITION_MAX = 1e9

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Measure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measure; None where there is too little to say it. `noise`: what chance alone gives it, where that is not 0."""

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
    at: float
    half: float

    def times(self, scale: float) -> "_Value":
        return _Value(self.at * scale, self.half * abs(scale))


def measures_of(kind: TaskKind, vector: Counts, promise: Promise | None, scale: float) -> tuple[Measure, ...]:
    """Every measure of a window; `scale`: the unit of a number's errors."""
    match kind:
        case TaskKind.BINARY:
            return _binary(vector, promise)
        case TaskKind.CLASSES:
            return _classes(vector, promise)
        case TaskKind.NUMBER:
            return _number(vector, promise, scale)


def _binary(vector: Counts, promise: Promise | None) -> tuple[Measure, ...]:
    grades = grades_of(vector)
    hits, misses = grades[Part.HITS], grades[Part.LABELLED] - grades[Part.HITS]
    expected, said = _expected_hits(grades, promise), grades[Part.PREDICTED]
    auc = _auc(hits.astype(np.float64), misses.astype(np.float64), interval=True)
    guessed = None if promise is None else _auc(expected, said - expected, interval=False)
    return (
        _measure("auc", auc, guessed),
        _measure("log_loss", _mean(vector, Loss.MAIN), _promised(grades, promise, Loss.MAIN)),
        _measure("brier", _mean(vector, Loss.SQUARED), _promised(grades, promise, Loss.SQUARED)),
        _measure("accuracy", _accuracy(hits, misses), _expected_accuracy(expected, said, promise)),
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
    return _round(value.at), _round(value.at - value.half), _round(value.at + value.half)


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
    rows, requests = int(grades[Part.LABELLED].sum()), int(vector[Head.REQUESTS])
    if rows < ROWS_MIN or requests < 2:
        return None
    mean = int(grades[Part.LOSS + loss].sum()) / MICRO / rows
    steps = mean * STEPS
    squares = int(vector[Head.SQUARES + loss]) - 2 * steps * int(vector[Head.TIMES_ROWS + loss])
    squares += steps**2 * int(vector[Head.ROWS_SQUARED])
    return _Value(mean, Z_95 * sqrt(max(0.0, squares) * requests / (requests - 1)) / rows / STEPS)


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


def _expected_hits(grades: Counts, promise: Promise | None) -> Floats:
    rate = np.zeros(SCORE_BINS) if promise is None else promise.rate
    expected: Floats = grades[Part.PREDICTED] * rate
    return expected


def _auc(hits: Floats, misses: Floats, *, interval: bool) -> _Value | None:
    """hits, misses: by bin, from the lowest score on."""
    p, n = float(hits.sum()), float(misses.sum())
    if p + n < ROWS_MIN or p < 1 or n < 1:
        return None
    below = (np.cumsum(misses) - misses / 2) / n  # of a hit in each bin: the share of misses below it
    above = 1 - (np.cumsum(hits) - hits / 2) / p
    auc = float(hits @ below) / p
    if not interval or p < 2 or n < 2:
        return _Value(auc, 0.0)
    variance = float(hits @ (below - auc) ** 2) / (p - 1) / p + float(misses @ (above - auc) ** 2) / (n - 1) / n
    return _Value(auc, Z_95 * sqrt(variance))


def _accuracy(hits: Counts, misses: Counts) -> _Value | None:
    """At a threshold of ½, which is a border between bins; Wald's interval."""
    n = int(hits.sum() + misses.sum())
    if n < ROWS_MIN:
        return None
    half = SCORE_BINS // 2
    share = int(misses[:half].sum() + hits[half:].sum()) / n
    return _Value(share, Z_95 * sqrt(share * (1 - share) / n))


def _expected_accuracy(expected: Floats, said: Counts, promise: Promise | None) -> _Value | None:
    n = int(said.sum())
    if promise is None or n < ROWS_MIN:
        return None
    half = SCORE_BINS // 2
    return _Value(float((said - expected)[:half].sum() + expected[half:].sum()) / n, 0.0)


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
