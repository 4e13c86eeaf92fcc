"""Which pages were sent, which would have been, and which are both?

Laws
- Pages are matched by their ids and nothing else; every page is in exactly one column, oldest first.
- A page is of a piece when the minute that made it was judged in it.
- Whether a page that is in both says the same is decided on its bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from monitoring.events import Event
from monitoring.window import MINUTE_US


class Column(StrEnum):
    """Where a page stands."""

    ONLY_SENT = "only sent"
    ONLY_WOULD_BE_SENT = "only would be sent"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Page:
    """One event: `sent` as the outbox keeps it, `made` as the fold makes it now; at least one of them is there."""

    id: str
    sent: bytes | None
    made: bytes | None

    @property
    def column(self) -> Column:
        if self.made is None:
            return Column.ONLY_SENT
        return Column.ONLY_WOULD_BE_SENT if self.sent is None else Column.BOTH

    @property
    def same_bytes(self) -> bool | None:
        """None where there is nothing to compare."""
        return None if self.sent is None or self.made is None else self.sent == self.made

    @property
    def body(self) -> bytes:
        """As it would be sent now, else as it was."""
        return self.sent or b"" if self.made is None else self.made

    @property
    def said(self) -> "Said":
        return msgspec.json.decode(self.body, type=Said)


class _Data(msgspec.Struct, frozen=True):
    reason: str = ""


class Said(msgspec.Struct, frozen=True):
    """What a person reads of an event."""

    time: datetime
    data: _Data = _Data()

    @property
    def judged_minute(self) -> int:
        """An event is stamped with the end of the minute that made it."""
        return int(self.time.timestamp() * 1_000_000) // MINUTE_US - 1


def beside(sent: Iterable[Event], made: Iterable[Event], *, from_minute: int, to_minute: int) -> list[Page]:
    """The pages of minutes [from_minute, to_minute); `sent` may hold others too."""
    were, would = {event.id: event.body for event in sent}, {event.id: event.body for event in made}
    pages = [Page(name, were.get(name), would.get(name)) for name in {**were, **would}]
    of_piece = [page for page in pages if page.made is not None or from_minute <= page.said.judged_minute < to_minute]
    return sorted(of_piece, key=lambda page: (page.said.time, page.id))
