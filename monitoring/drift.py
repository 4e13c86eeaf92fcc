"""Do the rows of a window still come from where the training rows came from, and if not, by how much?

Laws
- Window and baseline are compared on the bins fixed at training; the verdict depends on the two count vectors and
  nothing else.
- Drifted needs both: *significant* (p-value below `alpha`: a two-sample G-test of all bins, of numbers also the two tests of
  ordered.py, as one) and *relevant* (lower bound of the effect above the tolerance). What training varied by itself is no
  drift at the same level: the effect must be above it at `alpha`, because unchanged rows may lie there for hours.
- Fewer rows than `n_min`, or bins too thin to tell anything apart, are `TooFewSamples`, never `Stable`.

The statistic: G = 2 Σ o ln(o/e) over the 2 × B table, ~ χ²(B − 1) without drift and ~ noncentral χ²(B − 1, λ) with it.
With M baseline and N window rows, λ ≈ MN/(M+N) · PSI, so λ·(M+N)/(MN) is an effect in PSI units that
does not grow with the rows: `effect` takes λ̂ = max(0, G − df); `lower_bound` the λ at which so large a G would still
come once in 1/(1 − confidence) windows.

Small samples: plain G on bins that expect few rows is not χ² (alarms 37 × too often at α = 1e-4 on a categorical column
of 200 rare values, N = 2 000). So bins expecting fewer than EXPECTED_MIN rows on either side are merged, neighbour with
neighbour, until they expect that many, and G is divided by Williams' correction (Williams 1976) over the merged table.
Measured over 4·10⁵ pairs of samples a case (8·10⁴ with 200 and more bins), M = 10 000 and 569, N = 100, 200, 500, 2 000
and 20 000, at α = 1e-4, as false alarms per expected one: 10 equal bins at most 1.3; with three rare bins beside them
1.2; 40 categories by Zipf 1.8; one large and 50 rare categories 1.5; one large and 200 rare 1.8; 250 equal categories
2.4; a 0.5 % flag 1.3. Deeper (1.2·10⁷ pairs), 10 equal bins, N = 100: 1.4 at 1e-5, 1.5 at 1e-6; 40 categories by Zipf,
N = 500: 1.7 and 2.8. The correction is not complete where bins sit at the pooling limit: at N = 100 in 10 equal bins the
mean of G is still 1.014 of df, at 150 it is 1.006. So the tail is too heavy by a small factor, which
`judge.SMALL_SAMPLE_MARGIN` pays for. (With EXPECTED_MIN = 5 the worst case was 3.8 at 1e-4.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from models.noncentral import noncentrality_lower
from monitoring.ordered import location_and_spread
from monitoring.reference import Reference
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, Verdict

EXPECTED_MIN = 10.0  # the least that a bin expects on the smaller side; see "Small samples"

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class DriftRule:
    """`alpha` of one check; `confidence` of the lower bound; tolerances in PSI, `tolerance_set` instead of what
    training varied by.
    """

    alpha: float
    n_min: int
    confidence: float
    tolerance_floor: float
    tolerance_set: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Windows held against the baseline: arrays of shape (windows, columns); `groups` are the bins left after merging, effects
    in PSI.
    """

    n: Counts
    m: Counts
    groups: Counts
    statistic: Floats
    df: Counts
    p_value: Floats
    effect: Floats
    lower_bound: Floats


@dataclass(frozen=True, slots=True, eq=False)
class DriftLook:
    """One look at one window: arrays of shape (columns,). `measured`: a verdict other than too little data is possible."""

    rule: DriftRule
    found: Comparison
    tolerance: Floats
    measured: npt.NDArray[np.bool_]
    significant: npt.NDArray[np.bool_]
    drifted: npt.NDArray[np.bool_]

    def verdict(self, j: int) -> Verdict:
        """What the look says about a column."""
        found, n = self.found, int(self.found.n[j])
        if found.m[j] == 0:
            return NoBaseline(n)
        if not self.measured[j]:
            return TooFewSamples(n, max(self.rule.n_min, 2 * n if n >= self.rule.n_min else 0))
        kind = Drifted if self.drifted[j] else Stable
        return kind(
            n=n,
            statistic=float(found.statistic[j]),
            df=int(found.df[j]),
            p_value=float(found.p_value[j]),
            significant=bool(self.significant[j]),
            effect=float(found.effect[j]),
            lower_bound=float(found.lower_bound[j]),
            tolerance=float(self.tolerance[j]),
        )


def look_for_drift(
    reference: Reference, counts: Counts, covered_s: Sequence[int], rules: Sequence[DriftRule]
) -> list[DriftLook]:
    """One look a window; counts: shape (windows, reference.size), of windows that reach back `covered_s`."""
    if not len(counts):
        return []
    found = _of_enough_rows(reference, counts, rules)
    several = _columns(reference, (reference.baseline > 0).astype(np.float64)) > 1
    looks = []
    for w, (covered, rule) in enumerate(zip(covered_s, rules, strict=True)):
        one = Comparison(*(getattr(found, name)[w] for name in Comparison.__dataclass_fields__))
        limit = tolerance(reference, covered, rule)
        # Where every bin is thin all were merged into one: there is nothing to tell apart.
        measured = (one.m > 0) & (one.n >= rule.n_min) & ~((one.groups == 1) & several)
        significant = measured & (one.p_value < rule.alpha)
        relevant = significant & (one.lower_bound > limit)
        looks.append(
            DriftLook(rule, one, limit, measured, significant, relevant & beyond_nature(reference, one, covered, rule))
        )
    return looks


def beyond_nature(reference: Reference, found: Comparison, covered_s: int, rule: DriftRule) -> npt.NDArray[np.bool_]:
    """Columns whose distance is more than nature's at the level of the test; all where nature is not known, or set aside.

    At the top of a season unchanged rows lie as far from training as they ever do, in every look: there the lower bound at
    `confidence` alone would pass the tolerance once in 1/(1 − confidence) looks, whatever the budget.
    """
    natural = reference.natural(covered_s)
    beyond = np.ones(len(natural), dtype=np.bool_)
    held = np.flatnonzero((natural > 0) & (found.p_value < rule.alpha) & (found.df > 0))
    if held.size and rule.tolerance_set is None:
        least = noncentrality_lower(found.statistic[held], found.df[held], 1 - rule.alpha)
        psi = (found.m[held] + found.n[held]) / np.maximum(found.m[held] * found.n[held], 1)
        beyond[held] = least * psi > natural[held]
    return beyond


def _of_enough_rows(reference: Reference, counts: Counts, rules: Sequence[DriftRule]) -> Comparison:
    """The comparison of all windows, made only for those of which a column may have a verdict; the others have their rows."""
    windows, width = len(counts), len(reference.columns)
    seen = np.where(reference.answerable, counts[:, : int(reference.starts[-1])], 0)
    n = np.array([_columns(reference, row) for row in seen]).reshape(windows, width).astype(np.int64)
    enough = (n >= np.array([rule.n_min for rule in rules])[:, None]).any(axis=1)
    if enough.all():
        return compare(reference, counts, rules[0].confidence)
    m = np.tile(
        _columns(reference, np.where(reference.answerable, reference.baseline, 0)).astype(np.int64), (windows, 1)
    )
    whole, none = np.zeros((windows, width), dtype=np.int64), np.zeros((windows, width))
    found = Comparison(
        n, m, whole.copy(), none.copy(), whole.copy(), np.ones((windows, width)), none.copy(), none.copy()
    )
    if enough.any():
        looked = compare(reference, counts[enough], rules[0].confidence)
        for name in Comparison.__dataclass_fields__:
            getattr(found, name)[enough] = getattr(looked, name)
    return found


def tolerance(reference: Reference, covered_s: int, rule: DriftRule) -> Floats:
    """How far apart each column may be, in PSI: what is set, else how far blocks of training data lay apart.

    The blocks are the longest that the window covers, else the shortest: five hours of a day vary as hours do, and held
    against the variation of whole days, unchanged traffic lies at nine times the tolerance (measured on `payments`).
    """
    if rule.tolerance_set is not None:
        return np.full(len(reference.columns), rule.tolerance_set)
    return np.maximum(rule.tolerance_floor, reference.natural(covered_s))


def compare(reference: Reference, counts: Counts, confidence: float) -> Comparison:
    """The tests of every column of every window at once; counts: shape (windows, reference.size)."""
    windows, width, bins = len(counts), len(reference.columns), int(reference.starts[-1])
    shape, size = (windows, width), windows * width
    a = np.where(reference.answerable, reference.expected(counts), 0).astype(np.float64).ravel()
    b = np.where(reference.answerable, counts[:, :bins], 0).astype(np.float64).ravel()
    of = (reference.owners + width * np.arange(windows)[:, None]).ravel()
    starts = (reference.starts[:-1] + bins * np.arange(windows)[:, None]).ravel()
    m, n = _sums(of, a, size), _sums(of, b, size)
    group, owner = _merge(a + b, np.minimum(m, n) / np.maximum(m + n, 1), of, starts)
    kept = group >= 0
    grouped = _sums(group[kept], a[kept], len(owner)), _sums(group[kept], b[kept], len(owner))
    statistic, groups = _g(*grouped, m, n, owner)
    df = np.maximum(groups - 1, 0)
    known = (df > 0) & (m > 0) & (n > 0)
    statistic = np.where(known, statistic, 0.0)
    p_value = np.where(known, special.chdtrc(np.maximum(df, 1), statistic), 1.0)
    psi = (m + n) / np.maximum(m * n, 1)
    return Comparison(
        n=n.astype(np.int64).reshape(shape),
        m=m.astype(np.int64).reshape(shape),
        groups=groups.reshape(shape),
        statistic=statistic.reshape(shape),
        df=df.reshape(shape),
        p_value=_combined(reference, a, b, p_value, known, shape),
        effect=(np.maximum(0.0, statistic - df) * psi).reshape(shape),
        lower_bound=(noncentrality_lower(statistic, df, confidence) * psi).reshape(shape),
    )


def _combined(
    reference: Reference, a: Floats, b: Floats, p_g: Floats, known: npt.NDArray[np.bool_], shape: tuple[int, int]
) -> Floats:
    """One p-value a column: of a text that of G; of a number the least of 2·G, 4·location and 4·spread (Bonferroni with
    weights: half of the level stays with the test that sees everything).
    """
    windows, width = shape
    ordered = np.tile(np.isin(np.arange(width), reference.owners[reference.ordinal]), windows) & known
    least = 4 * least_of_ordered(reference, a.reshape(windows, -1), b.reshape(windows, -1)).ravel()
    return np.where(ordered, np.minimum(np.minimum(2 * p_g, least), 1.0), p_g).reshape(shape)


def least_of_ordered(reference: Reference, a: Floats, b: Floats) -> Floats:
    """The smaller p-value of location and spread, 1 for a text; a, b: baseline and window rows, shape (windows, bins);
    shape (windows, columns).
    """
    windows, width, at = len(b), len(reference.columns), reference.ordinal
    of = (reference.owners[at] + width * np.arange(windows)[:, None]).ravel()
    both = location_and_spread(a[:, at].ravel(), b[:, at].ravel(), of, windows * width)
    return np.minimum(*both).reshape(windows, width)


def _columns(reference: Reference, values: Floats) -> Floats:
    return _sums(reference.owners, values, len(reference.columns))


def _sums(index: Index, values: Floats, size: int) -> Floats:
    return np.bincount(index, values, size).astype(np.float64, copy=False)


def _merge(pooled: Floats, share: Floats, of: Index, starts: Index) -> tuple[Index, Index]:
    """The group of every bin (-1: nothing in it) and the column of every group; rare bins share groups. `of`: the column of
    each bin, `starts`: the first bin of each.
    """
    rare, filled = pooled * share[of] < EXPECTED_MIN, pooled > 0
    thin = np.where(rare, pooled, 0.0)
    before = np.cumsum(thin) - thin  # whole numbers, so exact: no column's rounding reaches another
    step = ((before - before[starts[of]]) * share[of] // EXPECTED_MIN).astype(np.int64)
    # A number that orders bins by column, the rare ones of a column by step, and keeps the others apart; the order of groups,
    # in which they are added up, is a matter of their own column alone.
    inside = np.where(rare, step * 2, (np.arange(len(of)) - starts[of]) * 2 + 1)
    key = of * (len(of) + 1) * 2 + inside
    keys, place = np.unique(key[filled], return_inverse=True)
    group = np.full(len(pooled), -1, dtype=np.intp)
    group[filled] = place
    return group, (keys // ((len(of) + 1) * 2)).astype(np.intp)


def _g(a: Floats, b: Floats, m: Floats, n: Floats, owner: Index) -> tuple[Floats, Counts]:
    """Williams-corrected G and the number of groups of each column; a, b: baseline and window rows by group."""
    width, total, pooled, m_of, n_of = len(m), m + n, a + b, m[owner], n[owner]
    rows = total[owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = special.xlogy(a, a * rows / (pooled * m_of)) + special.xlogy(b, b * rows / (pooled * n_of))
        full = pooled * np.minimum(m_of, n_of) / rows >= EXPECTED_MIN
        spread = total * np.bincount(owner, np.where(full, 1 / pooled, 0.0), width) - 1
        groups = np.bincount(owner, minlength=width).astype(np.int64)
        inflation = 1 + (total / m + total / n - 1) * np.maximum(spread, 0) / (6 * total * np.maximum(groups - 1, 1))
        statistic = 2 * np.bincount(owner, np.nan_to_num(terms), width) / inflation
    return np.maximum(statistic, 0.0), groups
