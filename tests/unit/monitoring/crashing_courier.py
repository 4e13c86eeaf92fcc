"""A courier that kills itself at a named border: `python -m tests.unit.monitoring.crashing_courier DIRECTORY POINT`.

Real files, a real SIGKILL; what was sent is written to DIRECTORY/sent, fsynced, as a receiver would remember it. The point
`none` runs until nothing is pending.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.book import Book
from monitoring.dispatch.decide import Policy
from monitoring.dispatch.deliveries import Delivery, Due, Taken
from monitoring.dispatch.message import Message
from tests.unit.monitoring.dispatched import CHAT, WEBHOOK, Office, end, opening

POINTS = (
    "half_put", "put", "half_decision", "decision", "second_decision", "sent_unanswered", "answered", "half_mark", "mark",
    "one_settled", "settled",
)  # fmt: skip
RECEIVERS = (WEBHOOK, replace(CHAT, name="chat"))
POLICY = Policy(retrain_max_per_day=1)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Remembering:
    """Takes everything and remembers it, also when the caller dies while it does."""

    def __init__(self, directory: Path, receiver: str, point: str) -> None:
        self._sent, self._receiver, self._point = directory / "sent", receiver, point

    async def send(self, message: Message) -> Reply | NoReply:
        with self._sent.open("a") as file:
            file.write(f"{self._receiver} {message.id}\n")
            file.flush()
            os.fsync(file.fileno())
        if self._point == "sent_unanswered":
            die()
        return Reply(200)


class DyingBook(Book):
    """Dies around the writing of a decision, or of what became of it."""

    point = "none"
    decisions = 0

    def write(self, event_id: str, receiver: str, delivery: Delivery, model: str = "") -> None:
        if isinstance(delivery, {"half_decision": Due, "half_mark": Taken}.get(self.point, ())):
            (self._directory / f"{event_id}.json.1.new").write_bytes(b'{"event":')
            die()
        if isinstance(delivery, Taken) and self.point == "answered":
            die()
        super().write(event_id, receiver, delivery, model)
        self.decisions += isinstance(delivery, Due)
        if self.decisions == {"decision": 1, "second_decision": 2}.get(self.point):
            die()
        if isinstance(delivery, Taken) and self.point == "mark":
            die()


def run(directory: Path, point: str) -> None:
    """Puts two incidents, one of them over, and carries until nothing is pending, or to the point."""
    office = Office(directory, RECEIVERS, POLICY)
    if point == "half_put":
        (directory / "outbox" / "evt_0000.json.1.new").write_bytes(opening().body[:50])
        die()
    office.put(opening(0), opening(1, model="fraud"), end(0))
    if point == "put":
        die()
    office.desk.book = book = DyingBook(directory / "outbox", office.outbox)
    book.point = point
    _die_when_settled(office, point)
    for receiver in RECEIVERS:
        office.senders[receiver.name] = Remembering(directory, receiver.name, point)  # type: ignore[assignment]
        office.couriers[receiver.name] = office.courier(receiver)
    office.settle()


def _die_when_settled(office: Office, point: str) -> None:
    mark, left = office.outbox.mark_delivered, {"one_settled": 1, "settled": 3}.get(point, 0)

    def marked(event_id: str) -> None:
        nonlocal left
        mark(event_id)
        left -= 1
        if left == 0:
            die()

    office.outbox.mark_delivered = marked  # type: ignore[method-assign]


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
