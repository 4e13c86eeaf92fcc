"""What moment does a person mean?"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.commands.when import moment_us

NOW_US = 1_795_276_800_000_000  # 2026-11-21 16:00 UTC


@pytest.mark.parametrize(
    ("text", "before_now_s"),
    [
        ("now", 0),
        ("-2h", 7200),
        ("-1.5h", 5400),
        ("-90s", 90),
        ("-7d", 604_800),
        ("-1w", 604_800),
        ("2026-11-21", 57_600),
        ("2026-11-21T15:00", 3600),
        ("2026-11-21 15:00:00Z", 3600),
        ("2026-11-21T16:00:00+01:00", 3600),
        ("2026-11-21T15:59:59.999999", 0.000001),
    ],
)
def test_a_moment_is_a_time_or_as_long_before_now(text: str, before_now_s: float) -> None:
    assert moment_us(text, NOW_US) == NOW_US - round(before_now_s * 1e6)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2h", "-2y", "20261121", "2026-13-01", "1795276800", "2026-11-21T25:00", "- 2h"]
)
def test_what_is_no_moment_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected ISO 8601"):
        moment_us(text, NOW_US)


@given(st.datetimes(datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("9999-01-01")), st.integers(-23, 23))
def test_a_moment_written_out_is_the_moment_to_the_microsecond(moment: datetime, offset_h: int) -> None:
    local = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=offset_h)))
    expected = (moment - datetime.fromisoformat("1970-01-01")) // timedelta(microseconds=1)
    assert moment_us(local.isoformat(), 0) == moment_us(moment.isoformat(), 5) == expected
