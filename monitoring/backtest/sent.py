"""Which events does an outbox still hold: read by somebody who does not own it, while its monitor may be running.

Law: reading changes nothing; an event that is moved or let go meanwhile is found in its new place or not at all.
"""

from pathlib import Path

from monitoring.events import Event
from monitoring.outbox import SUFFIX


def kept(outbox: Path) -> list[Event]:
    """Pending and delivered ones. Raises OSError."""
    found: dict[str, Event] = {}
    for folder in (outbox, outbox / "delivered"):  # delivering moves that way, so none is missed
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                found[path.stem] = Event(path.stem, path.read_bytes())
            except FileNotFoundError:
                continue
    return list(found.values())
