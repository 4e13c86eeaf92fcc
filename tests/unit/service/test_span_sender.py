"""Spans leave by a thread: bounded, counted, and nobody waits."""

from collections.abc import Sequence
from threading import Event

from structlog.testing import capture_logs

from service.span_sender import EXPORT_MAX, SpanSender
from service.spans import Followed, Span
from service.trace_context import Trace
from service.tracing_errors import ExportFailed
from tests.processes import wait_until

SOON_S = 0.01


class Desk:
    """An exporter that takes, refuses, or keeps everybody waiting."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.refuses = False
        self.breaks = False
        self.open = Event()
        self.open.set()

    def export(self, requests: Sequence[tuple[Trace, Span]]) -> None:
        self.open.wait()
        if self.refuses:
            raise ExportFailed("no room")
        if self.breaks:
            raise RuntimeError("unforeseen")
        self.taken.append(len(requests))

    def close(self) -> None:
        self.open.set()


def ended(number: int = 1) -> Followed:
    return Followed(Trace(number, 1), {}, 200, 0, 1, 2, 3, 4, 5, 0, ())


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits() -> None:
    desk = Desk()
    desk.open.clear()
    sender = SpanSender(desk, waiting_max=10, export_every_s=SOON_S)
    sender.offer(ended())
    wait_until(lambda: not sender._waiting, 10, "the first is being sent")
    for number in range(25):
        sender.offer(ended(number))
    assert (len(sender._waiting), sender.counts["queue_full"]) == (10, 15)
    desk.open.set()
    sender.close()
    assert sender.counts == {"queue_full": 15, "exported": 11, "export_failed": 0, "closed": 0}


def test_no_export_is_larger_than_agreed_and_closing_sends_what_waits() -> None:
    desk = Desk()
    sender = SpanSender(desk, export_every_s=3600)
    for number in range(2 * EXPORT_MAX + 5):
        sender.offer(ended(number))
    sender.close()
    assert desk.taken == [EXPORT_MAX, EXPORT_MAX, 5] and sender.counts["exported"] == 2 * EXPORT_MAX + 5


def test_closing_waits_for_no_collector_and_counts_what_stays_behind() -> None:
    desk = Desk()
    desk.open.clear()
    desk.close = lambda: None  # type: ignore[method-assign]  # it hangs on
    sender = SpanSender(desk, export_every_s=3600)
    for number in range(EXPORT_MAX + 7):
        sender.offer(ended(number))
    sender.close(within_s=SOON_S)
    assert sender.counts["closed"] == EXPORT_MAX + 7  # also what the thread has taken
    desk.open.set()
    sender._thread.join(10)
    assert not sender._thread.is_alive() and sender.counts.total() == EXPORT_MAX + 7, "nothing counts twice"


def test_what_becomes_of_spans_has_its_words_from_the_start() -> None:
    """The loop goes through the counts while the thread counts: a word that came later would change them under it."""
    desk = Desk()
    sender = SpanSender(desk, export_every_s=SOON_S)
    words = iter(sender.counts)
    first = next(words)
    sender.offer(ended())
    wait_until(lambda: sender.counts["exported"] == 1, 10, "it was taken")
    sender.close()
    assert {first, *words} == {"exported", "queue_full", "export_failed", "closed"}


def test_an_error_of_our_own_ends_no_thread_and_is_told_once_with_its_place() -> None:
    desk = Desk()
    desk.breaks = True
    with capture_logs() as lines:
        sender = SpanSender(desk, export_every_s=SOON_S)
        for n in (1, 2):
            sender.offer(ended(n))
            wait_until(lambda n=n: sender.counts["export_failed"] == n, 10, "it is counted")  # type: ignore[misc]
        desk.breaks = False
        sender.offer(ended())
        wait_until(lambda: sender.counts["exported"] == 1, 10, "the thread lives")
        sender.close()
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("spans.failed", "RuntimeError"), ("spans.exported_again", None),
    ]  # fmt: skip
    assert "test_span_sender.py" in lines[0]["at"]


def test_a_collector_that_refuses_is_told_of_once_and_when_it_takes_again() -> None:
    desk = Desk()
    desk.refuses = True
    with capture_logs() as lines:
        sender = SpanSender(desk, export_every_s=SOON_S)
        for n in (1, 2, 3):
            sender.offer(ended(n))
            wait_until(lambda n=n: sender.counts["export_failed"] == n, 10, "it was refused")  # type: ignore[misc]
        desk.refuses = False
        sender.offer(ended())
        wait_until(lambda: sender.counts["exported"] == 1, 10, "it was taken")
        sender.close()
    assert [(line["event"], line.get("reason"), line.get("failed_exports")) for line in lines] == [
        ("spans.not_exported", "no room", None), ("spans.exported_again", None, 3),
    ]  # fmt: skip
