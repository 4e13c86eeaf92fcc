"""Is a model version in breach? All its checks against one budget of false alarms.

Laws
- `P9`: over all columns, kinds, windows and evaluations of 30 days, and all versions of a model, the chance of a false
  alarm adds up to at most `budget_alarms_per_30_days` (see `alphas`).
- Raise and clear differ: a check that breached stays latched until its effect is below `clear_ratio` of its tolerance
  or is no longer significant; between the two it stays what it was.
- A latched check without data makes the judgement `NO_DATA`: what cannot be seen has not cleared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from monitoring.alert import Standing
from monitoring.drift import DriftRule, judge_drift, tolerance
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.skew import SkewRule, checks_of, judge_skew, oddities, rows_came
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, Verdict

EVALUATIONS_PER_30_DAYS = 30 * 24 * 60  # one a closed minute
WHOLE_ROW = "request"
# χ² is what G tends to, not what it is: its tail was measured up to 2.8 × too heavy (drift.py), so α is divided by
# more. It costs 3 units of G in 50.
SMALL_SAMPLE_MARGIN = 4.0

Counts = npt.NDArray[np.int64]


class Check(msgspec.Struct, frozen=True, gc=False):
    """What was checked: `side` feature, output or request; `test` drift or a kind of skew."""

    side: str
    column: str
    test: str
    window_s: int

    @property
    def id(self) -> str:
        return f"{self.side}|{self.column}|{self.test}|{self.window_s}"


class Finding(msgspec.Struct, frozen=True, gc=False):
    """A check and what it came to; `place` is the column's number in the reference, −1 for the whole row."""

    check: Check
    verdict: Verdict
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One drift window of a version: its counts, summed over arms, reach back `covered_s`."""

    window_s: int
    covered_s: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Alphas:
    """The level of one check."""

    drift: float
    skew: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """`breaching`: worst first; `latched`: their ids; `findings`: everything that was looked at."""

    standing: Standing
    breaching: tuple[Finding, ...]
    latched: frozenset[str]
    findings: tuple[Finding, ...]


def alphas(rules: Rules, reference: Reference, versions: int) -> Alphas:
    """The budget, shared: half to drift, half to skew; each half among versions, windows, its checks and the
    evaluations of 30 days.

    That is the union bound: P(any false alarm in 30 days) ≤ Σ P(each test) = budget. It holds whatever the dependence
    between tests and is far on the safe side, because a window changes little from one minute to the next.
    """
    tests = 2 * versions * max(1, len(rules.drift_windows_s)) * EVALUATIONS_PER_30_DAYS
    share = rules.budget_alarms_per_30_days / tests
    columns = max(1, len(reference.judged))
    return Alphas(drift=share / columns / SMALL_SAMPLE_MARGIN, skew=share / checks_of(reference))


def judge(
    reference: Reference, windows: Sequence[Window], rules: Rules, *, model: str, versions: int, latched: frozenset[str]
) -> Judgement:
    """All checks of a version in all its windows; `latched` are the ids that breached before and have not cleared."""
    level = alphas(rules, reference, versions)
    findings = [f for window in windows for f in _look(reference, window, rules, model, level)]
    # Skew that did not occur at all is not listed: with enough rows in the window that is a clear.
    enough = {w.window_s for w in windows if rows_came(reference, w.counts) >= rules.n_min}
    listed = {finding.check.id: finding for finding in findings}
    held = {i for i in latched if not _cleared(i, listed, enough, rules)}
    raised = {finding.check.id for finding in findings if isinstance(finding.verdict, Drifted)}
    breaching = sorted((listed[i] for i in raised | held if i in listed and _measured(listed[i])), key=_rank)
    return Judgement(
        standing=_standing(raised, held, listed, findings),
        breaching=tuple(breaching),
        latched=frozenset(raised | held),
        findings=tuple(findings),
    )


def _look(reference: Reference, window: Window, rules: Rules, model: str, level: Alphas) -> list[Finding]:
    drift_rule = DriftRule(
        level.drift, rules.n_min, rules.confidence, rules.tolerance_floor, rules.tolerances.get(model)
    )
    skew_rule = SkewRule(level.skew, rules.n_min, rules.confidence, rules.skew_tolerance, rules.collapse_ratio)
    found = [
        Finding(Check(reference.side(j), reference.columns[j].name, "drift", window.window_s), verdict, j)
        for j, verdict in enumerate(judge_drift(reference, window.counts, window.covered_s, drift_rule))
    ]
    odd = oddities(reference, window.counts)
    natural = [_natural(reference, oddity.column, window.covered_s, drift_rule) for oddity in odd]
    for oddity, verdict in zip(odd, judge_skew(odd, natural, skew_rule), strict=True):
        side = WHOLE_ROW if oddity.column < 0 else reference.side(oddity.column)
        name = "" if oddity.column < 0 else reference.columns[oddity.column].name
        found.append(Finding(Check(side, name, oddity.kind, window.window_s), verdict, oddity.column))
    return found


def _natural(reference: Reference, column: int, covered_s: float, rule: DriftRule) -> float:
    """How far apart blocks of training data lay in this column, or may lie by the settings; 0 where nobody knows."""
    return 0.0 if column < 0 else tolerance(reference, column, covered_s, replace(rule, tolerance_floor=0.0))


def _cleared(check_id: str, listed: Mapping[str, Finding], enough: set[int], rules: Rules) -> bool:
    if check_id not in listed:
        _, _, test, window_s = check_id.rsplit("|", 3)
        return test != "drift" and int(window_s) in enough
    match listed[check_id].verdict:
        case Stable() | Drifted() as seen:
            return not seen.significant or seen.effect < rules.clear_ratio * seen.tolerance
        case TooFewSamples() | NoBaseline():
            return False


def _standing(raised: set[str], held: set[str], listed: Mapping[str, Finding], findings: Sequence[Finding]) -> Standing:
    if raised or any(i in listed and _measured(listed[i]) for i in held):
        return Standing.BREACH
    if held or not any(_measured(finding) for finding in findings):
        return Standing.NO_DATA
    return Standing.CLEAR


def _measured(finding: Finding) -> bool:
    return isinstance(finding.verdict, Stable | Drifted)


def _rank(finding: Finding) -> tuple[float, int, str, str, int]:
    """Worst first: how many tolerances the lower bound is worth; features before outputs before whole rows at equal
    standing.
    """
    seen = finding.verdict
    times = seen.lower_bound / seen.tolerance if isinstance(seen, Stable | Drifted) and seen.tolerance > 0 else 0.0
    order = ("feature", "output", WHOLE_ROW).index(finding.check.side)
    return (-times, order, finding.check.column, finding.check.test, finding.check.window_s)
