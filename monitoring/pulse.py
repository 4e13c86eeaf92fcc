"""Is the loop alive, and what did it last know: the one thing that the loop and the HTTP side share.

Law: whoever asks gets a whole status, the newest one; asking never waits for the loop.
"""

from collections.abc import Callable
from time import monotonic

from monitoring.picture import NOTHING, Gallery
from monitoring.series import Shown
from monitoring.status import Status


class Pulse:
    """Set by the loop, read by the exporter, from any thread: every change is one assignment."""

    def __init__(self, first: Status, healthy_tick_age_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._status, self._healthy_tick_age_s, self._clock = first, healthy_tick_age_s, clock
        self._last_good_s = clock()
        self._failure: str | None = None
        self._gallery, self._series = NOTHING, Shown()

    def status(self) -> Status:
        """The newest status."""
        return self._status

    def gallery(self) -> Gallery:
        """The pictures of what was judged when that status was made."""
        return self._gallery

    def series(self) -> Shown:
        """How traffic went until then."""
        return self._series

    def publish(self, status: Status, gallery: Gallery = NOTHING, series: Shown | None = None) -> None:
        self._status, self._gallery = status, gallery
        self._series = self._series if series is None else series

    def beat(self) -> None:
        """A tick went well."""
        self._last_good_s, self._failure = self._clock(), None

    def fail(self, reason: str) -> None:
        """A tick failed: the log or the disk cannot be used."""
        self._failure = reason

    def unhealthy(self) -> str | None:
        """Why the monitor is not watching; None when it is."""
        if self._failure is not None:
            return f"last tick failed: {self._failure}"
        age_s = self._clock() - self._last_good_s
        if age_s > self._healthy_tick_age_s:
            return f"last tick {age_s:.0f} s ago, expected one within {self._healthy_tick_age_s:g} s"
        return None
