"""Who carries pending events to the receiver, one at a time, oldest first.

Laws
- Only events that were offered are carried, and they are offered after the checkpoint: nothing is sent that a crash
  could forget.
- An event leaves the outbox when the receiver answered 2xx, never before; a duplicate carries the same id and the same
  bytes.
- A receiver that fails delays its events; it never stops the fold.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

import structlog

from monitoring.delivery import Backoff, Delivered, GoneForGood, NoReply, Reply, TryAgain, settle
from monitoring.errors import MonitorError
from monitoring.outbox import Outbox


class Sender(Protocol):
    """One attempt to deliver."""

    async def post(self, event_id: str, body: bytes) -> Reply | NoReply: ...


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


@dataclass(slots=True)
class Courier:
    """Runs as a task beside the loop; `url` names the receiver that a 410 disables."""

    outbox: Outbox
    sender: Sender
    url: str
    backoff: Backoff
    status: CourierStatus = field(default_factory=CourierStatus)
    _parcels: dict[str, _Parcel] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event_ids: tuple[str, ...]) -> None:
        """These are durable: carry them, if they are still pending. Call it from the task's own event loop."""
        for event_id in set(self.outbox.pending).intersection(event_ids):
            self._parcels.setdefault(event_id, _Parcel())
        self._wake.set()

    async def run(self) -> None:
        """Carries until it is cancelled."""
        while True:
            self._wake.clear()
            self.status.disabled = self.outbox.disabled(self.url)
            await self._carry_due()
            waits = [] if self.status.disabled else [parcel.due_s for parcel in self._parcels.values()]
            await self._pause(max(0.0, min(waits) - monotonic()) if waits else None)

    async def _pause(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _carry_due(self) -> None:
        for event_id in self.outbox.pending:
            parcel = self._parcels.get(event_id)
            if parcel is not None and parcel.due_s <= monotonic() and not self.status.disabled:
                await self._carry(event_id)

    async def _carry(self, event_id: str) -> None:
        parcel = self._parcels[event_id]
        parcel.attempts += 1
        self.status.attempts += 1
        outcome = settle(await self._attempt(event_id), event_id, parcel.attempts, self.backoff, datetime.now(UTC))
        if isinstance(outcome, Delivered):
            outcome = self._delivered(event_id, parcel)
        log = structlog.get_logger().bind(event_id=event_id, attempt=parcel.attempts)
        match outcome:
            case Delivered():
                log.info("event_delivered")
            case TryAgain(wait_s, reason):
                parcel.due_s = monotonic() + wait_s
                self._failed(reason)
                log.warning("event_not_delivered", reason=reason, wait_s=round(wait_s, 3))
            case GoneForGood(reason):
                self.outbox.disable(self.url)
                self.status.disabled = True
                self._failed(f"{reason}: the receiver asked for no more events")
                log.error("receiver_disabled", reason=reason)

    def _delivered(self, event_id: str, parcel: _Parcel) -> Delivered | TryAgain:
        try:
            self.outbox.mark_delivered(event_id)
        except OSError as error:  # the receiver has it, the disk does not know: it gets the same id again
            return TryAgain(self.backoff.wait_s(event_id, parcel.attempts), f"delivered, but not recorded: {error}")
        del self._parcels[event_id]
        self.status.delivered += 1
        return Delivered()

    async def _attempt(self, event_id: str) -> Reply | NoReply:
        try:
            return await self.sender.post(event_id, self.outbox.body(event_id))
        except (MonitorError, OSError) as error:
            return NoReply(str(error))

    def _failed(self, reason: str) -> None:
        self.status.failures += 1
        self.status.last_error = reason
