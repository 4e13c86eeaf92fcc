"""Can rows after a change be told from rows before it, and by which columns? A classifier that is asked which rows are which.

Laws
- Its answers are about rows that it was not fitted on (FOLDS folds), and the same rows and seed give the same figures.
- Of a column that has one value, where it is there, only that is asked: is it there? One that is always alike is left out.
- An AUC of ½ with its interval around ½ means: no column and no combination of them tells the two apart.

The AUC's standard error is that of Hanley and McNeil (Radiology 143, 1982). What a column gives away is the AUC that is lost
when its values are shuffled among the rows of a fold (Breiman 2001).
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

FOLDS, SEED = 5, 1
ROUNDS, LEAVES = 60, 15  # enough for two thousand rows; more only fits their noise
ROWS_MIN = 50  # of each side: below, the interval is wider than a third
Z_95 = 1.96

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


class Told(NamedTuple):
    """`gives_away`: AUC lost without each column, largest first; `left_out`: columns that are always alike."""

    auc: float
    low: float
    high: float
    before: int
    after: int
    gives_away: tuple[tuple[str, float], ...]
    left_out: tuple[str, ...] = ()


def tell_apart(names: list[str], categorical: list[bool], before: Floats, after: Floats) -> Told | None:
    """None where a side has too few rows, or no column two values. before, after: shape (n, columns), categories as codes, NaN
    for what is not there.
    """
    if min(len(before), len(after)) < ROWS_MIN:
        return None
    rows, side = np.concatenate([before, after]), np.repeat([0, 1], [len(before), len(after)])
    folds = [*StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(rows, side)]
    columns, left_out = _asked(names, categorical, rows, [fit for fit, _ in folds])
    if not columns:
        return None
    with threadpool_limits(1):  # the service has the other cores; and threads that wait for a busy one spin
        return _tell_apart(columns, side, folds)._replace(left_out=left_out)


class _Asked(NamedTuple):
    """A column of the classifier; values: shape (n,)."""

    name: str
    categorical: bool
    values: Floats


def _asked(
    names: list[str], categorical: list[bool], rows: Floats, fits: list[Index]
) -> tuple[list[_Asked], tuple[str, ...]]:
    """The columns that have two values in every fit, and the names of the others: trees have nothing to cut there."""
    kept: list[_Asked] = []
    for place, name in enumerate(names):
        values = rows[:, place]
        absent = np.isnan(values).astype(np.float64)
        if _varies(values, fits):
            kept.append(_Asked(name, categorical[place], values))
        elif _varies(absent, fits):
            kept.append(_Asked(name, False, absent))
    return kept, tuple(name for name in names if name not in {one.name for one in kept})


def _varies(values: Floats, fits: list[Index]) -> bool:
    return all(np.unique(there[np.isfinite(there)]).size > 1 for there in (values[fit] for fit in fits))


def _tell_apart(columns: list[_Asked], side: Index, folds: list[tuple[Index, Index]]) -> Told:
    names, rows = [one.name for one in columns], np.stack([one.values for one in columns], axis=1)
    categorical = [one.categorical for one in columns]
    score, lost = np.zeros(len(rows)), np.zeros(len(names))
    rng = np.random.default_rng(SEED)
    for fit, held in folds:
        model = HistGradientBoostingClassifier(
            max_iter=ROUNDS, max_leaf_nodes=LEAVES, categorical_features=categorical, random_state=SEED
        ).fit(rows[fit], side[fit])
        score[held] = model.predict_proba(rows[held])[:, 1]
        whole = roc_auc_score(side[held], score[held])
        for place in range(len(names)):
            shuffled = rows[held].copy()
            shuffled[:, place] = rng.permutation(shuffled[:, place])
            lost[place] += (whole - roc_auc_score(side[held], model.predict_proba(shuffled)[:, 1])) / FOLDS
    auc = float(roc_auc_score(side, score))
    after, before = int(side.sum()), int((1 - side).sum())
    error = _error(auc, after, before)
    order = sorted(range(len(names)), key=lambda place: (-lost[place], names[place]))
    given = tuple((names[place], round(float(lost[place]), 4)) for place in order)
    return Told(auc, max(0.0, auc - Z_95 * error), min(1.0, auc + Z_95 * error), before, after, given)


def _error(auc: float, positive: int, negative: int) -> float:
    one, two = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positive - 1) * (one - auc**2) + (negative - 1) * (two - auc**2)
    return sqrt(max(0.0, spread) / (positive * negative))
