"""What do the tests of sending share: events by hand, a scripted sender, a desk over real files, a clock that is told."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from monitoring.courier import Courier
from monitoring.delivery import Backoff, NoReply, Reply
from monitoring.dispatch.book import Book
from monitoring.dispatch.decide import Policy
from monitoring.dispatch.desk import Desk
from monitoring.dispatch.facts import Facts, facts_of
from monitoring.dispatch.hands_file import HandsFile
from monitoring.dispatch.message import Message
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.events import END, ENDED_TYPE, TYPE, Event
from monitoring.outbox import Outbox

DEADLINE_S = 10.0
WEBHOOK = Receiver(name="webhook", kind=Kind.WEBHOOK)
CHAT = Receiver(name="chat", kind=Kind.SLACK, retrains=False, resolved=True)
PAGER = Receiver(name="pager", kind=Kind.ALERTMANAGER, retrains=False, resolved=True, repeat_s=60.0)


def opening(number: int = 0, *, model: str = "payments", version: str = "1", **data: Any) -> Event:
    """An event as the fold makes it, as far as sending reads it."""
    identifier = f"evt_{number:04d}"
    told = {
        "model": model,
        "version": version,
        "digest": "sha256:a",
        "began": "2025-02-19T21:19:00Z",
        "reason": f"{model}:{version}: feature 'amount' drifted",
        "feature": "amount",
        "check": "drift",
        "checks": [["amount", "drift"]],
        "checks_left_out": 0,
        **data,
    }
    event = {"specversion": "1.0", "id": identifier, "type": TYPE, "time": "2025-02-19T21:20:00+00:00", "data": told}
    return Event(identifier, msgspec.json.encode(event))


def end(number: int = 0, *, model: str = "payments", version: str = "1") -> Event:
    """Its end."""
    incident = f"evt_{number:04d}"
    told = {
        "model": model,
        "version": version,
        "digest": "sha256:a",
        "incident": incident,
        "began": "2025-02-19T21:19:00Z",
        "ended": "2025-02-19T22:20:00Z",
        "reason": f"{model}:{version}: the incident is over: cleared",
    }
    event = {"specversion": "1.0", "id": incident + END, "type": ENDED_TYPE, "time": "2025-02-19T22:20:00+00:00"}
    return Event(incident + END, msgspec.json.encode({**event, "data": told}))


def facts(event: Event) -> Facts:
    return facts_of(event.body)


class Scripted:
    """A receiver that answers as the script says, then takes everything."""

    def __init__(self, *script: Reply | NoReply | Exception) -> None:
        self.script, self.messages = list(script), list[Message]()

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    async def send(self, message: Message) -> Reply | NoReply:
        self.messages.append(message)
        answer = self.script.pop(0) if self.script else Reply(200)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Office:
    """A desk over the files of one directory, and couriers with scripted senders."""

    directory: Path
    receivers: Sequence[Receiver] = (WEBHOOK,)
    policy: Policy = field(default_factory=Policy)
    now_s: float = 1_000_000.0
    senders: dict[str, Scripted] = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    pending_max: int = 1000

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.directory / "outbox", pending_max=self.pending_max, delivered_kept=1000)
        self.hands = HandsFile(self.directory)
        book = Book(self.directory / "outbox", self.outbox)
        self.desk = Desk(self.outbox, book, tuple(self.receivers), self.policy, self.hands.hands)
        for receiver in self.receivers:
            self.senders.setdefault(receiver.name, Scripted())
        self.couriers = {one.name: self.courier(one) for one in self.receivers}

    def courier(self, receiver: Receiver) -> Courier:
        return Courier(
            receiver,
            self.desk,
            self.senders[receiver.name],
            f"https://{receiver.name}.example/",
            Backoff(0.001, 0.002),
            clock=lambda: self.now_s,
            open_incidents=lambda: self.open,
        )

    def again(self) -> "Office":
        """The same files after a restart."""
        return Office(
            self.directory, self.receivers, self.policy, self.now_s, self.senders, self.open, self.pending_max
        )

    def put(self, *events: Event) -> None:
        self.outbox.put(events)

    def states(self, event: str) -> dict[str, str]:
        """State, or why, by receiver."""
        found = self.desk.book.of(event).receivers
        return {name: getattr(one, "why", type(one).__name__.lower()) for name, one in sorted(found.items())}

    def run(self, until: Callable[[], bool]) -> None:
        """Runs all couriers over what is pending until the condition holds."""

        async def carry() -> None:
            tasks = [asyncio.create_task(courier.run()) for courier in self.couriers.values()]
            for courier in self.couriers.values():
                courier.offer(self.outbox.pending)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    while not until():  # noqa: ASYNC110 — the condition is on disk, no event tells of it
                        await asyncio.sleep(0)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(carry())

    def settle(self) -> None:
        """Runs until nothing is pending."""
        self.run(lambda: not self.outbox.pending)

    def look(self) -> None:
        """One look of every courier: decides, and sends what is due."""

        async def once() -> None:
            for courier in self.couriers.values():
                courier.offer(self.outbox.pending)
                await courier._carry_due(await courier._decide())
                await courier._repeat()
                await courier._decide()

        asyncio.run(once())
