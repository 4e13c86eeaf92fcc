"""What is decided for the events of the outbox, once, durably, for all receivers together?

Laws
- A decision is on disk before anybody acts on it; asked again it is the same, until what held it is lifted.
- Members of a group are decided before their leader: after a crash between, the leader is decided again and takes them along.
- An event that is final with every receiver that wants it leaves the pending ones.
- Where the outbox's `pending_max` events wait for a receiver, an incident that comes is not kept for it. That is decided when
  anybody first looks at it: a receiver that takes nothing, or is slow to look, keeps none from the others.
- Nothing here waits or sends; all of it runs in one thread.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import structlog

from models.errors import UNDECODABLE
from monitoring.dispatch.book import Book
from monitoring.dispatch.decide import DAY_S, History, Policy, dispatch
from monitoring.dispatch.deliveries import Deliveries, Delivery, Due, Held, Taken, Why, Withheld
from monitoring.dispatch.facts import Facts, facts_of
from monitoring.dispatch.hands import Hands
from monitoring.dispatch.receiver import Receiver
from monitoring.events import END
from monitoring.labels.rise import Rise
from monitoring.outbox import Outbox


def _nobody_knows(_: Facts) -> Rise:
    return Rise.UNKNOWN


@dataclass(slots=True)
class Desk:
    """`hands` is what people said until now; `rise` what is known of the model's loss now, which may be more than when the
    event was made.
    """

    outbox: Outbox
    book: Book
    receivers: tuple[Receiver, ...]
    policy: Policy
    hands: Callable[[], Hands]
    rise: Callable[[Facts], Rise] = _nobody_knows
    unreadable: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # by receiver: incidents that were not kept for it
    _facts: dict[str, Facts | None] = field(default_factory=dict)  # of pending events
    _retrained_s: dict[str, dict[str, float]] = field(default_factory=dict)  # by model, by event: when it was decided

    def __post_init__(self) -> None:
        self.outbox.keep_for(len(self.receivers))
        retraining = [one.name for one in self.receivers if one.retrains]
        for known in self.book.all():
            sent_s = None if known.event.endswith(END) else known.sent_at_s(retraining)
            if sent_s is not None:
                self._retrained_s.setdefault(known.model, {})[known.event] = sent_s

    def facts(self, event_id: str) -> Facts | None:
        """None: these bytes are no event; it stays where it is, and is counted. Raises OSError."""
        if event_id in self._facts:
            return self._facts[event_id]
        try:
            found = facts_of(self.outbox.body(event_id))
        except KeyError:  # the outbox let it go while somebody looked
            return None
        except UNDECODABLE as error:
            found = None
            self.unreadable += 1
            structlog.get_logger().error("event_unreadable", event_id=event_id, reason=str(error))
        if self.outbox.is_pending(event_id):  # those are looked at each second; the others seldom
            self._facts[event_id] = found
        return found

    def over(self, incident: str) -> bool:
        """Is the incident's end known?"""
        return incident + END in self.outbox

    def decided(self, event_id: str, receiver: Receiver, at_s: float) -> Delivery | None:
        """How the event stands with the receiver, decided now where it can change; None: it is not for it. Raises OSError."""
        facts = self.facts(event_id)
        if facts is None or not receiver.wants(facts):
            return None
        before = self.book.of(event_id).receivers.get(receiver.name)
        if before is None and not facts.ended:
            self._refuse(facts, at_s)
            before = self.book.of(event_id).receivers.get(receiver.name)
        if isinstance(before, Due | Taken | Withheld):
            return before
        now = dispatch(facts, receiver, self.hands(), self._history(facts, receiver, before, at_s), self.policy, at_s)
        if now == before:
            return now
        if isinstance(now, Due) and receiver.group_s:
            self._take_along(facts, receiver, at_s)
        self.book.write(event_id, receiver.name, now, facts.model)
        budgeted = self.policy.retrain_max_per_day is not None and receiver.retrains and not facts.ended
        if isinstance(now, Due) and budgeted:
            self._retrained_s.setdefault(facts.model, {}).setdefault(event_id, at_s)
        structlog.get_logger().info("event_decided", event_id=event_id, receiver=receiver.name, **_told(now))
        return now

    def members(self, leader: str, receiver: Receiver) -> list[str]:
        """The pending events that go in one message with this one, oldest first."""
        due = ((one, self.book.of(one).receivers.get(receiver.name)) for one in self.outbox.pending)
        return [one for one, delivery in due if isinstance(delivery, Due) and delivery.leader == leader]

    def taken(self, event_ids: Iterable[str], receiver: Receiver, at_s: float, status: int, version: str) -> None:
        """The receiver said 2xx to these. Raises OSError: then they are sent again, under the same id."""
        for event_id in event_ids:
            before = self.book.of(event_id).receivers.get(receiver.name)
            decided_s = before.decided_s if isinstance(before, Due | Taken) else at_s
            self.book.write(event_id, receiver.name, Taken(decided_s, at_s, status, version))

    def settle(self, event_ids: Iterable[str]) -> None:
        """Lets events go that are final with everybody. Raises OSError."""
        pending = set(self.outbox.pending)
        for event_id in event_ids:
            facts = self.facts(event_id) if event_id in pending else None
            if facts is None:
                continue
            wanting = [receiver.name for receiver in self.receivers if receiver.wants(facts)]
            if self.book.of(event_id).settled(wanting):
                self.outbox.mark_delivered(event_id)
                self.book.forget()
                self._facts.pop(event_id, None)

    def _refuse(self, facts: Facts, at_s: float) -> None:
        """Withholds a new incident from the receivers for which too much waits already. Raises OSError."""
        pending = self.outbox.pending
        if len(pending) <= self.outbox.pending_max:
            return
        before = pending[: pending.index(facts.id)] if facts.id in pending else ()
        for one in self.receivers:
            if one.name in self.book.of(facts.id).receivers or not one.wants(facts):
                continue
            if sum(self._waits(event_id, one) for event_id in before) < self.outbox.pending_max:
                continue
            self.book.write(facts.id, one.name, Withheld(Why.FULL, at_s), facts.model)
            self.refused[one.name] = self.refused.get(one.name, 0) + 1
            structlog.get_logger().error(
                "event_refused", event_id=facts.id, receiver=one.name, waiting=self.outbox.pending_max
            )

    def _waits(self, event_id: str, receiver: Receiver) -> bool:
        """Is this pending event not final with the receiver, also where it was not decided yet?"""
        delivery = self.book.of(event_id).receivers.get(receiver.name)
        if delivery is None:
            return (facts := self.facts(event_id)) is not None and receiver.wants(facts)
        return isinstance(delivery, Held | Due)

    def _history(self, facts: Facts, receiver: Receiver, before: Delivery | None, at_s: float) -> History:
        opening = self.book.of(facts.incident).receivers.get(receiver.name) if facts.ended else None
        history = History(over=self.over(facts.incident), before=before, opening=opening, rise=self.rise(facts))
        if self.policy.retrain_max_per_day is None or not receiver.retrains or facts.ended:
            return history
        sent = {
            event: sent_s for event, sent_s in self._retrained_s.get(facts.model, {}).items() if sent_s > at_s - DAY_S
        }
        self._retrained_s[facts.model] = sent  # what is older than a day counts no more: so many as the budget allows
        others = tuple(sent_s for event, sent_s in sent.items() if event != facts.id)
        return replace(history, retrained=self._is_retrained(facts.id), retrains_s=others)

    def _is_retrained(self, event_id: str) -> bool:
        retraining = [one.name for one in self.receivers if one.retrains]
        return self.book.of(event_id).sent_at_s(retraining) is not None

    def _take_along(self, leader: Facts, receiver: Receiver, at_s: float) -> None:
        for event_id in self.outbox.pending:
            held = self.book.of(event_id).receivers.get(receiver.name)
            same = _model_of(facts := self.facts(event_id)) == leader.model and facts is not None and not facts.ended
            if same and event_id != leader.id and isinstance(held, Held) and held.why is Why.GROUP:
                self.book.write(event_id, receiver.name, Due(at_s, leader.id), leader.model)


def _model_of(facts: Facts | None) -> str | None:
    return None if facts is None else facts.model


def _told(delivery: Delivery) -> dict[str, object]:
    """For the log."""
    told: dict[str, object] = {"state": type(delivery).__name__.lower()}
    if isinstance(delivery, Held | Withheld):
        told |= {"why": delivery.why.value, "note": delivery.note}
    return told


def counted(deliveries: Iterable[Deliveries], receiver: str) -> dict[tuple[str, str], int]:
    """How many events are in each (state, why) with a receiver."""
    found: dict[tuple[str, str], int] = {}
    for one in deliveries:
        delivery = one.receivers.get(receiver)
        if delivery is not None:
            told = _told(delivery)
            key = (str(told["state"]), str(told.get("why", "")))
            found[key] = found.get(key, 0) + 1
    return found
