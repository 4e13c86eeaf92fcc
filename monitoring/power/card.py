"""What is the smallest change of a column that is seen within ten minutes, an hour, a day, at the present traffic?

Laws
- A change counts as seen when one look at one window raises it with a chance of POWER, the window being full of changed
  rows; that several windows look several times only makes it sooner, so the card errs towards the larger change.
- A window is asked of a time when it and the slice that completes it end before the time does, and it then holds `n_min` rows.
- A look raises a check as the judge does: significant at the level of that window (judge.alphas), its lower bound above the
  tolerance of that window, and above what nature varied by at that level.

The chance of one look. With expected counts of M training and n window rows, G is about noncentral χ² with the merged
bins less one degrees of freedom and λ = the G of the expected counts. Relevant is G > g, the G whose lower bound is the
tolerance: P(χ'²_df(tolerance · Mn/(M+n)) ≤ g) = confidence. Significant is G beyond its level, or the score of location
or spread beyond its own, which is normal around that of the expected counts. A number has half of the level on G and a
quarter on each score (drift.py). The scores and G are not independent, so of "relevant by G and significant by a score"
the smaller chance is taken.

Predicted against simulated: one look at one window, level 1e-8, tolerance 0.01, 10 000 training rows; 2 000 seeded looks
a line, with 40 training samples (`tests/unit/monitoring/power/test_card.py` repeats some of it).

| change | rows | amount | predicted | simulated |
|---|---|---|---|---|
| gaussian in deciles, σ | 120 | 0.6 | 0.56 | 0.56 |
| | 120 | 0.75 | 0.94 | 0.96 |
| | 500 | 0.28 | 0.47 | 0.46 |
| | 500 | 0.36 | 0.94 | 0.95 |
| | 2 000 | 0.17 | 0.32 | 0.32 |
| | 2 000 | 0.2 | 0.76 | 0.76 |
| | 14 400 | 0.12 | 0.06 | 0.05 |
| | 14 400 | 0.135 | 0.32 | 0.33 |
| six categories, share of the commonest (0.5) | 500 | 0.15 | 0.55 | 0.54 |
| | 500 | 0.18 | 0.92 | 0.93 |
| | 2 000 | 0.09 | 0.54 | 0.56 |
| | 14 400 | 0.065 | 0.22 | 0.19 |
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from monitoring.drift import DriftRule, compare, tolerance
from monitoring.judge import Window, alphas
from monitoring.ordered import location_and_spread
from monitoring.power.shifts import Change, Limits, changed, changes, training
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.tier import Scale

POWER = 0.8
ROWS_PER_MINUTE_MAX = 1e9  # counts of the longest window are then far inside 64 bits
HORIZONS_S = (600, 3600, 86_400)
_STEPS = 14  # halvings of the range: 5 σ / 2¹⁴ is far below what anybody would act on

_NO_COUNTS = np.zeros(0, dtype=np.int64)

Floats = npt.NDArray[np.float64]


class Within(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is seen within `seconds`; `amount` is None where nothing is: `why`."""

    seconds: int
    amount: float | None = None
    psi: float | None = None
    window_s: int | None = None
    why: str = ""


class Sensitivity(msgspec.Struct, frozen=True):
    """One kind of change of one column; `unit` says what the amounts are, `sigma` how much one σ is in the column's unit."""

    side: str
    column: str
    unit: Change
    sigma: float | None
    within: tuple[Within, ...]


class PowerCard(msgspec.Struct, frozen=True):
    """A version at its present traffic."""

    model: str
    version: str
    rows_per_minute: float
    columns: tuple[Sensitivity, ...]


def card(
    reference: Reference, rules: Rules, *, model: str, version: str, versions: int, rows_per_minute: float
) -> PowerCard:
    """The power card of a version among `versions` of its model."""
    found = []
    for j in reference.judged:
        about = reference.columns[j]
        for limits in changes(about):
            asked = _Column(reference, rules, j, limits, model, versions, rows_per_minute)
            within = tuple(asked.within(horizon_s) for horizon_s in HORIZONS_S)
            found.append(Sensitivity(reference.side(j), about.name, limits.change, about.std, within))
    return PowerCard(model, version, rows_per_minute, tuple(found))


class _Column:
    """One kind of change of one column."""

    def __init__(
        self,
        reference: Reference,
        rules: Rules,
        j: int,
        limits: Limits,
        model: str,
        versions: int,
        rows_per_minute: float,
    ) -> None:
        self._about, self._limits, self._rules, self._rate = reference.columns[j], limits, rules, rows_per_minute
        self._alone = (
            Reference.laid_out([self._about]) if j < reference.features else Reference.laid_out([], [self._about])
        )
        self._levels = {
            s.window_s: alphas(rules, reference, versions, Window(s, s.minutes * 60, _NO_COUNTS)).drift
            for s in rules.scales.values()
        }
        self._tolerances = {
            s.window_s: float(tolerance(reference, s.minutes * 60, _rule(rules, 0.0, rules.tolerances.get(model)))[j])
            for s in rules.scales.values()
        }
        learnt = model not in rules.tolerances
        self._naturals = {
            s.window_s: float(reference.natural(s.minutes * 60)[j]) if learnt else 0.0 for s in rules.scales.values()
        }

    def within(self, horizon_s: int) -> Within:
        """The smallest change that is seen by then."""
        scales = [
            s
            for s in self._rules.scales.values()
            if (s.minutes + s.slice_minutes) * 60 + self._rules.hold_s <= horizon_s
        ]
        if not scales:
            return Within(horizon_s, why="no window ends in that time")
        enough = [scale for scale in scales if self._rows(scale) >= self._rules.n_min]
        if not enough:
            return Within(horizon_s, why=f"too few rows: {self._rate * horizon_s / 60:,.0f} in that time")
        most = self._limits.most
        if self._chances(most, enough).max() < POWER:
            return Within(horizon_s, why="not even the largest: the tolerance and the level ask for more rows")
        low, high = 0.0, most
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._chances(middle, enough).max() >= POWER else (middle, high)
        best = enough[int(self._chances(high, enough).argmax())]
        return Within(horizon_s, _round(high), _round(self._psi(high)), best.window_s)

    def _rows(self, scale: Scale) -> float:
        return self._rate * scale.minutes

    def _chances(self, amount: float, scales: Sequence[Scale]) -> Floats:
        return chances(
            self._alone,
            changed(self._about, self._limits.change, amount),
            np.array([self._rows(scale) for scale in scales]),
            alphas=np.array([self._levels[scale.window_s] for scale in scales]),
            tolerances=np.array([self._tolerances[scale.window_s] for scale in scales]),
            naturals=np.array([self._naturals[scale.window_s] for scale in scales]),
            confidence=self._rules.confidence,
        )

    def _psi(self, amount: float) -> float:
        """As it is usually told: Σ (q − p) ln(q/p), an empty bin counted as half a training row."""
        least = 0.5 / self._about.n
        p, q = training(self._about), changed(self._about, self._limits.change, amount)
        used = (p > 0) | (q > 0)
        p, q = np.maximum(p[used], least), np.maximum(q[used], least)
        return float(((q - p) * np.log(q / p)).sum())


def chances(
    alone: Reference,
    shares: Floats,
    rows: Floats,
    *,
    alphas: Floats,
    tolerances: Floats,
    naturals: Floats,
    confidence: float,
) -> Floats:
    """The chance that one look raises the only column of `alone`, for windows of so many rows of these shares; shape
    (windows,)."""
    expected = np.rint(rows[:, None] * shares).astype(np.int64)
    counts = np.zeros((len(rows), alone.size), dtype=np.int64)
    counts[:, : len(shares)] = expected
    found = compare(alone, counts, confidence)
    m, n, df, g = (part[:, 0].astype(np.float64) for part in (found.m, found.n, found.df, found.statistic))
    known, df = (df > 0) & (n > 0), np.maximum(df, 1)
    ordered = np.isin(0, alone.owners[alone.ordinal]) and len(alone.ordinal) > 1
    to_lambda = m * n / np.maximum(m + n, 1)
    relevant = special.chndtrix(confidence, df, np.maximum(tolerances * to_lambda, 1e-9))
    unnatural = special.chndtrix(1 - alphas, df, np.maximum(naturals * to_lambda, 1e-9))
    relevant = np.maximum(relevant, np.where(naturals > 0, unnatural, 0.0))
    beyond = special.chdtri(df, alphas / 2 if ordered else alphas)
    by_g = _exceeds(np.maximum(relevant, beyond), df, g)
    if not ordered:
        return np.where(known, by_g, 0.0)
    z = _scores(alone, counts)
    by_score = special.ndtr(z + special.ndtri(alphas / 8)).max(axis=0)  # two-sided, a quarter of the level
    return np.where(known, np.maximum(by_g, np.minimum(by_score, _exceeds(relevant, df, g))), 0.0)


def _exceeds(limit: Floats, df: Floats, nc: Floats) -> Floats:
    """P(χ'²_df(nc) > limit); by the normal form where scipy's series would take long."""
    exact = 1 - special.chndtr(limit, df, np.minimum(nc, 5_000.0))
    large = special.ndtr((df + nc - limit) / np.sqrt(2 * (df + 2 * nc)))
    return np.asarray(np.where(nc > 5_000.0, large, exact))


def _scores(alone: Reference, counts: npt.NDArray[np.int64]) -> Floats:
    """|z| of location and of spread; shape (2, windows)."""
    windows, bins, at = len(counts), len(alone.ordinal), alone.ordinal
    a = np.tile(alone.baseline[at].astype(np.float64), windows)
    p = location_and_spread(a, counts[:, at].astype(np.float64).ravel(), np.repeat(np.arange(windows), bins), windows)
    return np.array([-special.ndtri(np.maximum(one, 1e-300) / 2) for one in p])


def _rule(rules: Rules, alpha: float, tolerance_set: float | None) -> DriftRule:
    return DriftRule(alpha, rules.n_min, rules.confidence, rules.tolerance_floor, tolerance_set)


def _round(value: float) -> float:
    return float(f"{value:.2g}")


def cards(
    references: Mapping[str, Reference], rates: Sequence[tuple[str, str, str, float]], rules: Rules
) -> tuple[PowerCard, ...]:
    """The cards of all versions; rates: model, version, digest and rows a minute of each."""
    return tuple(
        card(
            references[digest],
            rules,
            model=model,
            version=version,
            versions=sum(1 for other in rates if other[0] == model),
            rows_per_minute=rows_per_minute,
        )
        for model, version, digest, rows_per_minute in rates
        if digest in references
    )
