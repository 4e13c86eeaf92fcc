"""How far is an event with each receiver: what is kept beside the event.

Laws
- HELD may become anything; DUE only TAKEN; TAKEN and WITHHELD are final. What was decided to be sent is sent until a
  receiver says 2xx, whatever people say afterwards.
- An event is settled when it is final with every receiver that wants it.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Why(StrEnum):
    """Why an event is not sent, or not yet."""

    SILENCE = "silence"
    GATE = "gate"
    BUDGET = "budget"
    GROUP = "group"
    OPENING = "opening"
    DRY_RUN = "dry_run"
    SUPERSEDED = "superseded"
    NOT_OPENED = "not_opened"
    FULL = "full"


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="state"):
    """Not yet: `until_s` is when time alone lifts it, None where only something else can; `note` names what holds it."""

    why: Why
    since_s: float
    until_s: float | None = None
    note: str = ""


class Due(msgspec.Struct, frozen=True, tag="due", tag_field="state"):
    """To be sent, until it is taken; `leader`: the event whose message carries it, its own id where it goes alone."""

    decided_s: float
    leader: str


class Taken(msgspec.Struct, frozen=True, tag="taken", tag_field="state"):
    """The receiver said 2xx; `version` is what it answered, `decided_s` when it was decided to send."""

    decided_s: float
    at_s: float
    status: int
    version: str = ""


class Withheld(msgspec.Struct, frozen=True, tag="withheld", tag_field="state"):
    """Never sent."""

    why: Why
    at_s: float
    note: str = ""


Delivery = Held | Due | Taken | Withheld


class Deliveries(msgspec.Struct, frozen=True):
    """One event's, by the name of the receiver; `model` is whose budget it counts in."""

    event: str
    receivers: dict[str, Delivery] = {}
    model: str = ""

    def having(self, receiver: str, delivery: Delivery, model: str) -> "Deliveries":
        return Deliveries(self.event, {**self.receivers, receiver: delivery}, model)

    def settled(self, receivers: Iterable[str]) -> bool:
        """Is it final with all of these?"""
        return all(isinstance(self.receivers.get(name), Taken | Withheld) for name in receivers)

    def sent_at_s(self, receivers: Iterable[str]) -> float | None:
        """When it was first decided to send it to one of these."""
        found = [self.receivers.get(name) for name in receivers]
        return min((one.decided_s for one in found if isinstance(one, Due | Taken)), default=None)
