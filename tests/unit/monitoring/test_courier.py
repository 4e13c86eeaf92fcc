import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from monitoring.courier import Courier
from monitoring.delivery import Backoff, NoReply, Reply
from monitoring.errors import AddressRefused
from monitoring.events import Event
from monitoring.outbox import Outbox

URL = "https://hooks.example/"
DEADLINE_S = 10.0


class Scripted:
    """A receiver that answers as the script says, then takes everything."""

    def __init__(self, *script: Reply | NoReply | Exception) -> None:
        self.script, self.posts = list(script), []

    async def post(self, event_id: str, body: bytes) -> Reply | NoReply:
        self.posts.append((event_id, body))
        answer = self.script.pop(0) if self.script else Reply(200)
        if isinstance(answer, Exception):
            raise answer
        return answer


def carry(directory: Path, sender: Scripted, until: Callable[[Courier], bool], events: int = 2) -> Courier:
    """Runs a courier over an outbox with some events until the condition holds."""

    async def run() -> Courier:
        outbox = Outbox(directory, pending_max=10, delivered_kept=10)
        outbox.put([Event(f"evt_{n}", str(n).encode()) for n in range(events)])
        courier = Courier(outbox, sender, URL, Backoff(0.001, 0.002))
        task: Awaitable[None] = asyncio.create_task(courier.run())
        courier.offer(outbox.pending)
        async with asyncio.timeout(DEADLINE_S):
            while not until(courier):  # noqa: ASYNC110 — the condition is on disk, no event tells of it
                await asyncio.sleep(0)
        task.cancel()  # type: ignore[attr-defined]
        return courier

    return asyncio.run(run())


def all_delivered(courier: Courier) -> bool:
    return not courier.outbox.pending


def test_events_leave_oldest_first_when_they_are_taken(tmp_path: Path) -> None:
    sender = Scripted()
    courier = carry(tmp_path, sender, all_delivered)
    assert sender.posts == [("evt_0", b"0"), ("evt_1", b"1")]
    assert courier.outbox.delivered == ("evt_0", "evt_1")
    assert courier.status.delivered == 2


def test_a_failing_receiver_gets_the_same_id_and_bytes_until_it_takes_them(tmp_path: Path) -> None:
    sender = Scripted(Reply(500), NoReply("refused"), AddressRefused("h", "10.0.0.1"))
    courier = carry(tmp_path, sender, all_delivered, events=1)
    assert sender.posts == [("evt_0", b"0")] * 4
    assert courier.status.failures == 3
    assert "10.0.0.1" in courier.status.last_error


def test_410_stops_the_sending_and_keeps_the_events(tmp_path: Path) -> None:
    sender = Scripted(Reply(410))
    courier = carry(tmp_path, sender, lambda c: c.status.disabled)
    assert len(sender.posts) == 1
    assert courier.outbox.pending == ("evt_0", "evt_1")
    again = Scripted()
    carry(tmp_path, again, lambda c: c.status.disabled)
    assert again.posts == []


def test_an_event_that_is_offered_again_after_delivery_is_not_sent_again(tmp_path: Path) -> None:
    sender = Scripted()
    courier = carry(tmp_path, sender, all_delivered, events=1)
    courier.offer(("evt_0",))
    assert not courier._parcels
