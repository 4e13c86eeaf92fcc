"""Frames in place of frames: as long as they were, and of what is left nothing is changed."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind
from service.featurelog.columns import request_rows
from service.featurelog.erasing import without_record, without_rows
from service.featurelog.framing import MARKER, Frame, frame, scan
from service.featurelog.readable import rows
from service.featurelog.record import (
    Block,
    Erased,
    Feedback,
    Outcome,
    PartRequest,
    Request,
    Schema,
    SchemaColumn,
    Shadow,
    TensorNote,
    decode,
    encode,
    row_numbers,
)

COLUMNS = (SchemaColumn("name", Kind.STRING, ("Ann",)), SchemaColumn("n", Kind.INT), SchemaColumn("x", Kind.FLOAT))
SCHEMA = Schema(0, "m", "1", "sha256:0", COLUMNS, (SchemaColumn("y", Kind.FLOAT),))
TEXTS = st.text(max_size=300) | st.just("Ann") | st.none() | st.just("PLB\u00f1" * 3)
CELLS = st.tuples(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(width=64), st.floats(width=64))


def block(given: list[tuple[object, ...]]) -> Block:
    text = [(row, 0, name) for row, (name, *_) in enumerate(given) if name is not None and name != "Ann"]
    nulls = b"".join(bytes([name is None, 0, 0]) for name, *_ in given)
    cells = b"".join(struct.pack("<qqd", 0 if name in (None, "Ann") else -1, n, x) for name, n, x, _ in given)
    return Block(len(given), cells, nulls if any(nulls) else None, text or None)


def request(given: list[tuple[object, ...]], **more: object) -> Request:
    outputs = Block(len(given), struct.pack(f"<{len(given)}d", *(y for *_, y in given)))
    fields = (1, "r-1", Outcome.ANSWERED, 200, "", "v1", 0, "m", "stable", 1, 1, len(given), 1, 2, 3)
    return Request(*fields, block(given), outputs, **more)  # type: ignore[arg-type]


def only(data: bytes) -> Frame:
    (found,) = scan(data)
    assert isinstance(found, Frame)
    return found


@given(st.lists(CELLS, min_size=2, max_size=400), st.data())
def test_the_rows_that_are_left_are_what_they_were(given: list[tuple[object, ...]], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, len(given) - 1), min_size=1, max_size=len(given) - 1))
    record = request(given)
    before = frame(encode(record), 7)
    found = only(after := without_rows(record, gone, 7, len(before)))
    assert (len(after), found.seq) == (len(before), 7)
    part = decode(found.payload)
    assert isinstance(part, PartRequest)
    numbers = list(row_numbers(part, len(given) - len(gone)))
    assert numbers == [number for number in range(len(given)) if number not in gone]
    assert part.features is not None
    kept = repr([row for number, row in enumerate(rows(block(given), COLUMNS)) if number in numbers])
    assert repr(rows(part.features, COLUMNS)) == kept
    tables = [request_rows("w0", 1, [(7, one)], SCHEMA)[0] for one in (record, part)]
    assert tables[0].take(numbers).to_pydict().__repr__() == tables[1].to_pydict().__repr__()


@given(st.lists(CELLS, min_size=3, max_size=40), st.data())
def test_rows_can_be_erased_one_after_the_other(given: list[tuple[object, ...]], data: st.DataObject) -> None:
    gone = sorted(data.draw(st.sets(st.integers(0, len(given) - 1), min_size=2, max_size=len(given) - 1)))
    record: Request = request(given)
    size = len(frame(encode(record), 7))
    at_once = decode(only(without_rows(record, set(gone), 7, size)).payload)
    for number in gone:
        found = decode(only(without_rows(record, {number}, 7, size)).payload)
        assert isinstance(found, PartRequest)
        record = found
    assert repr(record) == repr(at_once)


@pytest.mark.parametrize("n", [2, 127, 128, 129, 256, 300, 70_000])
@pytest.mark.parametrize("place", [0, -1])
def test_the_mark_fits_where_a_row_is_one_narrow_number(n: int, place: int) -> None:
    cells = np.arange(n, dtype="<f4")
    record = Request(1, "r", Outcome.ANSWERED, 200, "", "v2", 0, "m", "", 0, 0, n, 0, 0, 0, Block(n, cells.tobytes()))
    before = frame(encode(record), 0)
    gone = place % n
    part = decode(only(without_rows(record, {gone}, 0, len(before))).payload)
    assert isinstance(part, PartRequest)
    assert part.erased == (gone,)
    assert part.features == Block(n - 1, np.delete(cells, gone).tobytes())


@given(st.integers(1, 700))
def test_a_whole_record_of_any_length_has_a_place_holder_of_that_length(size: int) -> None:
    record = Feedback(1, "r" * size, 0, "x" * 100, 2)
    before = frame(encode(record), 9)
    found = only(without_record(record, 1, 9, len(before)))
    erased = decode(found.payload)
    assert isinstance(erased, Erased)
    assert (erased.at_us, erased.outcome, erased.rows, found.seq) == (1, "", 1, 9)


@pytest.mark.parametrize(
    "record",
    [
        Request(1, "", Outcome.FAILED, 500, "", "", -1, "", "", -1, 0, 1, 0, 0, 0),
        Shadow(1, "", 0, Outcome.ANSWERED, "", 1, 0),
        Feedback(0, "", 0, None, 0),
        Feedback(2**40, "r", 3, True, 2**40),
    ],
)
def test_the_smallest_records_have_room_for_their_place_holder(record: Request | Shadow | Feedback) -> None:
    before = frame(encode(record), 0)
    erased = decode(only(without_record(record, 0, 0, len(before))).payload)
    assert isinstance(erased, Erased)
    assert erased.outcome == ("failed" if isinstance(record, Request) else "")


def test_a_stuffed_payload_is_replaced_by_one_of_its_length() -> None:
    given = [("Ann", int.from_bytes(MARKER + MARKER, "little", signed=True), 1.0, 2.0), ("Bob", 1, 2.0, 3.0)]
    record = request(given)
    before = frame(encode(record), 0)
    assert before.count(MARKER) == 1
    for gone in (0, 1):
        after = without_rows(record, {gone}, 0, len(before))
        assert len(after) == len(before)
        assert isinstance(decode(only(after).payload), PartRequest)


def test_what_tells_of_all_rows_at_once_goes_with_the_first_of_them() -> None:
    record = request([("Ann", 1, 2.0, 3.0)] * 2, tensors=[TensorNote("t", "FP32", (2,), "hash", 1.0, 0.0)])
    part = decode(only(without_rows(record, {0}, 0, len(frame(encode(record), 0)))).payload)
    assert isinstance(part, PartRequest)
    assert part.tensors is None
