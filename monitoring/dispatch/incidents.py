"""How is an incident shown: the event, where it stands, what people said, and how far it is with each receiver?

Law: it is put together from what is kept and changes nothing; so it says the same whether a monitor runs or not.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitoring.dispatch.deliveries import Deliveries, Taken
from monitoring.dispatch.facts import Facts
from monitoring.dispatch.hands import Hands, Silence
from monitoring.events import END

OPEN, OVER = "open", "over"


class Acked(msgspec.Struct, frozen=True):
    by: str
    at: str
    why: str


class Answered(msgspec.Struct, frozen=True):
    """The version that came of it, and who said so."""

    version: str
    by: str


class IncidentShown(msgspec.Struct, frozen=True):
    """`phase`: that of the alert where a monitor says it, else open or over; `story`: what happened, in a sentence;
    `ending`: how its end is told.
    """

    event: str
    model: str
    version: str
    time: str
    phase: str
    reason: str
    story: str
    acked: Acked | None
    silenced_by: str | None
    answer: Answered | None
    receivers: Mapping[str, Any]
    ending: Mapping[str, Any]


def shown(
    facts: Iterable[Facts],
    deliveries: Mapping[str, Deliveries],
    hands: Hands,
    at_s: float,
    phases: Mapping[str, str] | None = None,
) -> list[IncidentShown]:
    """Newest first; `phases` by the id of the opening event."""
    held = list(facts)
    ended = {one.incident for one in held if one.ended}
    openings = sorted((one for one in held if not one.ended), key=lambda one: (one.time, one.id), reverse=True)
    found = []
    for one in openings:
        now = OVER if one.id in ended else (phases or {}).get(one.id, OPEN)
        found.append(_shown(one, deliveries, hands, at_s, now))
    return found


def _shown(one: Facts, deliveries: Mapping[str, Deliveries], hands: Hands, at_s: float, phase: str) -> IncidentShown:
    acked, silence = hands.acks.get(one.id), hands.silence_of(one, at_s)
    here = deliveries.get(one.id, Deliveries(one.id))
    return IncidentShown(
        event=one.id,
        model=one.model,
        version=one.version,
        time=one.time,
        phase=phase,
        reason=one.reason,
        story=one.story,
        acked=None if acked is None else Acked(acked.by, moment(acked.at_s), acked.why),
        silenced_by=None if silence is None else silence.id,
        answer=_answer(one.id, here, hands),
        receivers=msgspec.to_builtins(here.receivers),
        ending=msgspec.to_builtins(deliveries.get(one.id + END, Deliveries("")).receivers),
    )


def _answer(event: str, deliveries: Deliveries, hands: Hands) -> Answered | None:
    """What was said later goes before what the receiver answered at once."""
    said = hands.answers.get(event)
    if said is not None:
        return Answered(said.version, said.by)
    for name, delivery in sorted(deliveries.receivers.items()):
        if isinstance(delivery, Taken) and delivery.version:
            return Answered(delivery.version, name)
    return None


class SilenceShown(msgspec.Struct, frozen=True):
    id: str
    active: bool
    model: str
    version: str
    feature: str
    check: str
    since: str
    until: str
    by: str
    why: str


def silences(hands: Hands, at_s: float) -> list[SilenceShown]:
    """Newest first, those that ended too."""
    return [_silence(one, hands, at_s) for one in sorted(hands.silences.values(), key=lambda one: -one.at_s)]


def _silence(one: Silence, hands: Hands, at_s: float) -> SilenceShown:
    until_s = hands.until_s(one)
    return SilenceShown(
        id=one.id,
        active=one.at_s <= at_s < until_s,
        model=one.model,
        version=one.version,
        feature=one.feature,
        check=one.check,
        since=moment(one.at_s),
        until=moment(until_s),
        by=one.by,
        why=one.why,
    )


def moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
