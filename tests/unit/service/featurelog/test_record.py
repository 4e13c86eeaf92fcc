import contextlib
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind, Privacy
from service.featurelog.errors import RecordInvalid
from service.featurelog.record import (
    Block,
    Feedback,
    Head,
    Ledger,
    Outcome,
    PartRequest,
    Payload,
    Problem,
    Request,
    Schema,
    SchemaColumn,
    Seal,
    Shadow,
    SkewKind,
    TensorNote,
    decode,
    encode,
    row_numbers,
)

INTS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
TEXTS = st.text()
FLOATS = st.floats()
OUTCOMES = st.sampled_from(Outcome)
BLOCKS = st.none() | st.builds(
    Block, COUNTS, st.binary(), st.none() | st.binary(), st.none() | st.lists(st.tuples(COUNTS, COUNTS, TEXTS))
)
COLUMNS = st.lists(
    st.builds(SchemaColumn, TEXTS, st.sampled_from(Kind), st.none() | st.lists(TEXTS).map(tuple)), max_size=3
).map(tuple)
NOTES = st.builds(
    TensorNote, TEXTS, TEXTS, st.lists(INTS, max_size=4).map(tuple), TEXTS, st.none() | FLOATS, st.none() | FLOATS
)
PROBLEMS = st.builds(Problem, st.sampled_from(SkewKind), TEXTS, COUNTS)
TALLIES = st.dictionaries(TEXTS, COUNTS, max_size=4)
REQUESTS = st.builds(
    Request, INTS, TEXTS, OUTCOMES, INTS, TEXTS, TEXTS, INTS, TEXTS, TEXTS, INTS, INTS, INTS, INTS, INTS, INTS,
    BLOCKS, BLOCKS, st.none() | st.lists(PROBLEMS, max_size=3), st.none() | st.lists(NOTES, max_size=3),
)  # fmt: skip
PAYLOADS = st.one_of(
    REQUESTS,
    st.builds(Head, INTS, TEXTS, INTS, INTS, INTS),
    st.builds(Schema, INTS, TEXTS, TEXTS, TEXTS, COLUMNS, COLUMNS),
    st.builds(Shadow, INTS, TEXTS, INTS, OUTCOMES, TEXTS, INTS, INTS, BLOCKS),
    st.builds(Feedback, INTS, TEXTS, INTS, FLOATS | INTS | TEXTS | st.booleans() | st.none(), INTS),
    st.builds(Ledger, INTS, INTS, TALLIES, TALLIES, st.dictionaries(TEXTS, TALLIES, max_size=3)),
    st.builds(Seal, INTS, INTS),
)


@given(PAYLOADS)
def test_what_is_encoded_is_decoded_to_the_same_bytes_also_nan_null_and_any_text(payload: Payload) -> None:
    again = decode(encode(payload))
    assert type(again) is type(payload)
    assert repr(again) == repr(payload)  # NaN is not equal to itself, but reads the same
    assert encode(again) == encode(payload)


@given(PAYLOADS, st.lists(INTS | TEXTS | st.none(), min_size=1, max_size=3))
def test_fields_of_a_later_version_are_ignored(payload: Payload, later: list[object]) -> None:
    fields = msgspec.msgpack.decode(encode(payload))
    if isinstance(payload, Request):
        assert len(fields) == 20  # tag and every field: what follows is unknown
    grown = msgspec.msgpack.encode([*fields, *later])
    if len(fields) == len(payload.__struct_fields__) + 1:
        assert repr(decode(grown)) == repr(payload)


def test_nan_infinities_and_null_of_a_label_stay_apart() -> None:
    labels = [decode(encode(Feedback(0, "r", 0, value, 0))).label for value in (math.nan, math.inf, -math.inf, None)]  # type: ignore[union-attr]
    assert [repr(label) for label in labels] == ["nan", "inf", "-inf", "None"]


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\xc1",
        b"\x00",
        msgspec.msgpack.encode({"request": 1}),
        msgspec.msgpack.encode(["request"]),
        msgspec.msgpack.encode(["reqest", 1, 2]),
        msgspec.msgpack.encode(["seal", "many", 1]),
        msgspec.msgpack.encode(["seal", 1]),
        encode(Seal(1, 2))[:-1],
        encode(Seal(1, 2)) + b"\x00",
        b"\x95\xa6request\xff\xff",
        encode(Feedback(0, "abc", 0, None, 0)).replace(b"abc", b"ab\xff"),
    ],
)
def test_bytes_that_are_no_payload_are_refused_with_a_sentence(junk: bytes) -> None:
    with pytest.raises(RecordInvalid) as refused:
        decode(junk)
    assert "expected a payload of format 1" in str(refused.value)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(junk: bytes) -> None:
    with contextlib.suppress(RecordInvalid):
        decode(junk)


def test_rows_of_a_record_keep_their_numbers_when_others_were_erased() -> None:
    part = PartRequest(1, "r", Outcome.ANSWERED, 200, "", "v1", 0, "m", "stable", 1, 1, 5, 0, 0, 0, erased=(0, 3))
    assert decode(encode(part)) == part
    assert isinstance(part, Request)
    assert list(row_numbers(part, 3)) == [1, 2, 4]


def test_a_schema_without_private_features_is_written_as_it_always_was() -> None:
    schema = Schema(0, "m", "1", "sha256:0", (), ())
    assert len(msgspec.msgpack.decode(encode(schema))) == 7
    private = msgspec.structs.replace(schema, private={"name": Privacy.DROP})
    assert decode(encode(private)) == private
    assert decode(encode(schema)) == schema
