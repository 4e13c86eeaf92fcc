"""Do the rows that arrive still keep the contract that training saw: no more absent, null, out of range or unseen values than
then, no name or shape that it did not have, and no category that has all but vanished?

Laws
- Every row whose contents were looked at is in the denominator: the answered ones, and those that were refused for them.
- Drifted needs both: *significant* (exact binomial tail against the bound of the training rate below its level) and
  *relevant* (Clopper-Pearson bound of the present rate beyond that bound by more than the tolerance).
- Nature is no skew: a rate that a block of the training data itself had, as far as the baseline's natural variation can
  tell, is within the tolerance. A kind that training never had is not natural at any rate.
- Kinds that did not occur, and categories that keep half of their share, are not listed; with fewer than `n_min` rows
  those that did are `TooFewSamples`.

Effects are shares of rows: how much more there is now (of a kind), how much less (of a category that collapses). Sources of
the bounds: monitoring/rates.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special
from monitoring import rates
from monitoring.collapse import COLLAPSE, REFERENCES_KNOWN, collapsible, fallen, may_collapse
from monitoring.reference import Extra, Reference
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, Verdict

# The training rate is estimated once a version, not once a check: one pair in 10 000 may have a rate above its bound,
# and would still have to pass the tolerance on top of it.
TRAINING_CONFIDENCE = 0.9999
# Faults that no single column has. The log does not hold a name that is not in the contract, so `new` is of the row.
WHOLE_ROW = {"new": Extra.UNKNOWN, "shape": Extra.SHAPE}

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SkewRule:
    """`confidence` of the bounds; `tolerance` in share of rows; a category collapses below `collapse_ratio` of its training
    share.
    """

    n_min: int
    confidence: float
    tolerance: float
    collapse_ratio: float = 0.2


class Oddity(NamedTuple):
    """How often a kind occurred: `column` −1 for the whole row; `seen` of `n` rows, `known` of `m` at training; `what`: the
    category that fell.
    """

    column: int
    kind: str
    seen: int
    n: int
    known: int
    m: int
    what: str = ""


class _Numbers(NamedTuple):
    """One entry an oddity."""

    rate: Floats
    low: Floats
    high: Floats
    trained: Floats
    p_value: Floats
    effect: Floats
    lower_bound: Floats
    tolerance: Floats


def rows_came(reference: Reference, counts: Counts) -> Counts:
    """Rows of each window, answered or refused for their contents: no column has more; counts: shape (…, reference.size)."""
    end = int(reference.starts[-1])
    came: Counts = counts[..., end + Extra.ROWS_ANSWERED] + counts[..., end + Extra.ROWS_REJECTED]
    return came


@lru_cache(maxsize=REFERENCES_KNOWN)
def checks_of(reference: Reference) -> int:
    """How many (column, kind) pairs and categories are watched: what the budget is shared among."""
    return len(reference.judged) * SPECIALS + len(WHOLE_ROW) + int(np.count_nonzero(collapsible(reference)))


def may_breach(reference: Reference, counts: Counts, rule: SkewRule) -> npt.NDArray[np.bool_]:
    """Windows in which a check could be Drifted, by a bound that is cheap: the lower bound of a rate is below the rate, and
    what training had at most is at least its rate. counts: shape (windows, reference.size).
    """
    bins, n_min, tolerance = int(reference.starts[-1]), rule.n_min, rule.tolerance
    came = rows_came(reference, counts)
    whole = counts[:, [bins + word for word in WHOLE_ROW.values()]]
    rows = np.maximum(came[:, None], whole)
    found: npt.NDArray[np.bool_] = np.asarray(((rows >= n_min) & (whole > tolerance * rows)).any(axis=1))
    if not bins:
        return found
    first, trained = reference.starts[:-1], reference.expected(counts)
    at = first[:, None] + np.arange(SPECIALS)
    known = trained[:, at] / np.maximum(np.add.reduceat(trained, first, axis=1), 1)[:, :, None]
    now = np.add.reduceat(counts[:, :bins], first, axis=1)
    is_feature = np.arange(len(reference.columns)) < reference.features
    seen = counts[:, at]
    rows = np.maximum(np.where(is_feature, came[:, None], now)[:, :, None], seen)
    found |= ((rows >= n_min) & (seen > (known + tolerance) * rows)).any(axis=(1, 2))
    return found | may_collapse(reference, counts, rule.collapse_ratio, rule.confidence)


def oddities(reference: Reference, counts: Counts) -> list[Oddity]:
    """Every kind that occurred in the window, and of each column the category that fell most; counts: shape
    (reference.size,).
    """
    came, bins, width = int(rows_came(reference, counts)), int(reference.starts[-1]), len(reference.columns)
    now = np.bincount(reference.owners, counts[:bins], width)
    baseline = reference.expected(counts[None, :])[0]
    trained = np.bincount(reference.owners, baseline, width)
    special_bins = reference.starts[:-1, None] + np.arange(SPECIALS)
    found: list[Oddity] = []
    for j, s in np.argwhere(counts[special_bins] > 0).tolist():
        at = special_bins[j, s]
        seen, n = int(counts[at]), came if j < reference.features else int(now[j])
        found.append(Oddity(j, Special(s).name.lower(), seen, max(n, seen), int(baseline[at]), int(trained[j])))
    whole = ((kind, reference.extra(counts, word)) for kind, word in WHOLE_ROW.items())
    training = int(trained.max(initial=0))
    found.extend(Oddity(-1, kind, seen, max(came, seen), 0, training) for kind, seen in whole if seen)
    falls = fallen(reference, counts) if came else []  # a window without rows says nothing of categories
    return found + [Oddity(f.column, COLLAPSE, f.seen, f.n, f.known, f.m, f.what) for f in falls]


def judge_skew(
    found: Sequence[Oddity], natural_psi: Sequence[float], alphas: Sequence[float], rule: SkewRule
) -> list[Verdict]:
    """One verdict an oddity, in order; `natural_psi`: how far blocks of training data lay apart in its column; `alphas`: the
    level of its check.
    """
    if not found:
        return []
    seen, n, known, m = (np.array([o[i] for o in found], dtype=np.float64) for i in (2, 3, 4, 5))
    given = (seen, np.maximum(n, 1), known, np.maximum(m, 1), np.asarray(natural_psi, dtype=np.float64))
    falls = np.array([o.kind == COLLAPSE for o in found])
    numbers = np.empty((len(_Numbers._fields), len(found)))
    for which, sense in ((~falls, _risen), (falls, _sunk)):
        if which.any():
            numbers[:, which] = sense(rule, *(each[which] for each in given))
    return [_verdict(o, _Numbers(*numbers[:, i]), alphas[i], rule) for i, o in enumerate(found)]


def _risen(rule: SkewRule, seen: Floats, n: Floats, known: Floats, m: Floats, psi: Floats) -> _Numbers:
    """Of kinds: is there more than at training?"""
    upper = rates.upper_bound(known, m, TRAINING_CONFIDENCE)
    low, high = _interval(seen, n, rule)
    effect, tolerance, usual = seen / n - known / m, np.full_like(seen, rule.tolerance), upper.copy()
    # Hot: what is found of an unchanged stream is within the plain tolerance, and needs no search for the natural one.
    at = np.flatnonzero((known > 0) & (psi > 0) & (effect > rule.tolerance / 2))
    if at.size:
        usual[at] = rates.farthest_up(upper[at], psi[at])
        tolerance[at] = np.maximum(rule.tolerance, usual[at] - upper[at])
    return _Numbers(
        rate=seen / n,
        low=low,
        high=high,
        trained=known / m,
        p_value=rates.tail_above(seen, n, usual),
        effect=effect,
        lower_bound=low - upper,
        tolerance=tolerance,
    )


def _sunk(rule: SkewRule, seen: Floats, n: Floats, known: Floats, m: Floats, psi: Floats) -> _Numbers:
    """Of categories: is there far less than at training?"""
    lower = rates.lower_bound(known, m, TRAINING_CONFIDENCE)
    low, high = _interval(seen, n, rule)
    usual = np.where(psi > 0, rates.farthest_down(lower, psi), lower)
    least = np.minimum(rule.collapse_ratio * lower, usual)
    return _Numbers(
        rate=seen / n,
        low=low,
        high=high,
        trained=known / m,
        p_value=rates.tail_below(seen, n, usual),
        effect=known / m - seen / n,
        lower_bound=lower - high,
        tolerance=lower - least,
    )


def _interval(seen: Floats, n: Floats, rule: SkewRule) -> tuple[Floats, Floats]:
    return rates.lower_bound(seen, n, rule.confidence), rates.upper_bound(seen, n, rule.confidence)


def _verdict(oddity: Oddity, numbers: _Numbers, alpha: float, rule: SkewRule) -> Verdict:
    if oddity.m == 0:
        return NoBaseline(oddity.n)
    if oddity.n < rule.n_min:
        return TooFewSamples(oddity.n, rule.n_min)
    rate, low, high, trained, p_value, effect, lower_bound, tolerance = (float(each) for each in numbers)
    significant = p_value < alpha
    kind = Drifted if significant and lower_bound > tolerance else Stable
    return kind(
        n=oddity.n,
        statistic=rate,
        df=0,
        p_value=p_value,
        significant=significant,
        effect=effect,
        lower_bound=lower_bound,
        tolerance=tolerance,
        low=low,
        high=high,
        trained=trained,
        what=oddity.what,
    )
