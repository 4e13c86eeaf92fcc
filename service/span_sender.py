"""How do spans leave the process without anybody waiting for it? A bounded queue, and a thread that empties it.

Laws
- To offer is to append to a list: no lock, no wait, no call of the system.
- What finds the queue full, and what the collector does not take, is dropped and counted; every request is counted once.
- The thread lives until it is closed, whatever an export raises.
- No more than `waiting_max` ended requests wait, each without its rows.
"""

from collections import Counter, deque
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import Protocol

import structlog

from service.spans import Followed, Span, span_of
from service.trace_context import Trace
from service.tracing_errors import ExportFailed
from service.unexpected import tell

WAITING_MAX = 1_000  # about 2 kB each
EXPORT_MAX = 100  # in one export: some 500 spans, which OpenTelemetry's own processor takes too
EXPORT_EVERY_S = 1.0
CLOSE_WITHIN_S = 2.0  # what a worker that ends has for its last exports
EXPORTED, QUEUE_FULL, EXPORT_FAILED, CLOSED = "exported", "queue_full", "export_failed", "closed"
RESULTS = (EXPORTED, QUEUE_FULL, EXPORT_FAILED, CLOSED)


class Exporter(Protocol):
    """Who speaks to the collector; called from one thread, but for `close`."""

    def export(self, requests: Sequence[tuple[Trace, Span]]) -> None:
        """Blocking, for a bounded time. Raises ExportFailed."""
        ...

    def close(self) -> None:
        """Nothing more is tried."""
        ...


class SpanSender:
    """One a worker; offered to from its event loop. `counts`: followed requests by what became of their spans."""

    def __init__(
        self, exporter: Exporter, *, waiting_max: int = WAITING_MAX, export_every_s: float = EXPORT_EVERY_S
    ) -> None:
        self._exporter, self._waiting_max, self._export_every_s = exporter, waiting_max, export_every_s
        self._waiting: deque[Followed] = deque()
        self._over = Event()
        self._failed = 0  # exports, one after the other
        # Each word has one writer, the loop or the thread, and none comes later: the loop reads while the thread counts.
        self.counts: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))
        self._settling = Lock()  # between the thread and `close`: what is neither waiting nor counted is in flight
        self._in_flight = 0
        self._thread = Thread(target=self._serve, name="spans", daemon=True)
        self._thread.start()

    def offer(self, one: Followed) -> None:
        """A followed request has ended."""
        if len(self._waiting) < self._waiting_max:
            self._waiting.append(one)
        else:
            self.counts[QUEUE_FULL] += 1

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Sends what waits, but not for longer than this; what an export still holds then counts as closed. Blocking."""
        self._over.set()
        self._thread.join(within_s)
        self._exporter.close()
        with self._settling:
            self.counts[CLOSED] += self._in_flight + len(self._waiting)
            self._in_flight = 0
            self._waiting.clear()

    def _serve(self) -> None:
        while not self._over.wait(self._export_every_s):
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while taken := self._take():
            try:
                self._exporter.export([(one.trace, span_of(one)) for one in taken])
            except ExportFailed as error:
                if self._first_failure():
                    structlog.get_logger().warning("spans.not_exported", reason=str(error))
            except Exception as error:  # the border of the thread: whatever it meets, it is counted, told, and goes on
                if self._first_failure():
                    tell("spans.failed", error, None)
            else:
                self._settle(EXPORTED)
                if self._failed:
                    structlog.get_logger().info("spans.exported_again", failed_exports=self._failed)
                self._failed = 0

    def _take(self) -> list[Followed]:
        with self._settling:
            taken = [self._waiting.popleft() for _ in range(min(EXPORT_MAX, len(self._waiting)))]
            self._in_flight = len(taken)
        return taken

    def _settle(self, result: str) -> None:
        with self._settling:
            self.counts[result] += self._in_flight
            self._in_flight = 0

    def _first_failure(self) -> bool:
        """Counts a failed export; is it the first in a row? A collector that is away is told of once, not every second."""
        self._settle(EXPORT_FAILED)
        self._failed += 1
        return self._failed == 1
