"""What time it is for a record: the wall clock, or the time that a replay of history claims."""

import time
from collections.abc import Sequence

from service.errors import MalformedBody


class Clock:
    """Stamps records. With `header` set, requests carry their own event time and the log never runs ahead of it."""

    def __init__(self, header: str = "") -> None:
        self._header = header.lower().encode()
        self._event_us = 0

    def now_us(self) -> int:
        """Microseconds since 1970: of the wall, or of the newest event that a replay brought."""
        return self._event_us if self._header else time.time_ns() // 1000

    def arrival_us(self, headers: Sequence[tuple[bytes, bytes]]) -> int:
        """When a request with these headers arrived. Raises MalformedBody for a time that is none."""
        if not self._header:
            return time.time_ns() // 1000
        value = next((value for name, value in headers if name == self._header), b"")
        if not value.isdigit() or len(value) > 18:
            raise MalformedBody(
                f"found {value[:32]!r}", "microseconds since 1970", where=f"header {self._header.decode()}"
            )
        event_us = int(value)
        self._event_us = max(self._event_us, event_us)
        return event_us
