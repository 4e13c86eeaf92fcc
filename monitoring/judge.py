"""Is a model version in breach? All its checks against one budget of false alarms.

Laws
- A check breaches only in a window that is due: one whose newest slice was just completed. That is what the budget counts
  (budget.py); windows looked at in between, because a check of theirs is latched, can only clear.
- Raise and clear differ: a check that breached stays latched until its effect is below `clear_ratio` of its tolerance
  or is no longer significant; between the two it stays what it was.
- A latched check without data makes the judgement `NO_DATA`: what cannot be seen has not cleared.
- A look is a function of its window alone, not of what else is looked at: where the counts are what they were, the look of
  before is taken, bit for bit what a new one would be.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from monitoring.alert import Standing
from monitoring.budget import Part, level
from monitoring.drift import DriftLook, DriftRule, look_for_drift
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.screen import Screened, screen
from monitoring.skew import Oddity, SkewRule, checks_of, judge_skew, oddities, rows_came
from monitoring.tier import Scale
from monitoring.verdict import (
    DRIFT,
    LABEL,
    WHOLE_ROW,
    Check,
    Drifted,
    Finding,
    NoBaseline,
    Stable,
    TooFewSamples,
    Verdict,
)

# χ² is what G tends to, not what it is: its tail was measured up to 2.8 × too heavy (drift.py), so α is divided by
# more. It costs 3 units of G in 50.
SMALL_SAMPLE_MARGIN = 4.0

Counts = npt.NDArray[np.int64]
Place: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One drift window of a version, or of a segment of it: its counts, summed over arms, reach back `covered_s`; `due`: its
    newest slice was just completed.
    """

    scale: Scale
    covered_s: int
    counts: Counts
    due: bool = True
    segment: str = ""

    def of(self, check: Check) -> bool:
        """Is it the window of this check?"""
        return (check.window_s, check.segment) == (self.scale.window_s, self.segment)


@dataclass(frozen=True, slots=True)
class Alphas:
    """The level of one check."""

    drift: float
    skew: float


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One exact look at one window; verdicts are made when somebody asks for them: a look has dozens. `rules`, `versions`: the
    levels come of them.
    """

    reference: Reference
    window: Window
    drift: DriftLook
    skew: tuple[Finding, ...]
    enough: bool
    rules: Rules
    versions: int

    def again(self, reference: Reference, window: Window, rules: Rules, versions: int) -> "Look | None":
        """The look at this window, where it is another at the same: at the same counts, held against the same."""
        now, then = window, self.window
        if (self.reference, self.rules) != (reference, rules) or self.versions != versions:
            return None
        if (then.scale, then.segment, then.covered_s) != (now.scale, now.segment, now.covered_s):
            return None
        return replace(self, window=now) if np.array_equal(then.counts, now.counts) else None

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
        about, window = self.reference.columns[j].name, self.window
        return Check(self.reference.side(j), about, test, window.scale.window_s, window.segment)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """`breaching`: worst first; `latched`: the checks that breached and have not cleared; `windows`: what was judged, and
    `segments`, the same of segments; `beside`: what was found out of windows; `evidence`: the look that
    the worst one is of, None where that is beside; `looks`: those that were made, by segment and length of their windows.
    """

    standing: Standing
    breaching: tuple[Finding, ...]
    latched: frozenset[Check]
    windows: tuple[Window, ...]
    segments: tuple[Window, ...] = ()
    evidence: Look | None = None
    beside: tuple[Finding, ...] = ()
    looks: Mapping[Place, Look] = field(default_factory=dict)


def alphas(rules: Rules, reference: Reference, versions: int, window: Window) -> Alphas:
    """The levels of a window's checks: the parts that drift and skew have in the budget, each among its checks; those of
    segments have a part together, half for drift and half for skew, shared among as many segments as are declared.
    """
    budget, share = rules.budget_alarms_per_30_days, 1
    windows, drift, skew = len(rules.scales), Part.DRIFT, Part.SKEW
    if window.segment:
        budget, share = budget / 2, len(reference.segments.segments)
        windows, drift, skew = len(rules.segment_scales), Part.SEGMENTS, Part.SEGMENTS

    def of(part: Part, checks: int) -> float:
        return level(
            budget, part, windows=windows, scale=window.scale, checks=checks * max(1, share), versions=versions
        )

    return Alphas(drift=of(drift, len(reference.judged)) / SMALL_SAMPLE_MARGIN, skew=of(skew, checks_of(reference)))


def judge(
    reference: Reference,
    windows: Sequence[Window],
    rules: Rules,
    *,
    model: str,
    versions: int,
    latched: frozenset[Check],
    segments: Sequence[tuple[Reference, Sequence[Window]]] = (),
    beside: Sequence[Finding] = (),
    before: Mapping[Place, Look] | None = None,
) -> Judgement:
    """The checks of a version in the windows that are due and in those of `latched`, which breached before and have not
    cleared, exactly only where a check could breach or clear; `segments`: its segments with the references of their own;
    `beside`: what was found out of windows, each time it is judged; `before`: the looks of the judgement before.
    """
    known = {finding.check: finding for finding in beside}
    examiner = _Examiner(rules, model, versions, latched, before or {})
    examined = [examiner.of(reference, windows), *(examiner.of(own, some) for own, some in segments)]
    looks = {_place(one.window): one for _, some in examined for one in some}
    raised = {check for one in looks.values() if one.window.due for check in one.raised()}
    raised |= {finding.check for finding in beside if isinstance(finding.verdict, Drifted)}
    held = {
        check
        for check in latched
        if not (
            _over(known[check], rules)
            if check in known
            else _cleared(check, looks.get((check.segment, check.window_s)), rules)
        )
    }
    places = {check: looks.get((check.segment, check.window_s)) for check in (raised | held) - known.keys()}
    found = [one.found(check) for check, one in places.items() if one is not None]
    found += [known[check] for check in (raised | held) & known.keys()]
    breaching = tuple(sorted((one for one in found if one is not None and _measured(one)), key=_rank))
    measured = any(could for could, _ in examined) or any(map(_measured, beside))
    return Judgement(
        standing=_standing(breaching, held, measured),
        breaching=breaching,
        latched=frozenset(raised | held),
        windows=tuple(windows),
        segments=tuple(window for _, some in segments for window in some),
        evidence=places.get(breaching[0].check) if breaching else None,
        beside=tuple(beside),
        looks=looks,
    )


@dataclass(frozen=True, slots=True)
class _Examiner:
    """What all windows of a judgement have in common."""

    rules: Rules
    model: str
    versions: int
    latched: frozenset[Check]
    before: Mapping[Place, Look]

    def of(self, reference: Reference, windows: Sequence[Window]) -> tuple[bool, list[Look]]:
        """Could anything be said of these windows, and the looks at those in which a check could breach or clear?"""
        screened = _screened(reference, windows, self.rules, self.versions)
        wanted = {(check.segment, check.window_s) for check in self.latched}
        looks = self._looks(
            reference,
            [
                window
                for window, suspect in zip(windows, screened.suspect.tolist(), strict=True)
                if (suspect and window.due) or _place(window) in wanted
            ],
        )
        return bool(screened.measured.any()) or any(_measured(finding) for one in looks for finding in one.skew), looks

    def _looks(self, reference: Reference, windows: Sequence[Window]) -> list[Look]:
        known = {_place(w): self._known(reference, w) for w in windows if not w.due}
        others = [window for window in windows if known.get(_place(window)) is None]
        made = iter(look(reference, others, self.rules, model=self.model, versions=self.versions))
        return [known.get(_place(window)) or next(made) for window in windows]

    def _known(self, reference: Reference, window: Window) -> Look | None:
        """Hot: while an incident lasts its windows change once a slice, and are asked for each minute."""
        one = self.before.get(_place(window))
        return None if one is None else one.again(reference, window, self.rules, self.versions)


def _place(window: Window) -> Place:
    return window.segment, window.scale.window_s


def _screened(reference: Reference, windows: Sequence[Window], rules: Rules, versions: int) -> Screened:
    levels = np.array([alphas(rules, reference, versions, window).drift for window in windows])
    return screen(reference, _stacked(reference, windows), levels, _skew_rule(rules))


def _stacked(reference: Reference, windows: Sequence[Window]) -> Counts:
    return np.array([window.counts for window in windows], dtype=np.int64).reshape(len(windows), reference.size)


def _skew_rule(rules: Rules) -> SkewRule:
    return SkewRule(rules.n_min, rules.confidence, rules.skew_tolerance, rules.collapse_ratio)


def look(reference: Reference, windows: Sequence[Window], rules: Rules, *, model: str, versions: int) -> list[Look]:
    """One look a window, all windows in one pass."""
    levels = [alphas(rules, reference, versions, window) for window in windows]
    drift_rules = [
        DriftRule(a.drift, rules.n_min, rules.confidence, rules.tolerance_floor, rules.tolerances.get(model))
        for a in levels
    ]
    drift = look_for_drift(
        reference, _stacked(reference, windows), [window.covered_s for window in windows], drift_rules
    )
    skew = _skew(reference, windows, [a.skew for a in levels], rules)
    return [
        Look(reference, window, found, odd, int(rows_came(reference, window.counts)) >= rules.n_min, rules, versions)
        for window, found, odd in zip(windows, drift, skew, strict=True)
    ]


def _skew(
    reference: Reference, windows: Sequence[Window], alphas: Sequence[float], rules: Rules
) -> list[tuple[Finding, ...]]:
    """What occurred in each window."""
    odd = [oddities(reference, window.counts) for window in windows]
    natural = [apart for window, some in zip(windows, odd, strict=True) for apart in _natural(reference, window, some)]
    levels = [alpha for alpha, some in zip(alphas, odd, strict=True) for _ in some]
    verdicts = iter(judge_skew([oddity for some in odd for oddity in some], natural, levels, _skew_rule(rules)))
    return [
        tuple(_found(reference, oddity, window, next(verdicts)) for oddity in some)
        for window, some in zip(windows, odd, strict=True)
    ]


def _natural(reference: Reference, window: Window, odd: Sequence[Oddity]) -> Iterable[float]:
    """How far apart blocks of training data lay in their columns; 0 where nobody knows."""
    apart = reference.natural(window.covered_s)
    for oddity in odd:
        yield 0.0 if oddity.column < 0 else float(apart[oddity.column])


def _found(reference: Reference, oddity: Oddity, window: Window, verdict: Verdict) -> Finding:
    j = oddity.column
    side, column = (WHOLE_ROW, "") if j < 0 else (reference.side(j), reference.columns[j].name)
    return Finding(Check(side, column, oddity.kind, window.scale.window_s, window.segment), verdict, j)


def _cleared(check: Check, held: Look | None, rules: Rules) -> bool:
    if held is None:
        return False
    found = held.found(check)
    if found is None:  # a column that is gone; skew that did not occur is not listed: with enough rows that is a clear
        return check.test == DRIFT or held.enough
    return _over(found, rules)


def _over(found: Finding, rules: Rules) -> bool:
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


def _rank(finding: Finding) -> tuple[float, int, str, str, int, str]:
    """Worst first; features before outputs before whole rows before labels at equal standing, and all rows before a segment."""
    about = finding.check
    order = ("feature", "output", WHOLE_ROW, LABEL).index(about.side)
    return (-_times(finding), order, about.column, about.test, about.window_s, about.segment)
