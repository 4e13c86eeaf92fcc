from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.delivery import (
    RETRY_AFTER_S_MAX,
    Backoff,
    Delivered,
    GoneForGood,
    NoReply,
    Reply,
    TryAgain,
    settle,
)

BACKOFF = Backoff(first_s=5, longest_s=900)
NOW = datetime(2026, 11, 2, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200), Delivered),
        (Reply(204), Delivered),
        (Reply(301), TryAgain),
        (Reply(307), TryAgain),
        (Reply(400), TryAgain),
        (Reply(410), GoneForGood),
        (Reply(500), TryAgain),
        (NoReply("refused"), TryAgain),
    ],
)
def test_only_2xx_is_delivery_and_only_410_is_the_end(reply: Reply | NoReply, expected: type) -> None:
    assert isinstance(settle(reply, "evt_1", 1, BACKOFF, NOW), expected)


@given(st.text(min_size=1), st.integers(1, 10_000))
def test_waits_double_up_to_the_longest_and_are_shortened_by_at_most_half(event_id: str, attempt: int) -> None:
    full = min(900.0, 5.0 * 2 ** min(attempt - 1, 30))
    assert full / 2 <= BACKOFF.wait_s(event_id, attempt) <= full
    assert BACKOFF.wait_s(event_id, attempt) == BACKOFF.wait_s(event_id, attempt)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("120", 120.0),
        ((NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 90.0),
        ("99999999999999999999", RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after_is_honoured_as_seconds_and_as_a_date_within_a_day(header: str, wait_s: float) -> None:
    assert settle(Reply(503, header), "evt_1", 1, BACKOFF, NOW) == TryAgain(wait_s, "HTTP 503")


NO_TIMES = (
    None,
    "",
    "soon",
    "-5",
    "1.5",
    "0",
    "Mon, 01 Jan 1990 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00 +99999999999999999999",
    "Thu, 99999999999999999999999 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 99999999999999999999999 00:00:00 GMT",
)


@pytest.mark.parametrize("header", NO_TIMES)
def test_a_retry_after_that_says_nothing_leaves_the_wait_as_it_is(header: str | None) -> None:
    plain = settle(Reply(503), "evt_1", 3, BACKOFF, NOW)
    assert settle(Reply(503, header), "evt_1", 3, BACKOFF, NOW) == plain


DATED = st.from_regex(r"(Thu, )?[0-9]{0,30} (Jan|Feb) [0-9]{0,30} [0-9:]{0,30} [+-]?[0-9A-Z]{0,30}", fullmatch=True)


@given(st.one_of(st.text(max_size=60), DATED))
def test_whatever_a_receiver_writes_as_retry_after_there_is_a_wait_of_at_most_a_day(header: str) -> None:
    outcome = settle(Reply(503, header), "evt_1", 1, BACKOFF, NOW)
    assert isinstance(outcome, TryAgain)
    assert 0 < outcome.wait_s <= RETRY_AFTER_S_MAX
