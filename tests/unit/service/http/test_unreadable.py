"""What cannot be read is told as found, expected and place, in our words and in bounded length."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Fault, MalformedBody
from service.http import unreadable
from service.http.v2 import Body

WHOLE = "a JSON object"
TENSOR = b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": %s}]}'
TOLD = [
    (b"", "body: found nothing, expected a JSON object; nothing was done"),
    (b" \n", "body: found nothing, expected a JSON object; nothing was done"),
    (b"{", "body: ends too early, expected a JSON object; nothing was done"),
    (b"[1]", "body: found a list, expected a JSON object; nothing was done"),
    (b"{}", "body: found no `inputs`, expected a JSON object; nothing was done"),
    (b'{"inputs": []} x', "body: found more after its end, at byte 16, expected a JSON object; nothing was done"),
    (b'{"inputs": 1}', "body at /inputs: found an integer, expected a list; nothing was done"),
    (b'{"inputs": [{}]}', "body at /inputs/0: found no `name`, expected a JSON object; nothing was done"),
    (
        b'{"inputs": [{"name": "a", "shape": [1, null]}]}',
        "body at /inputs/0/shape/1: found null, expected an integer; nothing was done",
    ),
    (TENSOR % b"[NaN]", "body: found NaN at byte 69, which is not JSON, expected a number or null; nothing was done"),
    (
        TENSOR % b"[-Infinity]",
        "body: found -Infinity at byte 69, which is not JSON, expected a number or null; nothing was done",
    ),
    (
        TENSOR % b"[1e999]",
        "body at /inputs/0/data/0: found a number out of range, expected one that 64 bits hold; nothing was done",
    ),
    (b'{"id": "\xff"}', "body: found text that is not UTF-8, expected a JSON object; nothing was done"),
    (b"[" * 5000, "body: found a list, expected a JSON object; nothing was done"),
    (TENSOR % (b"[" * 5000), "body: nested too deeply, expected a JSON object; nothing was done"),
    (
        b"{'inputs': []}",
        "body: object keys must be strings at byte 1, before b\"'inputs': []}\", expected a JSON object",
    ),
]


def refused(body: bytes) -> MalformedBody:
    try:
        msgspec.json.decode(body, type=Body)
    except unreadable.Errors as error:
        return unreadable.malformed(error, body, WHOLE)
    raise AssertionError(f"{body!r} was read")


@pytest.mark.parametrize(("body", "told"), TOLD, ids=lambda value: repr(value)[:40])
def test_found_and_expected_are_told_with_their_place(body: bytes, told: str) -> None:
    assert str(refused(body)).startswith(told)


def test_the_place_is_a_detail_too() -> None:
    assert refused(b'{"inputs": 1}').details == (Fault("/inputs", "found an integer, expected a list"),)
    assert refused(b"{").details == ()


def test_a_name_that_looks_like_a_path_is_one_step() -> None:
    class Odd(msgspec.Struct, rename={"count": "a/b~c"}):
        count: int

    try:
        msgspec.json.decode(b'{"a/b~c": "x"}', type=Odd)
    except unreadable.Errors as error:
        assert unreadable.malformed(error, b"x", WHOLE).at == "/a~1b~0c"


@given(st.binary(max_size=300))
def test_whatever_comes_the_sentence_is_bounded_and_names_the_expectation(body: bytes) -> None:
    try:
        msgspec.json.decode(body, type=Body)
    except unreadable.Errors as error:
        sentence = str(unreadable.malformed(error, body, WHOLE))
        assert len(sentence) < 500 and ", expected " in sentence and sentence.endswith("; nothing was done")
