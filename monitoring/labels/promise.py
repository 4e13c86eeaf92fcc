"""What do scores promise: the expected loss, and the chance of a hit, of a prediction in each bin, learnt from labelled rows.

Of a probability (CBPE, confidence-based performance estimation; Platt 1999 for calibration by the odds): neighbouring
bins are taken together until they hold GROUP_ROWS labelled rows; the log odds of a hit are a line
through the groups' shares of hits over the log odds of their mean scores. Of a number (after NannyML's direct loss
estimation, with the prediction's bin in place of a model): the mean loss of the group.

Laws
- It is a function of the grades alone; its errors are wider by how alike rows of one request were, those of a group of bins
  by as much as that of the mean.
- It holds for rows like those it was learnt from *given their score*: of features it knows nothing. Where what a score is worth
  changes, it is wrong, and that is what the alarm looks for.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from models.grades import BIN_LOGIT, MICRO, PROBABILITY_MIN, SCORE_BINS, STEPS, Loss, Part, log_odds
from models.performance import Performance
from models.task import TaskKind

GROUP_ROWS_MIN = 50  # the standard error of a share is 7 % at most
SLOPE_MAX = 4.0  # of a calibration line: beyond, a few rows would speak for all that lies outside of them
MATCHES = 3  # rounds until each group's rate is its share of hits: a line through means bends past wide groups
GROUPS = 10  # of as many rows each as far as bins allow: more would follow the noise, fewer miss how calibration bends
LOSS_MIN = 1e-3  # of a model that was never wrong: what a tolerance is a share of

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Promise:
    """By bin, shape (bins,): `rate` of hits, `scores`, `loss`, `second` and `signed`
    losses, `errors`: the standard errors of these three, shape (3, bins), `square`: the mean of the main loss squared.

    `mean`: the reference's main loss with `mean_error` its standard error; `variance` of it, `variance_within` the bins.
    """

    kind: TaskKind
    rate: Floats
    scores: Floats
    loss: Floats
    errors: Floats
    second: Floats
    signed: Floats
    square: Floats
    mean: float
    mean_error: float
    variance: float
    variance_within: float
    mean_square: float
    rows: int

    @classmethod
    def of(cls, performance: Performance) -> Self:
        """From a reference."""
        kind, grades = performance.task.kind, performance.counts
        groups = _groups(grades[Part.LABELLED])
        parts = _numbers(grades, groups) if kind is TaskKind.NUMBER else _scored(kind, grades, groups)
        labelled = grades[Part.LABELLED]
        rows = int(labelled.sum())
        mean = float(grades[Part.LOSS].sum()) / MICRO / rows
        square = float(grades[Part.LOSS_SQUARED].sum()) / STEPS**2 / rows
        variance = max(square - mean**2, LOSS_MIN**2)
        return cls(
            kind=kind,
            rate=parts[0],
            scores=parts[1],
            loss=parts[2],
            errors=np.stack(parts[6:]) * np.sqrt(performance.alike),
            second=parts[3],
            signed=parts[4],
            square=parts[5],
            mean=max(mean, LOSS_MIN),
            mean_error=float(np.sqrt(variance * performance.alike / rows)),
            variance=variance,
            variance_within=max(float((labelled * (parts[5] - parts[2] ** 2)).sum()) / rows, LOSS_MIN**2),
            mean_square=max(square, LOSS_MIN**2),
            rows=rows,
        )


def _groups(labelled: Counts) -> npt.NDArray[np.intp]:
    """The group of each bin: neighbours together until they hold enough rows."""
    group, held, groups, enough = 0, 0, [], max(GROUP_ROWS_MIN, int(labelled.sum()) // GROUPS)
    for rows in labelled.tolist():
        if held >= enough:
            group, held = group + 1, 0
        groups.append(group)
        held += rows
    if held < enough and group > 0:
        groups = [min(number, group - 1) for number in groups]
    return np.array(groups, dtype=np.intp)


def _sums(values: Counts | Floats, groups: npt.NDArray[np.intp]) -> Floats:
    return np.bincount(groups, values).astype(np.float64)


def _scored(kind: TaskKind, grades: Counts, groups: npt.NDArray[np.intp]) -> tuple[Floats, ...]:
    rows = _sums(grades[Part.LABELLED], groups)
    score = _sums(grades[Part.SCORE], groups) / MICRO / np.maximum(rows, 1)
    share = (_sums(grades[Part.HITS], groups) + score) / (
        rows + 1
    )  # one row more that is as its score says: never 0 or 1
    weight = rows * share * (1 - share)
    centre = 1 / (1 + np.exp(-(np.arange(SCORE_BINS) - SCORE_BINS / 2 + 0.5) * BIN_LOGIT))
    labelled = grades[Part.LABELLED]
    p = np.where(labelled > 0, grades[Part.SCORE] / MICRO / np.maximum(labelled, 1), centre)
    p = np.clip(p, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    at = log_odds(share)
    for _ in range(MATCHES):
        rate = 1 / (1 + np.exp(-_calibrated(log_odds(p), log_odds(score), at, weight)))
        told = _sums(labelled * rate, groups) / np.maximum(rows, 1)
        at = at + log_odds(share) - log_odds(told)
    # The group's standard error, carried over to the bin's odds (delta method).
    error = rate * (1 - rate) / np.sqrt(np.maximum(share * (1 - share) * np.maximum(rows, 1), 1e-12))[groups]
    odds = log_odds(p)
    if kind is TaskKind.CLASSES:
        loss, slope, square = 1 - rate, np.ones_like(rate), 1 - rate
    else:
        hit, miss = -np.log(p), -np.log1p(-p)
        loss, slope, square = rate * hit + (1 - rate) * miss, np.abs(odds), rate * hit**2 + (1 - rate) * miss**2
    second = rate * (1 - p) ** 2 + (1 - rate) * p**2
    errors = (slope * error, np.abs(1 - 2 * p) * error, error)
    return rate, p, loss, second, p - rate, square, *errors


def _calibrated(odds: Floats, score: Floats, share: Floats, weight: Floats) -> Floats:
    """Log odds of a hit at these log odds of the score: between the groups' a straight line, beyond the first and last
    of them the slope of the weighted line through all. score, share: by group, as log odds, score ascending.
    """
    centre = float(weight @ score / weight.sum())
    spread = float(weight @ (score - centre) ** 2)
    slope = min(max(float(weight @ ((score - centre) * share)) / spread, 0.0), SLOPE_MAX) if spread > 0 else 1.0
    beyond = np.minimum(odds - score[0], 0.0) + np.maximum(odds - score[-1], 0.0)
    inside: Floats = np.interp(odds, score, share) + slope * beyond
    return inside


def _numbers(grades: Counts, groups: npt.NDArray[np.intp]) -> tuple[Floats, ...]:
    rows = np.maximum(_sums(grades[Part.LABELLED], groups), 1)
    means = [_sums(grades[Part.LOSS + loss], groups) / MICRO / rows for loss in Loss]
    square = _sums(grades[Part.LOSS_SQUARED], groups) / STEPS**2 / rows
    variance = np.maximum(square - means[Loss.MAIN] ** 2, 0.0)
    labelled = grades[Part.LABELLED]
    scores = grades[Part.SCORE] / MICRO / np.maximum(labelled, 1)
    by_bin = [mean[groups] for mean in means]
    nothing = np.zeros(len(groups))
    error = np.sqrt(variance / rows)[groups]
    relative = error / np.maximum(by_bin[Loss.MAIN], LOSS_MIN)
    errors = (error, 2 * relative * by_bin[Loss.SQUARED], np.sqrt(by_bin[Loss.SQUARED] / rows[groups]))
    return nothing, scores, *by_bin, square[groups], *errors
