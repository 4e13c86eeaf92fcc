"""What looking up the words of a stream's dictionaries costs: rows and bytes, never their product."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BodyTooLarge
from service.http.arrow_dictionaries import Dictionaries
from tests.unit.service.http.arrow_streams import in_batches

MANY = 20_000
WORDS = st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=8)


def city(body: bytes) -> pa.ChunkedArray:
    return pa.ipc.open_stream(body).read_all().column("city")


def test_a_dictionary_of_many_batches_is_known_once_and_only_the_words_that_rows_name_are_read() -> None:
    numbers = [MANY - 1, 0, MANY - 1, 7] * 25
    dictionaries = Dictionaries(1_000_000)
    column = city(in_batches([f"w{number}" for number in range(MANY)], numbers))
    assert column.num_chunks == len(numbers)
    assert dictionaries.texts(column) == [f"w{number}" for number in numbers]
    (words,) = dictionaries.known.values()
    assert set(words) == set(numbers)


def test_characters_are_counted_over_all_columns_as_often_as_rows_name_them() -> None:
    column = pa.chunked_array([pa.array(["four", "four", None]).dictionary_encode()])
    dictionaries = Dictionaries(16)
    assert dictionaries.texts(column) == dictionaries.texts(column) == ["four", "four", None]
    with pytest.raises(BodyTooLarge):
        dictionaries.texts(column)


@given(st.lists(st.tuples(WORDS, st.lists(st.none() | st.integers(0, 7), max_size=6)), max_size=4))
def test_what_is_looked_up_is_what_pyarrow_says(parts: list[tuple[list[str | None], list[int | None]]]) -> None:
    chunks = [
        pa.DictionaryArray.from_arrays(
            pa.array([None if number is None else number % len(words) for number in numbers], pa.int8()),
            pa.array(words, pa.string()),
        )
        for words, numbers in parts
    ]
    column = pa.chunked_array(chunks, pa.dictionary(pa.int8(), pa.string()))
    assert Dictionaries(1_000).texts(column) == column.to_pylist()


def test_a_dictionary_that_is_damaged_is_not_read() -> None:
    damaged = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xff")]
    )
    column = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 1]), damaged)])
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        Dictionaries(1_000).texts(column)
