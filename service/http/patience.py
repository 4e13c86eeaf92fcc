"""How long is a client waited for? Decides from two looks at a connection and the time between them.

Laws
- The head of a request has `header_timeout_s` in all, however its bytes trickle; a connection that never sends one, too.
- A body, and an answer on its way out, may take as long as they move `bytes_per_s_min` on average after a grace; time in which
  the service itself did not read is not the client's.
- A request that the service works on is never given up here: that is what deadlines are for.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from service.connection import Stage


class Overdue(StrEnum):
    """What was waited for in vain; also the `reason` label of the metric."""

    HEAD = "header_timeout"
    BODY = "body_timeout"
    WRITE = "write_timeout"
    IDLE = "keep_alive"
    LINGER = "linger"


@dataclass(frozen=True, slots=True)
class Patience:
    """Times in seconds."""

    header_timeout_s: float
    body_timeout_s: float
    write_timeout_s: float
    bytes_per_s_min: int
    keep_alive_s: float
    linger_s: float = 2.0  # time for an answer to be read before the connection is reset


class Look(msgspec.Struct, frozen=True):
    """A connection at one moment; `turn` counts its requests, `moved_bytes` are of the present one's body."""

    turn: int
    stage: Stage
    moved_bytes: int = 0
    unsent_bytes: int = 0
    paused: bool = False


class Watch(msgspec.Struct, frozen=True):
    """What is remembered of a connection between two looks."""

    look: Look
    since_s: float
    moved_bytes_then: int = 0
    unsent_since_s: float = 0.0
    sent_bytes: int = 0


def begin(look: Look, now_s: float) -> Watch:
    """The first look."""
    return Watch(look, now_s, look.moved_bytes, now_s)


def again(patience: Patience, watch: Watch, look: Look, now_s: float) -> tuple[Watch, Overdue | None]:
    """The next look, and what the connection is overdue with."""
    before = watch.look
    watch = replace(watch, look=look)
    if (look.turn, look.stage) != (before.turn, before.stage) or look.paused:
        watch = replace(watch, since_s=now_s, moved_bytes_then=look.moved_bytes)
    if look.unsent_bytes and before.unsent_bytes and look.turn == before.turn:
        watch = replace(watch, sent_bytes=watch.sent_bytes + max(0, before.unsent_bytes - look.unsent_bytes))
    else:
        watch = replace(watch, unsent_since_s=now_s, sent_bytes=0)
    return watch, _overdue(patience, watch, now_s)


def _overdue(patience: Patience, watch: Watch, now_s: float) -> Overdue | None:
    look, rate = watch.look, patience.bytes_per_s_min
    if now_s - watch.unsent_since_s > patience.write_timeout_s + watch.sent_bytes / rate:
        return Overdue.WRITE
    waited_s = now_s - watch.since_s
    match look.stage:
        case Stage.HEAD if waited_s > patience.header_timeout_s:
            return Overdue.HEAD
        case Stage.BODY if waited_s > patience.body_timeout_s + (look.moved_bytes - watch.moved_bytes_then) / rate:
            return Overdue.BODY
        case Stage.IDLE if waited_s > patience.keep_alive_s:
            return Overdue.IDLE
        case Stage.LINGER if waited_s > patience.linger_s:
            return Overdue.LINGER
        case _:
            return None
