import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.featurelog.segments import Rotation, is_writer_name, parse_segment_name, segment_name

KEYS = st.tuples(st.integers(0, 99_999_999), st.integers(0, 99_999_999))


@given(st.lists(KEYS))
def test_names_sort_in_writing_order(keys: list[tuple[int, int]]) -> None:
    names = sorted(segment_name(*key) for key in keys)
    assert [parse_segment_name(name) for name in names] == sorted(keys)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_name_says_its_epoch_and_number(epoch: int, number: int) -> None:
    assert parse_segment_name(segment_name(epoch, number)) == (epoch, number)


@pytest.mark.parametrize(
    "name",
    [
        "lock",
        "00000001-00000000.seg.torn",
        "00000001-00000000.seg.new",
        "00000001-00000000",
        "1-0.seg",
        "000000001-00000000.seg",
        "٠٠٠٠٠٠٠١-00000000.seg",
        "00000001-00000000.seg\n",
        "x00000001-00000000.seg",
    ],
)
def test_other_files_are_no_segments(name: str) -> None:
    assert parse_segment_name(name) is None


@pytest.mark.parametrize(
    ("name", "is_one"), [("w0", True), ("w1023", True), ("w", False), ("w0.old", False), ("x0", False)]
)
def test_only_w_and_a_number_is_a_writers_directory(name: str, is_one: bool) -> None:
    assert is_writer_name(name) is is_one


@given(st.integers(1, 100), st.floats(0.1, 100), st.integers(0, 200), st.floats(0, 200))
def test_a_segment_is_due_by_size_or_age_and_never_while_it_is_empty(
    bytes_max: int, age_s_max: float, size: int, age_s: float
) -> None:
    due = Rotation(bytes_max, age_s_max).due(size, age_s)
    assert due == (size > 0 and (size >= bytes_max or age_s >= age_s_max))
