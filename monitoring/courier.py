"""Who carries events to one receiver: one message at a time, oldest first, beside the couriers of the others.

Laws
- Only events that were offered are carried, and they are offered after the checkpoint: nothing is sent that a crash
  could forget.
- An event is taken when the receiver answered 2xx, never before; a duplicate carries the same id.
- A receiver that fails delays its own events; it never stops the fold, nor another receiver.
- Whatever is met on the way of one event, foreseen or not, is counted, told and tried again: it delays that event only, and
  ends nothing.
- An open incident is told again every `repeat_s`, until it is over or somebody acknowledged it; for Alertmanager that is a
  keep-alive, which an acknowledgement must not end: the alert would be taken for resolved.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, time
from traceback import format_tb
from typing import Protocol

import msgspec
import structlog

from models.errors import UNDECODABLE
from monitoring.delivery import Backoff, Delivered, GoneForGood, NoReply, Reply, TryAgain, settle
from monitoring.dispatch.deliveries import Due, Held, Taken
from monitoring.dispatch.desk import Desk
from monitoring.dispatch.hands import TEXT_CHARS_MAX
from monitoring.dispatch.message import Message, compose
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.errors import MonitorError

CONFLICT = 409
LOOK_EVERY_S = 1.0  # at what people said, while something is held


class Sender(Protocol):
    """One attempt to deliver."""

    async def send(self, message: Message) -> Reply | NoReply: ...


class _Told(msgspec.Struct, frozen=True):
    """What a retraining may answer."""

    version: str | int


@dataclass(slots=True)
class _Parcel:
    attempts: int = 0
    due_s: float = 0.0


@dataclass(slots=True)
class CourierStatus:
    """What the last attempts came to."""

    attempts: int = 0
    delivered: int = 0
    failures: int = 0
    last_error: str = ""
    disabled: bool = False


def nothing_open() -> frozenset[str]:
    """Where nobody says which incidents are open, none is told again."""
    return frozenset()


@dataclass(slots=True)
class Courier:
    """Runs as a task beside the loop; `url` is what a 410 disables, `open_incidents` the ids of those that are not over."""

    receiver: Receiver
    desk: Desk
    sender: Sender
    url: str
    backoff: Backoff
    clock: Callable[[], float] = time
    open_incidents: Callable[[], frozenset[str]] = nothing_open
    status: CourierStatus = field(default_factory=CourierStatus)
    _offered: set[str] = field(default_factory=set)
    _parcels: dict[str, _Parcel] = field(default_factory=dict)
    _undecided: dict[str, _Parcel] = field(default_factory=dict)  # their decision failed; when it is tried again
    _repeated_s: dict[str, float] = field(default_factory=dict)
    _faults: int = 0  # turns in a row that failed
    _waiting: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event_ids: tuple[str, ...]) -> None:
        """These are durable: carry them, if they are still pending. Call it from the task's own event loop."""
        self._offered.update(set(self.desk.outbox.pending).intersection(event_ids))
        self._wake.set()

    def wake(self) -> None:
        """Somebody said something: look again. Call it from the task's own event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Carries until it is cancelled."""
        while True:
            self._wake.clear()
            await self._turn()
            await self._pause(self._wait_s())

    async def _turn(self) -> None:
        """One look; the border of what is of no single event."""
        try:
            self.status.disabled = self.desk.outbox.disabled(self.receiver.name, self.url)
            await self._carry_due(await self._decide())
            await self._repeat()
            self._faults = 0
        except OSError as error:  # what could not be written was not decided; it is looked at again
            self._failed(f"not decided: {error}")
            self._waiting = True
        except Exception as error:  # the border of a courier: the monitor goes on, and so do the other couriers
            self._faults += 1
            self._unforeseen("courier_failed", error, turns=self._faults)

    @contextmanager
    def _border(self, event_id: str, parcels: dict[str, _Parcel]) -> Iterator[None]:
        """Of one event, whose next try is noted in `parcels`; what the disk refuses concerns all of them, and passes."""
        attempts = parcels.get(event_id, _Parcel()).attempts
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # the border of an event: this one waits, the others go on
            wait_s = self.backoff.wait_s(event_id, attempts + 1)
            parcels[event_id] = _Parcel(attempts + 1, monotonic() + wait_s)
            self._unforeseen("event_failed", error, event_id=event_id, attempt=attempts + 1, wait_s=round(wait_s, 3))

    async def _decide(self) -> list[str]:
        """Decides what can be decided; returns the ids of the messages that are due, oldest first."""
        pending = self.desk.outbox.pending
        self._offered.intersection_update(pending)
        self._waiting = False
        leaders: dict[str, None] = {}
        for event_id in pending:
            if event_id not in self._offered or self._undecided.get(event_id, _Parcel()).due_s > monotonic():
                continue
            with self._border(event_id, self._undecided):
                match self.desk.decided(event_id, self.receiver, self.clock()):
                    case Due(leader=leader):
                        leaders[leader] = None
                    case Held():
                        self._waiting = True
                    case _:
                        pass
                self._undecided.pop(event_id, None)
            await asyncio.sleep(0)  # each decision waits for the disk; the page and the other couriers come in between
        self.desk.settle(one for one in pending if one in self._offered)
        self._undecided = {one: parcel for one, parcel in self._undecided.items() if one in self._offered}
        self._parcels = {one: self._parcels.get(one, _Parcel()) for one in leaders}
        return list(leaders)

    def _wait_s(self) -> float | None:
        """Until something may be to be done; None: until it is woken."""
        if self._faults:
            return self.backoff.wait_s(self.receiver.name, self._faults)
        waits = [LOOK_EVERY_S] if self._waiting or self.receiver.repeat_s else []
        parcels = [*self._undecided.values(), *(() if self.status.disabled else self._parcels.values())]
        return min([*waits, *(max(0.0, parcel.due_s - monotonic()) for parcel in parcels)], default=None)

    async def _pause(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _carry_due(self, leaders: list[str]) -> None:
        for leader in leaders:
            if self._parcels[leader].due_s <= monotonic() and not self.status.disabled:
                with self._border(leader, self._parcels):
                    await self._carry(leader, self._parcels[leader])

    async def _carry(self, leader: str, parcel: _Parcel) -> None:
        members = self.desk.members(leader, self.receiver)
        if not members:
            return
        parcel.attempts += 1
        reply = await self._attempt(members)
        outcome = settle(reply, leader, parcel.attempts, self.backoff, datetime.now(UTC))
        if isinstance(outcome, Delivered) and isinstance(reply, Reply):
            outcome = self._taken(members, reply, parcel)
        log = structlog.get_logger().bind(event_id=leader, receiver=self.receiver.name, attempt=parcel.attempts)
        match outcome:
            case Delivered():
                log.info("event_delivered", events=len(members))
            case TryAgain(wait_s, reason):
                parcel.due_s = monotonic() + wait_s
                self._failed(reason)
                log.warning("event_not_delivered", reason=reason, wait_s=round(wait_s, 3))
            case GoneForGood(reason):
                self._gone(reason)
                log.error("receiver_disabled", reason=reason)

    def _taken(self, members: list[str], reply: Reply, parcel: _Parcel) -> Delivered | TryAgain:
        try:
            self.desk.taken(members, self.receiver, self.clock(), reply.status, self._version(reply))
            self.desk.settle(members)
        except OSError as error:  # the receiver has it, the disk does not know: it gets the same id again
            wait_s = self.backoff.wait_s(members[0], parcel.attempts)
            return TryAgain(wait_s, f"delivered, but not recorded: {error}")
        self.status.delivered += len(members)
        self._wake.set()  # what waited for this one may go now
        return Delivered()

    def _gone(self, reason: str) -> None:
        self.status.disabled = True
        self._failed(f"{reason}: the receiver asked for no more events")
        try:
            self.desk.outbox.disable(self.receiver.name, self.url)
        except OSError as error:
            self._failed(f"{reason}: not recorded: {error}")

    async def _attempt(self, members: list[str]) -> Reply | NoReply:
        self.status.attempts += 1
        try:
            message = self._message(members)
            reply = await self.sender.send(message)
            if message.confirm and isinstance(reply, Reply) and reply.status == CONFLICT:
                asked = Message(message.id, b"", message.content_type, message.confirm, "GET", message.headers)
                return await self.sender.send(asked)
            return reply
        except (MonitorError, OSError, ValueError) as error:
            return NoReply(str(error))

    def _message(self, members: list[str]) -> Message:
        found = [(facts, self.desk.outbox.body(one)) for one in members if (facts := self.desk.facts(one)) is not None]
        return compose(self.receiver, found, self.clock())

    def _version(self, reply: Reply) -> str:
        """The version that the answer names; receivers that only tell name none."""
        if self.receiver.kind is not Kind.WEBHOOK or not reply.body:
            return ""
        if reply.encoding:  # not unpacked: a small answer could become a large one
            self.status.last_error = f"delivered, but the answer is encoded ({reply.encoding}) and was not read"
            structlog.get_logger().warning("answer_unreadable", receiver=self.receiver.name, encoding=reply.encoding)
            return ""
        try:
            return str(msgspec.json.decode(reply.body, type=_Told).version)[:TEXT_CHARS_MAX]
        except UNDECODABLE:
            return ""

    async def _repeat(self) -> None:
        """Tells what is open again; one that fails is told again at the next turn, no sooner."""
        if not self.receiver.repeat_s or self.status.disabled:
            return
        now_s = self.clock()
        still = {one for one in self.open_incidents() if self._is_repeated(one)}
        self._repeated_s = {one: at_s for one, at_s in self._repeated_s.items() if one in still}
        for event_id in sorted(still):
            taken = self.desk.book.of(event_id).receivers.get(self.receiver.name)
            if isinstance(taken, Taken) and now_s >= self._last_s(event_id, taken) + self.receiver.repeat_s:
                self._repeated_s[event_id] = now_s
                with self._border(event_id, {}):  # one that fails is told again when it is time to
                    await self._tell_again(event_id, taken)

    async def _tell_again(self, event_id: str, taken: Taken) -> None:
        reply = await self._attempt([event_id])
        if not isinstance(reply, Reply) or not 200 <= reply.status < 300:
            self._failed(reply.reason if isinstance(reply, NoReply) else f"HTTP {reply.status}")
        elif self.receiver.kind is not Kind.ALERTMANAGER:
            self._remember(event_id, taken, reply)

    def _last_s(self, event_id: str, taken: Taken) -> float:
        return self._repeated_s.get(event_id, taken.at_s)

    def _remember(self, event_id: str, taken: Taken, reply: Reply) -> None:
        try:  # so that a restart does not tell everything again at once
            self.desk.taken([event_id], self.receiver, self.clock(), reply.status, taken.version)
        except OSError as error:
            self._failed(f"repeated, but not recorded: {error}")

    def _is_repeated(self, event_id: str) -> bool:
        if self.desk.over(event_id) or event_id not in self.desk.outbox:
            return False
        return self.receiver.kind is Kind.ALERTMANAGER or event_id not in self.desk.hands().acks

    def _unforeseen(self, event: str, error: Exception, **about: object) -> None:
        """Its type and where it came from; its text may hold a url, or a secret."""
        self._failed(f"{type(error).__name__}: unforeseen, the monitor's log says where")
        at = "".join(format_tb(error.__traceback__))
        structlog.get_logger().error(event, receiver=self.receiver.name, error=type(error).__name__, at=at, **about)

    def _failed(self, reason: str) -> None:
        self.status.failures += 1
        self.status.last_error = reason
