"""Which events are still to be delivered, on disk.

Laws
- `put` returns after the event's bytes and name are on disk; putting an id again, pending or delivered, changes
  nothing.
- An incident's end is kept with the event that opened it: taken whenever that is known, never without it.
- Pending events are never dropped; when `pending_max` incidents are waiting a new one is refused and counted: the oldest
  incident is the one that is still unanswered, and the log can replay the rest. For several receivers it is so many for each:
  who decides what is kept for whom (`dispatch/desk.py`) sees to it that one of them does not take the room of the others.
- Of the delivered ones the newest `delivered_kept` are kept, so that an old checkpoint does not send them again.

`<directory>/<id>.json` holds the body byte for byte; `delivered/<id>.json` what is settled with every receiver;
`disabled-<receiver>` a digest of the url that answered 410.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from models.durable import replace_durably, sync_directory
from monitoring.events import Event, opening_of

FOLDER, DELIVERED = "outbox", "delivered"
SUFFIX = ".json"
DISABLED = "disabled"


class Outbox:
    """The outbox of one home; one process writes it."""

    def __init__(self, directory: Path, *, pending_max: int, delivered_kept: int) -> None:
        self._directory, self._delivered = directory, directory / DELIVERED
        self.pending_max, self._delivered_kept = pending_max, delivered_kept
        self._receivers = 1
        self._delivered.mkdir(parents=True, exist_ok=True)
        for torn in directory.glob("*.new"):  # a crash while writing: its event will be put again
            torn.unlink()
        self._pending = {path.stem: path for path in sorted(directory.glob(f"*{SUFFIX}"), key=_age)}
        self._done = {path.stem: path for path in sorted(self._delivered.glob(f"*{SUFFIX}"), key=_age)}
        self._lock = Lock()  # the loop puts while the courier delivers
        self.refused = 0

    def keep_for(self, receivers: int) -> None:
        """For each of so many `pending_max` events are kept; without any, as for one."""
        self._receivers = max(1, receivers)

    @property
    def pending(self) -> tuple[str, ...]:
        """Ids of undelivered events, oldest first."""
        with self._lock:
            return tuple(self._pending)

    @property
    def delivered(self) -> tuple[str, ...]:
        """Ids of the delivered events that are kept, oldest first."""
        with self._lock:
            return tuple(self._done)

    def put(self, events: Iterable[Event]) -> tuple[str, ...]:
        """Makes events durable; returns the ids that were new. Raises OSError when the disk refuses."""
        with self._lock:
            return tuple(event.id for event in events if self._put(event))

    def _put(self, event: Event) -> bool:
        if event.id in self._pending or event.id in self._done:
            return False
        opening = opening_of(event.id)
        if opening is not None and opening not in self._pending and opening not in self._done:
            return False
        if opening is None and self._incidents() >= self.pending_max * self._receivers:
            self.refused += 1
            return False
        path = self._directory / f"{event.id}{SUFFIX}"
        replace_durably(path, event.body)
        self._pending[event.id] = path
        return True

    def _incidents(self) -> int:
        """Those whose opening is pending; ends do not count: they are taken in any case."""
        return sum(opening_of(one) is None for one in self._pending)

    def body(self, event_id: str) -> bytes:
        """The bytes of an event that is kept. Raises KeyError, OSError."""
        with self._lock:
            path = self._pending.get(event_id) or self._done[event_id]
        return path.read_bytes()

    def is_pending(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._pending

    def __contains__(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._pending or event_id in self._done

    def mark_delivered(self, event_id: str) -> None:
        """Moves an event to the delivered ones and forgets the oldest of them."""
        target = self._delivered / f"{event_id}{SUFFIX}"
        with self._lock:
            self._pending[event_id].replace(target)
            del self._pending[event_id]
            os.utime(target)  # age among the delivered is the time of delivery
            self._done[event_id] = target
            for old in list(self._done)[: max(0, len(self._done) - self._delivered_kept)]:
                self._done.pop(old).unlink(missing_ok=True)
            sync_directory(self._delivered)
            sync_directory(self._directory)

    def disable(self, receiver: str, url: str) -> None:
        """Remembers that this receiver asked for no more; removing the file or changing the url sends again."""
        replace_durably(self._directory / f"{DISABLED}-{receiver}", _mark(url))

    def disabled(self, receiver: str, url: str) -> bool:
        """Did this receiver ask for no more?"""
        path = self._directory / f"{DISABLED}-{receiver}"
        return path.is_file() and path.read_bytes() == _mark(url)


def _mark(url: str) -> bytes:
    """Tells urls apart without keeping them: Slack's are secrets."""
    return blake2b(url.encode(), digest_size=16).hexdigest().encode()


def _age(path: Path) -> tuple[int, str]:
    return (path.stat().st_mtime_ns, path.name)
