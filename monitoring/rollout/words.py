"""An outcome as a sentence for people."""

from collections.abc import Sequence
from typing import assert_never

from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Changing,
    Done,
    Finding,
    Hold,
    NotApplied,
    NoTraffic,
    Outcome,
    Reason,
    Rollback,
    Suspicion,
    TooFewLabels,
    TooFewRequests,
    Unseen,
)


def sentence(outcome: Outcome, rollout: Rollout) -> str:
    """What follows, and why."""
    match outcome:
        case Advance(step, percent):
            return f"advance to {percent:g} %, step {step + 1} of {len(rollout.steps)}"
        case Hold(reason):
            return f"hold: {_reason(reason)}"
        case Rollback(finding):
            return f"roll back: {_finding(finding)}"
        case Done():
            return "done: all steps are over, the canary may become stable"
        case _:
            assert_never(outcome)


def raised(step: int, rollout: Rollout, seen: Sequence[Finding]) -> str:
    """Why a share is raised to this step's: what follows, and the guard that is nearest to a rollback."""
    said = sentence(Advance(step, rollout.steps[step]), rollout)
    worst = max(seen, key=lambda finding: finding.log10_evidence / finding.log10_needed, default=None)
    return said if worst is None else f"{said}; nearest to a rollback: {_finding(worst)}"


def _reason(reason: Reason) -> str:
    match reason:
        case Baking(have_s, need_s):
            return f"this step has lasted {have_s} s of {need_s} s, counted in minutes with requests of both arms"
        case TooFewRequests(have, need):
            return f"the canary has answered {have} requests in this step, expected {need}"
        case TooFewLabels(have, need):
            return f"{have} of the canary's answers have a label, expected {need}"
        case Unseen(guard):
            return f"guard {guard}: nothing to compare yet in one of the arms"
        case NoTraffic(arm):
            return f"no request of the {arm} arm in this minute"
        case Changing():
            return "the share changed in this minute"
        case NotApplied(percent):
            return f"the log does not show the step's share of {percent:g} % yet"
        case Suspicion(finding):
            return f"suspicion, not yet proof: {_finding(finding)}"
        case _:
            assert_never(reason)


def _finding(finding: Finding) -> str:
    return (
        f"{finding.guard} ({finding.what}): canary {finding.canary:.2%} of {finding.canary_n}, stable {finding.stable:.2%} of "
        f"{finding.stable_n}, margin {finding.margin:.2%}; evidence 10^{finding.log10_evidence:.1f}, "
        f"needed 10^{finding.log10_needed:.1f}"
    )
