"""What can follow from the evidence; silence is no success, so it has a type of its own."""

import msgspec


class _Word(msgspec.Struct, frozen=True, tag_field="is", tag=str.lower):
    """One outcome or reason; `is` names it in JSON."""


class Finding(msgspec.Struct, frozen=True):
    """A guard and what it has seen since the rollout began.

    `what`: the share that was compared, `margin`: what it may lie above stable's; `log10_evidence`: of the guard's wealth:
    3 means that a canary within the margin comes so far once in 1 000 rollouts at most; `log10_needed`: where it is rolled
    back.
    """

    guard: str
    what: str
    canary: float
    stable: float
    margin: float
    canary_n: int
    stable_n: int
    log10_evidence: float
    log10_needed: float


class Baking(_Word, frozen=True):
    """The step has not lasted long enough; only minutes with requests of both arms count."""

    have_s: int
    need_s: int


class TooFewRequests(_Word, frozen=True):
    """The canary has answered too few requests in this step, or a guard has held too few of them against stable's."""

    have: int
    need: int


class TooFewLabels(_Word, frozen=True):
    """Too few of the canary's answers have a label."""

    have: int
    need: int


class Unseen(_Word, frozen=True):
    """A guard had nothing to compare, such as predictions of a version whose outputs are not stable's."""

    guard: str


class NoTraffic(_Word, frozen=True):
    """An arm had no request in this minute."""

    arm: str


class Changing(_Word, frozen=True):
    """The share changed in this minute, so its requests are not comparable."""


class NotApplied(_Word, frozen=True):
    """The log shows another share than the step's: the minute is evidence, and counts for no step."""

    percent: float


class Suspicion(_Word, frozen=True):
    """A guard is more than half way to a rollback."""

    finding: Finding


Reason = Baking | TooFewRequests | TooFewLabels | Unseen | NoTraffic | Changing | NotApplied | Suspicion


class Advance(_Word, frozen=True):
    """The canary may have this share now; `step` counts from 0."""

    step: int
    percent: float


class Hold(_Word, frozen=True):
    """The share stays as it is."""

    reason: Reason


class Rollback(_Word, frozen=True):
    """The canary is worse than stable by more than its tolerance."""

    finding: Finding


class Done(_Word, frozen=True):
    """All steps are over: the canary may become stable."""


Outcome = Advance | Hold | Rollback | Done
