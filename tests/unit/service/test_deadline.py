"""Is the time that a client names read alike by those who refuse early and those who run?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deadline import TIMEOUT_HEADER, TIMEOUT_MS_MAX, asked_ms, read_ms, timeout_ms
from service.errors import MalformedBody

VALUES = st.one_of(st.integers(0, TIMEOUT_MS_MAX * 20).map(lambda n: b"%d" % n), st.binary(max_size=12))


@pytest.mark.parametrize("value", [b"", b"0", b"000", b"soon", b"+5", b"5 ", b"1.5", b"-1", b"1" * 10, "٣".encode()])
def test_what_is_no_time_is_0_early_and_refused_late(value: bytes) -> None:
    assert read_ms(value) == asked_ms([(TIMEOUT_HEADER, value)]) == 0
    with pytest.raises(MalformedBody, match="whole milliseconds, 1 to 999999999"):
        timeout_ms([(TIMEOUT_HEADER, value)], 100)


def test_the_first_header_of_the_name_counts_and_without_one_the_limit_does() -> None:
    twice = [(b"x", b"1"), (TIMEOUT_HEADER, b"70"), (TIMEOUT_HEADER, b"9")]
    assert (asked_ms(twice), timeout_ms(twice, 100)) == (70, 70)
    assert (asked_ms([]), timeout_ms([], 100)) == (0, 100)


@given(st.lists(VALUES, max_size=3), st.floats(0.1, 1e6))
def test_early_and_late_agree_and_nobody_has_more_than_the_limit(values: list[bytes], limit_ms: float) -> None:
    headers = [(TIMEOUT_HEADER, value) for value in values]
    asked = asked_ms(headers)
    if values and not asked:
        with pytest.raises(MalformedBody):
            timeout_ms(headers, limit_ms)
    else:
        assert timeout_ms(headers, limit_ms) == (min(asked, limit_ms) if asked else limit_ms)
