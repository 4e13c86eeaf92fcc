"""What is done about a rollout's outcome, as the routes stand? Outcome and routes in, one action out.

Laws
- It brings no canary in and touches no other version's: who starts a rollout gives it its first share.
- A share rises by one step, from the step before it and no other, and not while anything is suspected: an Advance that could
  not be applied is applied later only where the outcome still is that the log does not show the step's share.
- Where a person changed the model's routes after us, or set a share that is no step, nothing is done until that person hands
  the routes over again (`resume`). Shadows do not count: they answer nobody.
- A pause stops what raises a share. It stops no rollback.
- The action follows from outcome, routes, their audit log and what people said, all of which are on disk elsewhere: who dies
  between reading and acting does the same again, or finds it done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Literal, assert_never

import msgspec

from monitoring.rollout.document import Rollout
from monitoring.rollout.evidence import BP_A_PERCENT
from monitoring.rollout.outcome import Advance, Done, Hold, NotApplied, Outcome, Rollback, Suspicion

BY = "plumbline-rollout"
"""Who we are in the audit log of the routes."""


class Share(msgspec.Struct, frozen=True):
    """A canary as the routes have it."""

    version: str
    percent: float


class Entry(msgspec.Struct, frozen=True):
    """The routes of one model, as far as they decide who answers; what else they say is of no concern here."""

    stable: str
    canary: Share | None = None
    key: str | None = None
    salt: str = ""


class Change(msgspec.Struct, frozen=True):
    """One change of the model's routes, as the audit log tells it."""

    generation: int
    at: datetime
    via: str
    by: str
    before: Entry | None = None
    after: Entry | None = None
    why: str = ""


class Routes(msgspec.Struct, frozen=True):
    """What the service says: the generation to change from, the model's routes, and who changed them, newest last."""

    generation: int
    entry: Entry | None
    changes: tuple[Change, ...] = ()


class Moved(msgspec.Struct, frozen=True):
    """The share of a version in one arm, in per cent of the model's requests."""

    model: str
    arm: str
    version: str
    before: float
    after: float


class Plan(msgspec.Struct, frozen=True):
    """What a change does, or did where it is `made`; `generation`: of the routes after it, `behind`: worker → versions that it
    has not loaded.
    """

    generation: int
    made: bool = False
    shares: tuple[Moved, ...] = ()
    behind: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class People:
    """What people said last: `resumed` is the generation that was handed over, −1: none."""

    paused: bool = False
    resumed: int = -1


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person said of a rollout; `generation`: of the routes that were handed over."""

    at: str
    do: Literal["start", "pause", "resume"]
    by: str = ""
    why: str = ""
    generation: int = -1


def people_of(words: Iterable[Word]) -> People:
    """What holds after all that was said, oldest first; a start and a resume end a pause."""
    paused, resumed = False, -1
    for word in words:
        paused = word.do == "pause"
        resumed = max(resumed, word.generation)
    return People(paused, resumed)


class Follows(Enum):
    """What the outcome asks for."""

    WAIT = "leave the share"
    RAISE = "the step's share"
    BACK = "take the canary out"
    DONE = "all steps are over"


class Stands(Enum):
    """How the routes stand to the step."""

    HERE = "the step's share"
    BEHIND = "the share of the step before"
    GIVEN = "another share, which a person handed over"
    HANDS = "in a person's hands"
    ABSENT = "this version is no canary"
    STABLE = "it is stable"


class Do(Enum):
    """What is done; the first four change the routes."""

    RAISE = "raise"
    ABORT = "abort"
    PROMOTE = "promote"
    STEP = "step"  # to the step's share from whatever a person left
    NOTHING = "nothing"
    BY_HAND = "changed_by_hand"
    ABSENT = "no_canary"
    OVER = "over"
    TOO_LATE = "stable_already"


class Reason(StrEnum):
    """How a rollout stands after a look: why nothing was done, or that something was; also a label of metrics."""

    NOTHING = "nothing_to_do"
    BY_HAND = "changed_by_hand"
    ABSENT = "no_canary"
    OVER = "over"
    TOO_LATE = "stable_already"
    FINISHED = "to_be_promoted"
    PAUSED = "paused"
    SAYS_ONLY = "says_only"  # the setting `rollout_apply` is off: the routes are not even looked at
    CHANGED = "changed"  # they were, just now


TABLE: dict[tuple[Follows, Stands], Do] = {
    (Follows.WAIT, Stands.HERE): Do.NOTHING,
    (Follows.WAIT, Stands.BEHIND): Do.NOTHING,  # what was permitted before this minute is not now
    (Follows.WAIT, Stands.GIVEN): Do.STEP,
    (Follows.WAIT, Stands.HANDS): Do.BY_HAND,
    (Follows.WAIT, Stands.ABSENT): Do.ABSENT,
    (Follows.WAIT, Stands.STABLE): Do.OVER,
    (Follows.RAISE, Stands.HERE): Do.NOTHING,  # applied; the log does not show it yet
    (Follows.RAISE, Stands.BEHIND): Do.RAISE,
    (Follows.RAISE, Stands.GIVEN): Do.STEP,
    (Follows.RAISE, Stands.HANDS): Do.BY_HAND,
    (Follows.RAISE, Stands.ABSENT): Do.ABSENT,
    (Follows.RAISE, Stands.STABLE): Do.OVER,
    (Follows.BACK, Stands.HERE): Do.ABORT,
    (Follows.BACK, Stands.BEHIND): Do.ABORT,
    (Follows.BACK, Stands.GIVEN): Do.ABORT,
    (Follows.BACK, Stands.HANDS): Do.BY_HAND,  # also a canary that was brought in again after our rollback
    (Follows.BACK, Stands.ABSENT): Do.OVER,
    (Follows.BACK, Stands.STABLE): Do.TOO_LATE,  # `routes rollback` goes back; that is a person's to say
    (Follows.DONE, Stands.HERE): Do.PROMOTE,
    (Follows.DONE, Stands.BEHIND): Do.RAISE,  # to 100 %, which is judged by nobody
    (Follows.DONE, Stands.GIVEN): Do.STEP,
    (Follows.DONE, Stands.HANDS): Do.BY_HAND,
    (Follows.DONE, Stands.ABSENT): Do.OVER,
    (Follows.DONE, Stands.STABLE): Do.OVER,
}


class _Action(msgspec.Struct, frozen=True, tag_field="do", tag=str.lower):
    """`do` names it in JSON."""


class SetShare(_Action, frozen=True, tag="canary"):
    """The canary gets this share."""

    percent: float


class Abort(_Action, frozen=True):
    """The canary is taken out."""


class Promote(_Action, frozen=True):
    """The canary becomes stable."""


class Stay(_Action, frozen=True):
    """The routes are left as they are."""

    reason: Reason


Action = SetShare | Abort | Promote | Stay


def act(rollout: Rollout, outcome: Outcome | None, step: int, routes: Routes, people: People) -> Action:
    """What is done now; `outcome`: after the newest closed minute, None: there is none; `step`: of the evidence."""
    do = TABLE[follows(outcome), stands(rollout, step, routes, people)]
    action = _action(rollout, do, step)
    return Stay(Reason.PAUSED) if people.paused and isinstance(action, SetShare | Promote) else action


def follows(outcome: Outcome | None) -> Follows:
    """What an outcome asks for."""
    match outcome:
        case Advance() | Hold(NotApplied()):
            return Follows.RAISE
        case None | Hold():
            return Follows.WAIT
        case Rollback():
            return Follows.BACK
        case Done():
            return Follows.DONE
        case _:
            assert_never(outcome)


def stands(rollout: Rollout, step: int, routes: Routes, people: People) -> Stands:
    """How the routes stand to the step of the evidence."""
    entry = routes.entry
    if entry is not None and entry.stable == rollout.version:
        return Stands.STABLE
    if entry is None or entry.canary is None or entry.canary.version != rollout.version:
        return Stands.ABSENT
    newest, by_hand = _newest(rollout, routes.changes)
    handed_over = newest <= people.resumed
    if by_hand and not handed_over:
        return Stands.HANDS
    share = _bp(entry.canary.percent)
    if share == _bp(rollout.steps[step]):
        return Stands.HERE
    if step and share == _bp(rollout.steps[step - 1]):
        return Stands.BEHIND
    return Stands.GIVEN if handed_over else Stands.HANDS


def permits(outcome: Outcome | None, step_percent: float | None, percent: float) -> bool | None:
    """Does the evidence permit the canary this share? None: there is no evidence yet, which is neither.

    `step_percent`: of the evidence's step, None before the first minute with both arms. What was permitted once stays so
    unless something is suspected; after Done everything is.
    """
    if step_percent is None:
        return None
    match outcome:
        case None:
            return None
        case Rollback() | Hold(Suspicion()):
            return False
        case Done():
            return True
        case Advance() | Hold():
            return percent <= step_percent
        case _:
            assert_never(outcome)


def _action(rollout: Rollout, do: Do, step: int) -> Action:
    match do:
        case Do.RAISE | Do.STEP:
            return SetShare(rollout.steps[step])
        case Do.ABORT:
            return Abort()
        case Do.PROMOTE:
            return Promote() if rollout.promotes else Stay(Reason.FINISHED)
        case _:
            return Stay(_REASONS[do])


_REASONS: Mapping[Do, Reason] = {
    Do.NOTHING: Reason.NOTHING,
    Do.BY_HAND: Reason.BY_HAND,
    Do.ABSENT: Reason.ABSENT,
    Do.OVER: Reason.OVER,
    Do.TOO_LATE: Reason.TOO_LATE,
}


def _newest(rollout: Rollout, changes: Sequence[Change]) -> tuple[int, bool]:
    """Generation of the newest change of who answers since the rollout began, and whether a person made it after us."""
    ours, newest, by_hand = False, 0, False
    for change in changes:
        if rollout.since is not None and change.at < rollout.since:
            continue
        if change.before == change.after or not _concerns(rollout.version, change):
            continue
        if change.via == "api" and change.by == BY:
            ours, by_hand = True, False
        else:
            by_hand = ours
        newest = change.generation
    return newest, by_hand


def _concerns(version: str, change: Change) -> bool:
    entries = (change.before, change.after)
    return any(entry is not None and entry.canary is not None and entry.canary.version == version for entry in entries)


def _bp(percent: float) -> int:
    return round(percent * BP_A_PERCENT)


def order(action: Action, rollout: Rollout, generation: int, why: str) -> dict[str, Any]:
    """The action as the admin API takes it, compare-and-swap by the generation that it was decided from."""
    told: dict[str, Any] = msgspec.to_builtins(action)
    if isinstance(action, SetShare):
        told["version"] = rollout.version
    return {**told, "generation": generation, "by": BY, "why": why}
