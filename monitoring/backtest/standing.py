"""Which incidents stood when a piece of the log began, by what was sent?

Laws
- An incident stands from the minute that made its event until it is over: until the cooldown behind its clear has passed. So
  what goes on in the piece, and a relapse, is no page of the piece.
- Of the checks that were latched nothing is known: they are again with their next breach.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from monitoring.alert import Alert, Phase, event_id
from monitoring.events import CLEARED, Event, opening_of
from monitoring.state import Version
from monitoring.window import MINUTE_S


class _Data(msgspec.Struct, frozen=True):
    model: str
    version: str
    digest: str
    began: datetime
    ended: datetime | None = None
    why: str = ""


class _Told(msgspec.Struct, frozen=True):
    time: datetime
    data: _Data


def standing_at(sent: Iterable[Event], from_minute: int, cooldown_s: int) -> dict[Version, Alert]:
    """The alerts that had an incident before the minute `from_minute` was judged. Raises msgspec.ValidationError,
    msgspec.DecodeError: these bytes are no event of ours.
    """
    told = {event.id: msgspec.json.decode(event.body, type=_Told) for event in sent}
    ends = {opening_of(name): one.data for name, one in told.items() if one.data.ended is not None}
    found: dict[Version, Alert] = {}
    for name, one in sorted(told.items(), key=lambda item: item[1].time):
        if opening_of(name) is not None:
            continue
        version, judged = Version(one.data.model, one.data.version, one.data.digest), _minute(one.time) - 1
        if judged < from_minute:
            found.pop(version, None)
            if alert := _alert(one.data, judged, ends.get(name), from_minute, cooldown_s):
                found[version] = alert
        elif version in found and event_id(version.model, version.digest, found[version].incident or 0) not in ends:
            del found[version]  # its end was never told, yet a version has one incident at a time
    return found


def _alert(opened: _Data, judged: int, end: _Data | None, from_minute: int, cooldown_s: int) -> Alert | None:
    """The alert of an incident that was opened before; None where it was over by then."""
    began, clear = _minute(opened.began), None if end is None or end.ended is None else _minute(end.ended) - 1
    if end is None or clear is None or clear >= from_minute:
        return Alert(Phase.FIRING, judged, incident=began)
    cooling = end.why == CLEARED and (from_minute - clear) * MINUTE_S < cooldown_s
    return Alert(Phase.COOLING, clear, incident=began) if cooling else None


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // MINUTE_S
