"""Where is it kept how far each event is with each receiver? `<outbox>/deliveries/<event id>.json`, beside the events.

Laws
- `write` returns when it is on disk: a decision to send is remembered before the first byte is sent, and that it was taken
  before the event leaves the pending ones.
- It is bounded by the outbox: what belongs to no event that is kept is removed.
- A file that cannot be read is put aside; its event is decided again, and sent again under the same id.
"""

from pathlib import Path

import msgspec
import structlog

from models.durable import replace_durably
from models.errors import UNDECODABLE
from monitoring.dispatch.deliveries import Deliveries, Delivery
from monitoring.outbox import Outbox

FOLDER = "deliveries"
_decoder = msgspec.json.Decoder(Deliveries)


class Book:
    """The deliveries of one outbox's events; one process writes it."""

    def __init__(self, directory: Path, outbox: Outbox) -> None:
        self._directory, self._outbox = directory / FOLDER, outbox
        self._directory.mkdir(parents=True, exist_ok=True)
        for torn in self._directory.glob("*.new"):
            torn.unlink()
        self._held = {path.stem: held for path in self._directory.glob("*.json") if (held := _read(path)) is not None}
        self.forget()

    def of(self, event_id: str) -> Deliveries:
        """Of an event that nothing is known of, none."""
        return self._held.get(event_id) or Deliveries(event_id)

    def all(self) -> list[Deliveries]:
        return list(self._held.values())

    def write(self, event_id: str, receiver: str, delivery: Delivery, model: str = "") -> None:
        """`model` may be left out where it was said before. Raises OSError when the disk refuses; then nothing changed."""
        before = self.of(event_id)
        now = before.having(receiver, delivery, model or before.model)
        replace_durably(self._directory / f"{event_id}.json", msgspec.json.encode(now))
        self._held[event_id] = now

    def forget(self) -> None:
        """Removes what belongs to events that are no longer kept."""
        for event_id in [one for one in self._held if one not in self._outbox]:
            (self._directory / f"{event_id}.json").unlink(missing_ok=True)
            del self._held[event_id]


def read_book(directory: Path) -> dict[str, Deliveries]:
    """What the book of an outbox says, by event, for who only looks."""
    found = ((path.stem, _read(path, aside=False)) for path in (directory / FOLDER).glob("*.json"))
    return {event_id: held for event_id, held in found if held is not None}


def _read(path: Path, *, aside: bool = True) -> Deliveries | None:
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except UNDECODABLE as error:
        if aside:
            path.replace(path.with_suffix(".bad"))
            structlog.get_logger().error("deliveries_unreadable", file=str(path), reason=str(error))
        return None
