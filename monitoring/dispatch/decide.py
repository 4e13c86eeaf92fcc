"""Is an event sent to a receiver now, later, or never?

Laws
- The answer is a function of the event, the receiver, what people said, what was sent before and the time that is given.
- An opening goes out at once unless one of these holds it, in this order: a dry run (never sent), a silence, the gate, the
  budget of retrainings, the group window of its receiver.
- An incident that ended while a silence, the gate or the budget held its opening is superseded: told to nobody. Where
  nothing held it, it is sent although it is over: what happened while the monitor was down is still news.
- An end follows its opening: after it, and only to whom took it.
"""

from dataclasses import dataclass
from typing import Literal

from monitoring.dispatch.deliveries import Delivery, Due, Held, Taken, Why, Withheld
from monitoring.dispatch.facts import Facts
from monitoring.dispatch.hands import Hands
from monitoring.dispatch.receiver import Receiver
from monitoring.labels.rise import Rise

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for all receivers. `retrain_max_per_day`: incidents a model in 24 hours, None: no limit; `gate`: retrain only
    when the loss rose; `without_labels`: what a gate says where nothing is known of the loss.
    """

    dry_run: bool = False
    retrain_max_per_day: int | None = None
    gate: bool = False
    without_labels: Literal["send", "hold"] = "send"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`over`: the incident's end is known; `before`: what was decided for this event and receiver; `opening`: the same for the
    event that an end belongs to; `retrained`: the incident was sent to be retrained already, to whomever;
    `retrains_s`: when others of the model were; `rise`: what is known of the model's loss now.
    """

    over: bool = False
    before: Delivery | None = None
    opening: Delivery | None = None
    retrained: bool = False
    retrains_s: tuple[float, ...] = ()
    rise: Rise = Rise.UNKNOWN


Outcome = Held | Due | Withheld


def dispatch(facts: Facts, receiver: Receiver, hands: Hands, history: History, policy: Policy, at_s: float) -> Outcome:
    """What is to be done with an event that is not final with this receiver."""
    if facts.ended:
        return _end(facts, history, at_s)
    if policy.dry_run or receiver.dry_run:
        return Withheld(Why.DRY_RUN, at_s)
    holds = _silence(facts, hands, at_s) or _retraining(facts, receiver, history, policy, at_s)
    waited = isinstance(history.before, Held) and history.before.why is not Why.GROUP
    if history.over and (holds or waited):
        return Withheld(Why.SUPERSEDED, at_s, holds.why if holds else "")
    if holds is not None:
        return _since(holds, history)
    return _group(receiver, history, at_s) or Due(at_s, facts.id)


def _end(facts: Facts, history: History, at_s: float) -> Outcome:
    match history.opening:
        case Taken():
            return Due(at_s, facts.id)
        case Held() | Due():
            return _since(Held(Why.OPENING, at_s), history)
        case Withheld() | None:
            return Withheld(Why.NOT_OPENED, at_s)


def _silence(facts: Facts, hands: Hands, at_s: float) -> Held | None:
    found = hands.silence_of(facts, at_s)
    return None if found is None else Held(Why.SILENCE, at_s, hands.until_s(found), found.id)


def _retraining(facts: Facts, receiver: Receiver, history: History, policy: Policy, at_s: float) -> Held | None:
    if not receiver.retrains:
        return None
    if policy.gate and not _passes(history.rise, policy):
        return Held(Why.GATE, at_s, note=history.rise.value)
    most = policy.retrain_max_per_day
    if most is None or history.retrained:
        return None
    recent = sorted(sent for sent in history.retrains_s if sent > at_s - DAY_S)
    if len(recent) < most:
        return None
    lifted = recent[len(recent) - most] + DAY_S if most else None
    return Held(Why.BUDGET, at_s, lifted, f"{len(recent)} of {most} in 24 h")


def _passes(rise: Rise, policy: Policy) -> bool:
    match rise:
        case Rise.ROSE:
            return True
        case Rise.NOT_RISEN:
            return False
        case Rise.UNKNOWN:
            return policy.without_labels == "send"


def _group(receiver: Receiver, history: History, at_s: float) -> Held | None:
    before = history.before
    if isinstance(before, Held) and before.why is Why.GROUP:
        return before if before.until_s is not None and at_s < before.until_s else None
    return Held(Why.GROUP, at_s, at_s + receiver.group_s) if receiver.group_s else None


def _since(now: Held, history: History) -> Held:
    """The same hold as before keeps its beginning."""
    before = history.before
    if isinstance(before, Held) and before.why is now.why:
        return Held(now.why, before.since_s, now.until_s, now.note)
    return now
