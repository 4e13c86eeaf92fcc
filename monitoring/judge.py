"""Is a model version in breach? All its checks against one budget of false alarms.

Laws
- A check breaches only in a window that is due: one whose newest slice was just completed. That is what the budget counts
  (budget.py); windows looked at in between, because a check of theirs is latched, can only clear.
- Raise and clear differ: a check that breached stays latched until its effect is below `clear_ratio` of its tolerance
  or is no longer significant; between the two it stays what it was.
- A latched check without data makes the judgement `NO_DATA`: what cannot be seen has not cleared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitoring.alert import Standing
from monitoring.budget import Part, level
from monitoring.drift import DriftLook, DriftRule, look_for_drift
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.screen import Screened, screen
from monitoring.skew import SkewRule, checks_of, judge_skew, oddities, rows_came
from monitoring.tier import Scale
from monitoring.verdict import DRIFT, WHOLE_ROW, Check, Drifted, Finding, NoBaseline, Stable, TooFewSamples

# χ² is what G tends to, not what it is: its tail was measured up to 2.8 × too heavy (drift.py), so α is divided by
# more. It costs 3 units of G in 50.
SMALL_SAMPLE_MARGIN = 4.0

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One drift window of a version: its counts, summed over arms, reach back `covered_s`; `due`: its newest slice was just
    completed.
    """

    scale: Scale
    covered_s: int
    counts: Counts
    due: bool = True


@dataclass(frozen=True, slots=True)
class Alphas:
    """The level of one check."""

    drift: float
    skew: float


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One exact look at one window; verdicts are made when somebody asks for them: a look has dozens."""

    reference: Reference
    window: Window
    drift: DriftLook
    skew: tuple[Finding, ...]
    enough: bool

    def drift_of(self, j: int) -> Finding:
        """The drift of a column."""
        return Finding(self._check(j, DRIFT), self.drift.verdict(j), j)

    def findings(self) -> list[Finding]:
        """Every column's drift, and the skew that occurred."""
        return [*(self.drift_of(j) for j in range(len(self.reference.columns))), *self.skew]

    def found(self, check: Check) -> Finding | None:
        """What it says about a check of its window; None for skew that did not occur and for a column that is gone."""
        if check.test == DRIFT:
            j = self.reference.places.get((check.side, check.column))
            return None if j is None else self.drift_of(j)
        return next((finding for finding in self.skew if finding.check == check), None)

    def raised(self) -> Iterable[Check]:
        """The checks that breach."""
        yield from (self._check(j, DRIFT) for j in np.flatnonzero(self.drift.drifted).tolist())
        yield from (finding.check for finding in self.skew if isinstance(finding.verdict, Drifted))

    def _check(self, j: int, test: str) -> Check:
        return Check(self.reference.side(j), self.reference.columns[j].name, test, self.window.scale.window_s)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """`breaching`: worst first; `latched`: the checks that breached and have not cleared; `windows`: what was judged."""

    standing: Standing
    breaching: tuple[Finding, ...]
    latched: frozenset[Check]
    windows: tuple[Window, ...]


def alphas(rules: Rules, reference: Reference, versions: int, scale: Scale) -> Alphas:
    """The levels of a window's checks: the parts that drift and skew have in the budget, each among its checks."""

    def of(part: Part, checks: int) -> float:
        windows = len(rules.scales)
        return level(
            rules.budget_alarms_per_30_days, part, windows=windows, scale=scale, checks=checks, versions=versions
        )

    return Alphas(
        drift=of(Part.DRIFT, len(reference.judged)) / SMALL_SAMPLE_MARGIN, skew=of(Part.SKEW, checks_of(reference))
    )


def judge(
    reference: Reference,
    windows: Sequence[Window],
    rules: Rules,
    *,
    model: str,
    versions: int,
    latched: frozenset[Check],
) -> Judgement:
    """The checks of a version in the windows that are due and in those of `latched`, which breached before and have not
    cleared; exactly only where a check could breach or clear.
    """
    latched_s = {check.window_s for check in latched}
    screened = _screened(reference, windows, rules, versions)
    worth = [
        window
        for window, suspect in zip(windows, screened.suspect.tolist(), strict=True)
        if (suspect and window.due) or window.scale.window_s in latched_s
    ]
    looks = {one.window.scale.window_s: one for one in look(reference, worth, rules, model=model, versions=versions)}
    raised = {check for one in looks.values() if one.window.due for check in one.raised()}
    held = {check for check in latched if not _cleared(check, looks.get(check.window_s), rules)}
    found = [looks[check.window_s].found(check) for check in raised | held if check.window_s in looks]
    breaching = tuple(sorted((one for one in found if one is not None and _measured(one)), key=_rank))
    measured = bool(screened.measured.any()) or any(map(_measured, (f for one in looks.values() for f in one.skew)))
    return Judgement(
        standing=_standing(breaching, held, measured),
        breaching=breaching,
        latched=frozenset(raised | held),
        windows=tuple(windows),
    )


def _screened(reference: Reference, windows: Sequence[Window], rules: Rules, versions: int) -> Screened:
    levels = np.array([alphas(rules, reference, versions, window.scale).drift for window in windows])
    return screen(reference, _stacked(reference, windows), levels, rules.n_min, rules.skew_tolerance)


def _stacked(reference: Reference, windows: Sequence[Window]) -> Counts:
    return np.array([window.counts for window in windows], dtype=np.int64).reshape(len(windows), reference.size)


def look(reference: Reference, windows: Sequence[Window], rules: Rules, *, model: str, versions: int) -> list[Look]:
    """One look a window, all windows in one pass."""
    levels = [alphas(rules, reference, versions, window.scale) for window in windows]
    drift_rules = [
        DriftRule(a.drift, rules.n_min, rules.confidence, rules.tolerance_floor, rules.tolerances.get(model))
        for a in levels
    ]
    drift = look_for_drift(
        reference, _stacked(reference, windows), [window.covered_s for window in windows], drift_rules
    )
    looks = []
    for window, found, a in zip(windows, drift, levels, strict=True):
        rule = SkewRule(a.skew, rules.n_min, rules.confidence, rules.skew_tolerance)
        enough = rows_came(reference, window.counts) >= rules.n_min
        looks.append(Look(reference, window, found, _skew(reference, window, rule), enough))
    return looks


def _skew(reference: Reference, window: Window, rule: SkewRule) -> tuple[Finding, ...]:
    odd, window_s = oddities(reference, window.counts), window.scale.window_s
    return tuple(
        Finding(
            Check(WHOLE_ROW, "", oddity.kind, window_s)
            if oddity.column < 0
            else Check(reference.side(oddity.column), reference.columns[oddity.column].name, oddity.kind, window_s),
            verdict,
            oddity.column,
        )
        for oddity, verdict in zip(odd, judge_skew(odd, rule), strict=True)
    )


def _cleared(check: Check, held: Look | None, rules: Rules) -> bool:
    if held is None:
        return False
    found = held.found(check)
    if found is None:  # a column that is gone; skew that did not occur is not listed: with enough rows that is a clear
        return check.test == DRIFT or held.enough
    match found.verdict:
        case Stable() | Drifted() as seen:
            return not seen.significant or seen.effect < rules.clear_ratio * seen.tolerance
        case TooFewSamples() | NoBaseline():
            return False


def _standing(breaching: Sequence[Finding], held: set[Check], measured: bool) -> Standing:
    if breaching:
        return Standing.BREACH
    if held or not measured:
        return Standing.NO_DATA
    return Standing.CLEAR


def _measured(finding: Finding) -> bool:
    return isinstance(finding.verdict, Stable | Drifted)


def telling(looks: Sequence[Look]) -> list[Finding]:
    """Of each check the window that says most: what drifted before what did not, then by how many tolerances, then by rows."""
    if not looks:
        return []
    drift = [look.drift for look in looks]
    worth = np.array(
        [
            1e9 * (one.measured.astype(np.float64) + one.drifted)
            + 1e2 * np.minimum(np.where(one.measured, one.found.lower_bound / one.tolerance, 0), 1e6)
            + one.found.n / (one.found.n + 1e6)
            for one in drift
        ]
    )
    skew: dict[tuple[str, str, str], Finding] = {}
    for finding in (finding for look in looks for finding in look.skew):
        about = finding.check
        held = skew.setdefault((about.side, about.column, about.test), finding)
        if _worth(finding) > _worth(held):
            skew[about.side, about.column, about.test] = finding
    return [*(looks[w].drift_of(j) for j, w in enumerate(worth.argmax(axis=0).tolist())), *skew.values()]


def _worth(finding: Finding) -> tuple[int, float, int]:
    match finding.verdict:
        case Stable() | Drifted() as seen:
            return 1 + isinstance(seen, Drifted), _times(finding), seen.n
        case TooFewSamples(have, _):
            return 0, 0.0, have
        case NoBaseline(n):
            return 0, 0.0, n


def _times(finding: Finding) -> float:
    """How many tolerances the lower bound is worth."""
    seen = finding.verdict
    return seen.lower_bound / seen.tolerance if isinstance(seen, Stable | Drifted) and seen.tolerance > 0 else 0.0


def _rank(finding: Finding) -> tuple[float, int, str, str, int]:
    """Worst first; features before outputs before whole rows at equal standing."""
    about = finding.check
    order = ("feature", "output", WHOLE_ROW).index(about.side)
    return (-_times(finding), order, about.column, about.test, about.window_s)
