"""Do rows arrive that training never had: absent, null, out of range, unseen, of the wrong type or shape?

Laws
- Every row that came is in the denominator: the answered ones and those that were turned away.
- Drifted needs both: *significant* (exact binomial tail against the upper bound of the training rate below `alpha`) and
  *relevant* (Clopper-Pearson lower bound of the present rate above that upper bound by more than the tolerance).
- Kinds that did not occur are not listed; with fewer than `n_min` rows those that did are `TooFewSamples`.

Effects are shares of rows. Source of the bounds: Clopper and Pearson 1934, through the incomplete beta function.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from models.baseline import SPECIALS, Special
from monitoring.reference import Extra, Reference
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, Verdict

# The training rate is estimated once a version, not once a check: one pair in 10 000 may have a rate above its bound,
# and would still have to pass the tolerance on top of it.
TRAINING_CONFIDENCE = 0.9999
WHOLE_ROW = (Extra.UNKNOWN, Extra.SHAPE)  # faults that no single column has

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SkewRule:
    """`alpha` of one check; `confidence` of the lower bound; `tolerance` in share of rows."""

    alpha: float
    n_min: int
    confidence: float
    tolerance: float


class Oddity(NamedTuple):
    """How often a kind occurred: `column` −1 for the whole row; `seen` of `n` rows, `known` of `m` at training."""

    column: int
    kind: str
    seen: int
    n: int
    known: int
    m: int


def rows_came(reference: Reference, counts: Counts) -> int:
    """Rows of the window, answered or turned away."""
    return reference.extra(counts, Extra.ROWS_ANSWERED) + reference.extra(counts, Extra.ROWS_REJECTED)


def checks_of(reference: Reference) -> int:
    """How many (column, kind) pairs are watched: what the budget is shared among."""
    return len(reference.judged) * SPECIALS + len(WHOLE_ROW)


def may_breach(reference: Reference, counts: Counts, n_min: int, tolerance: float) -> npt.NDArray[np.bool_]:
    """Windows in which a check could be Drifted, by a bound that is cheap: the lower bound of a rate is below the rate, and
    what training had at most is at least its rate. counts: shape (windows, reference.size).
    """
    bins = int(reference.starts[-1])
    came = counts[:, bins + Extra.ROWS_ANSWERED] + counts[:, bins + Extra.ROWS_REJECTED]
    whole = counts[:, [bins + word for word in WHOLE_ROW]]
    rows = np.maximum(came[:, None], whole)
    found: npt.NDArray[np.bool_] = ((rows >= n_min) & (whole > tolerance * rows)).any(axis=1)
    if not bins:
        return found
    first = reference.starts[:-1]
    at = first[:, None] + np.arange(SPECIALS)
    known = reference.baseline[at] / np.maximum(np.add.reduceat(reference.baseline, first), 1)[:, None]
    now = np.add.reduceat(counts[:, :bins], first, axis=1)
    is_feature = np.arange(len(reference.columns)) < reference.features
    seen = counts[:, at]
    rows = np.maximum(np.where(is_feature, came[:, None], now)[:, :, None], seen)
    found |= ((rows >= n_min) & (seen > (known + tolerance) * rows)).any(axis=(1, 2))
    return found


def oddities(reference: Reference, counts: Counts) -> list[Oddity]:
    """Every kind that occurred in the window; counts: shape (reference.size,)."""
    came, bins, width = rows_came(reference, counts), int(reference.starts[-1]), len(reference.columns)
    now = np.bincount(reference.owners, counts[:bins], width)
    trained = np.bincount(reference.owners, reference.baseline, width)
    special_bins = reference.starts[:-1, None] + np.arange(SPECIALS)
    found: list[Oddity] = []
    for j, s in np.argwhere(counts[special_bins] > 0).tolist():
        at = special_bins[j, s]
        seen, n = int(counts[at]), came if j < reference.features else int(now[j])
        found.append(
            Oddity(j, Special(s).name.lower(), seen, max(n, seen), int(reference.baseline[at]), int(trained[j]))
        )
    whole = ((word, reference.extra(counts, word)) for word in WHOLE_ROW)
    training = int(trained.max(initial=0))
    found.extend(Oddity(-1, word.name.lower(), seen, max(came, seen), 0, training) for word, seen in whole if seen)
    return found


def judge_skew(found: list[Oddity], rule: SkewRule) -> list[Verdict]:
    """One verdict an oddity, in order."""
    if not found:
        return []
    seen, n, known, m = (np.array([o[i] for o in found], dtype=np.float64) for i in (2, 3, 4, 5))
    trained = np.maximum(m, 1)
    upper = np.where(
        known >= trained, 1.0, special.betaincinv(known + 1, np.maximum(trained - known, 1), TRAINING_CONFIDENCE)
    )
    p_value = special.betainc(seen, n - seen + 1, upper)
    lower = special.betaincinv(seen, n - seen + 1, 1 - rule.confidence) - upper
    rate = seen / n
    effect = rate - known / trained
    return [
        _verdict(o, float(rate[i]), float(p_value[i]), float(effect[i]), float(lower[i]), rule)
        for i, o in enumerate(found)
    ]


def _verdict(oddity: Oddity, rate: float, p_value: float, effect: float, lower: float, rule: SkewRule) -> Verdict:
    if oddity.m == 0:
        return NoBaseline(oddity.n)
    if oddity.n < rule.n_min:
        return TooFewSamples(oddity.n, rule.n_min)
    significant = p_value < rule.alpha
    kind = Drifted if significant and lower > rule.tolerance else Stable
    return kind(
        n=oddity.n,
        statistic=rate,
        df=0,
        p_value=p_value,
        significant=significant,
        effect=effect,
        lower_bound=lower,
        tolerance=rule.tolerance,
    )
