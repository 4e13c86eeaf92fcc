"""Which incidents lie on disk? For who only looks: a command beside a running monitor, and the monitor's page.

Law: nothing is created, moved or removed; an event that moves while it is looked for is found where it went.
"""

from pathlib import Path

from models.errors import UNDECODABLE
from monitoring.dispatch.book import read_book
from monitoring.dispatch.deliveries import Deliveries
from monitoring.dispatch.facts import Facts, facts_of
from monitoring.events import opening_of
from monitoring.outbox import DELIVERED, FOLDER, SUFFIX

SHOWN_MAX = 500  # the newest: a page of more is read by nobody


def on_shelf(home: Path) -> tuple[list[Facts], dict[str, Deliveries]]:
    """The newest events, openings and ends, and how far they are. Raises OSError."""
    outbox = home / "monitor" / FOLDER
    paths = {path.name: path for folder in (outbox, outbox / DELIVERED) for path in folder.glob(f"*{SUFFIX}")}
    newest = sorted(paths.values(), key=_changed_ns, reverse=True)[: 2 * SHOWN_MAX]
    found = (_facts(outbox, path.name) for path in newest)
    return [facts for facts in found if facts is not None], read_book(outbox)


def incident_of(home: Path, event_id: str) -> str | None:
    """The id of the event that opened the incident, given that or its end's; None: no such opening is kept."""
    opening, outbox = opening_of(event_id) or event_id, home / "monitor" / FOLDER
    kept = any((folder / f"{opening}{SUFFIX}").is_file() for folder in (outbox, outbox / DELIVERED))
    return opening if kept and opening_of(opening) is None else None


def _facts(outbox: Path, name: str) -> Facts | None:
    for folder in (outbox, outbox / DELIVERED):
        try:
            return facts_of((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        except UNDECODABLE:
            return None
    return None


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
