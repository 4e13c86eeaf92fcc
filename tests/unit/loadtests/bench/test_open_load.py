"""The open-loop driver's report in the bench's words: what was refused or never answered is not goodput and not lost."""

from math import inf

import pytest

from loadtests.bench.open_load import measured

REPORT = {
    "seconds": 2.0,
    "due": 1_000,
    "due_per_s": 500.0,
    "answered": 990,
    "broken": 4,
    "unanswered": 6,
    "goodput_per_s": 400.0,
    "deadline_ms": 200.0,
    "by_status": {
        "200": {"n": 850, "latency_ms": {"p50": 2.0, "p95": 50.0, "p99": 150.0}},
        "503": {"n": 140, "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0}},
    },
    "lateness_ms": {"p99": 0.5},
    "connections": 40,
}


def test_every_request_is_answered_refused_or_lost() -> None:
    found = measured(REPORT, 250.0)
    assert (found.requests, found.refused, found.broken) == (850, 140, 10)
    assert found.requests + found.refused + found.broken == REPORT["due"]


def test_goodput_is_the_drivers_within_the_deadline_beside_the_capacity() -> None:
    found = measured(REPORT, 500.0)
    assert found.goodput_share == pytest.approx(0.8)
    assert found.tail == pytest.approx(75.0)
    assert found.late_us_p99 == pytest.approx(500.0)


def test_who_refuses_at_this_rate_has_no_steady_tail() -> None:
    good = {"200": REPORT["by_status"]["200"]}
    steady = {**REPORT, "answered": 850, "broken": 0, "unanswered": 0, "due": 850, "by_status": good}
    assert measured(steady, 500.0).steady_tail == pytest.approx(75.0)
    assert measured(REPORT, 500.0).steady_tail == inf
    assert measured({**steady, "unanswered": 1}, 500.0).steady_tail == inf


def test_nothing_answered_is_told_and_not_divided_by() -> None:
    none = {**REPORT, "answered": 0, "unanswered": 996, "goodput_per_s": 0.0, "by_status": {}, "lateness_ms": {}}
    found = measured(none, 500.0)
    assert (found.requests, found.broken, found.goodput_share) == (0, 1_000, 0.0)
    assert (found.tail, found.slowest_ms) == (inf, inf), "would hold a bar that asks for at most so much"
