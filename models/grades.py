"""How good were predictions whose outcome is known: counts on fixed bins of what was predicted, that add.

Laws
- The grades of A and B together are grades(A) + grades(B), to the integer: sums are of whole millionths, squares of
  whole steps.
- A prediction lies in exactly one bin, before and after its label is known.

Bins of a probability: the log odds in steps of BIN_LOGIT, so that the bins of rare events are as fine as the others. The
probability of a class that was chosen is graded as that of a binary event: the choice was right. Bins of a number: those
of the output's baseline.

Losses, in the order of `Loss`: of a probability p of an outcome y its log loss, (p − y)² and p − y; of a chosen class
whether it was wrong in place of the log loss; of a number |e|, e² and e, in units of the output's standard deviation at
training.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.task import TaskKind

SCORE_BINS = 64
BIN_LOGIT = 0.25  # ± 8 in 64 bins: from 0.03 % to 99.97 %; too wide for AUC where scores are narrow or rare
MICRO = 1_000_000  # sums are of millionths
STEPS = 256  # squares are of whole 256ths, squared: at the largest error (1 024 in squares), 10⁷ rows fit in 64 bits
PROBABILITY_MIN = 1e-6  # a log loss is 13.8 at most
ERROR_SCALES_MAX = 32.0  # an error counts as so many standard deviations at most

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]


class Loss(IntEnum):
    """Which loss: the first is the one that alarms are about."""

    MAIN = 0
    SQUARED = 1
    SIGNED = 2


class Part(IntEnum):
    """Rows of a matrix of grades; its columns are the bins."""

    PREDICTED = 0  # predictions, with and without a label
    LABELLED = 1
    HITS = 2  # labelled, and positive (binary) or right (classes)
    SCORE = 3  # sum of the labelled ones' scores, in millionths
    LOSS = 4  # sum of each loss, in millionths
    LOSS_SQUARED = 4 + len(Loss)  # sum of the squares of the main loss, in squared steps


def bins_of(kind: TaskKind, edges: tuple[float, ...]) -> int:
    """How many bins a prediction can be in."""
    return len(edges) + 1 if kind is TaskKind.NUMBER else SCORE_BINS


def bin_numbers(kind: TaskKind, edges: tuple[float, ...], scores: Floats) -> Index:
    """The bin of each score; shape (n,)."""
    if kind is TaskKind.NUMBER:
        return np.asarray(np.searchsorted(np.asarray(edges), scores, side="right"), dtype=np.intp)
    odds = np.floor(log_odds(scores) / BIN_LOGIT) + SCORE_BINS // 2
    inside: Index = np.clip(odds, 0, SCORE_BINS - 1).astype(np.intp)
    return inside


def log_odds(p: Floats) -> Floats:
    """ln p/(1 − p), finite at 0 and 1."""
    inside = np.clip(p, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


def hits_of(kind: TaskKind, said: Floats, outcomes: Floats) -> Floats:
    """Did what was scored come true? 1 or 0; of a number the outcome itself."""
    return (said == outcomes).astype(np.float64) if kind is TaskKind.CLASSES else outcomes


def losses(kind: TaskKind, scores: Floats, hits: Floats, scale: float) -> Floats:
    """Shape (len(Loss), n); `hits` as hits_of gives them, `scale` the unit of a number's errors."""
    if kind is TaskKind.NUMBER:
        errors = np.clip((scores - hits) / scale, -ERROR_SCALES_MAX, ERROR_SCALES_MAX)
        return np.stack([np.abs(errors), errors**2, errors])
    p = np.clip(scores, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    main = 1 - hits if kind is TaskKind.CLASSES else -np.log(np.where(hits > 0, p, 1 - p))
    return np.stack([main, (scores - hits) ** 2, scores - hits])


def predicted(bins: Index, size: int) -> Counts:
    """Grades of predictions without labels; shape (parts, size)."""
    grades = np.zeros((Part.LOSS_SQUARED + 1, size), dtype=np.int64)
    grades[Part.PREDICTED] = np.bincount(bins, minlength=size)
    return grades


def graded(kind: TaskKind, bins: Index, size: int, scores: Floats, hits: Floats, found: Floats, scale: float) -> Counts:
    """Grades of labelled rows that were counted as predicted before; found: their losses, shape (len(Loss), n)."""
    grades = np.zeros((Part.LOSS_SQUARED + 1, size), dtype=np.int64)
    grades[Part.LABELLED] = np.bincount(bins, minlength=size)
    if kind is not TaskKind.NUMBER:
        grades[Part.HITS] = np.bincount(bins[hits > 0], minlength=size)
    unit = scale if kind is TaskKind.NUMBER else 1.0
    limit = ERROR_SCALES_MAX * 1000
    np.add.at(grades[Part.SCORE], bins, np.rint(np.clip(scores / unit, -limit, limit) * MICRO).astype(np.int64))
    for loss in Loss:
        np.add.at(grades[Part.LOSS + loss], bins, np.rint(found[loss] * MICRO).astype(np.int64))
    np.add.at(grades[Part.LOSS_SQUARED], bins, np.rint(found[Loss.MAIN] * STEPS).astype(np.int64) ** 2)
    return grades
