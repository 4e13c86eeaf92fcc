"""Arrow streams: the same rows, answers and records as JSON gives, by column."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import json

from service.errors import BodyTooLarge, InvalidInput, MalformedBody, RequestError, TooManyRows, UnsupportedEncoding
from service.featurelog.record import Problem, SkewKind
from service.http.arrow import Arrow
from service.http.v1 import V1
from service.rows import STRING_CHARS_MAX, Matrix, Table
from service.served import ServedVersion
from tests.onnx_models import echo, install
from tests.unit.service.http.arrow_streams import ROWS, answered, changed, floats_contract, in_batches, stream, table
from tests.unit.service.serving import furnish, route, served

MAX_BYTES = 100_000
WIRE = Arrow(max_rows=1_000, max_bytes=MAX_BYTES)
LONG = "x" * STRING_CHARS_MAX
WORDS = pa.dictionary(pa.int8(), pa.string())
TUPLES = [tuple(row.values()) for row in ROWS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("home")
    furnish(place)
    install(place, "floats", "1", echo({"x": ("FP32", ["N", 2])}), floats_contract())
    route(place, "floats", stable="1")
    return place


@pytest.fixture(scope="module")
def floats(home: Path) -> ServedVersion:
    return served(home, "floats")


def rows(version: ServedVersion, body: bytes) -> list[Any]:
    decoded = WIRE.decode(version, body).inputs
    assert isinstance(decoded, Table)
    return decoded.rows


def refused(version: ServedVersion, given: pa.Table) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        WIRE.decode(version, stream(given))
    return error.value


# --- what is taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "types",
    [
        {},
        {"amount": pa.float32(), "count": pa.int8()},
        {"count": pa.float64()},  # pandas' integers with a null among them
        {"city": pa.large_string()},
        {"city": pa.dictionary(pa.int8(), pa.string())},
        {"city": pa.dictionary(pa.uint32(), pa.large_string())},
    ],
    ids=str,
)
@pytest.mark.parametrize("written", [{}, {"batch": 1}, {"compression": "zstd"}, {"compression": "lz4"}], ids=str)
def test_the_types_that_clients_write_give_the_same_rows(
    mixed: ServedVersion, types: dict[str, pa.DataType], written: dict[str, Any]
) -> None:
    found = rows(mixed, stream(table(**types), **written))
    assert found == TUPLES
    assert [type(cell) for cell in found[0]] == [float, float, int, bool, str]


def test_the_order_of_columns_is_the_clients_and_so_are_its_metadata(mixed: ServedVersion) -> None:
    turned = table().select(["city", "flag", "count", "ratio", "amount"]).replace_schema_metadata({"pandas": "{}"})
    assert rows(mixed, stream(turned)) == TUPLES


@pytest.mark.parametrize("city", [pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.null()], ids=str)
@pytest.mark.parametrize("amount", [pa.float64(), pa.float32(), pa.float16(), pa.int64(), pa.null()], ids=str)
def test_nulls_are_missing_values_where_they_may_be(
    mixed: ServedVersion, city: pa.DataType, amount: pa.DataType
) -> None:
    given = [{**ROWS[0], "amount": None, "city": None}, {**ROWS[1], "amount": None if amount == pa.null() else 2}]
    given[1]["city"] = None if city == pa.null() else "rome"
    expected = [(None, 2.5, 3, True, None), (given[1]["amount"], 0.5, -4, False, given[1]["city"])]
    found = rows(mixed, stream(table(given, amount=amount, city=city)))
    assert found == expected
    assert isinstance(found[1][0], float | None)


@pytest.mark.parametrize("city", [pa.string(), WORDS], ids=str)
def test_a_text_as_long_as_one_may_be_is_taken(mixed: ServedVersion, city: pa.DataType) -> None:
    assert rows(mixed, stream(changed("city", [LONG, None], city)))[0][-1] == LONG


def test_a_view_of_one_text_by_many_rows_is_refused_before_it_is_read(mixed: ServedVersion) -> None:
    view = struct.pack("<i4sii", len(LONG), LONG[:4].encode(), 0, 0)
    buffers = [None, pa.py_buffer(view * 500), pa.py_buffer(LONG.encode())]
    city = pa.Array.from_buffers(pa.string_view(), 500, buffers)
    given = table(ROWS * 250).drop_columns(["city"]).append_column("city", city)
    error = refused(mixed, given)
    assert [str(fault.at) for fault in error.faults] == ["/city"]


def test_numbers_alone_go_side_by_side_without_rows(floats: ServedVersion) -> None:
    given = pa.table({"b": pa.array([1, 2], pa.int64()), "a": pa.array([0.5, 1.5], pa.float32())})
    decoded = WIRE.decode(floats, stream(given)).inputs
    assert isinstance(decoded, Matrix)
    assert decoded.values.tolist() == [[0.5, 1.0], [1.5, 2.0]]
    missing = pa.table({"a": [0.5, 1.5], "b": pa.array([None, 2.0], pa.float64())})
    assert rows(floats, stream(missing)) == [(0.5, None), (1.5, 2.0)]


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "at", "problem", "kind"),
    [
        (changed("amount", ["1", "2"]), "/amount", "found string, expected floating", SkewKind.WRONG_TYPE),
        (changed("amount", [True, False]), "/amount", "found bool", SkewKind.WRONG_TYPE),
        (changed("flag", [1, 0]), "/flag", "found int64, expected bool", SkewKind.WRONG_TYPE),
        (changed("city", [b"a", b"b"]), "/city", "found binary, expected string or large_string", SkewKind.WRONG_TYPE),
        (changed("city", ["a", "b"], pa.string_view()), "/city", "found string_view, expected", SkewKind.WRONG_TYPE),
        (changed("city", [b"a", b"b"], pa.binary_view()), "/city", "found binary_view", SkewKind.WRONG_TYPE),
        (changed("city", ["", LONG + "x"]), "/city/1", "found 65537 characters", SkewKind.WRONG_TYPE),
        (changed("city", [LONG + "x", None]), "/city/0", "characters, at most 65536", SkewKind.WRONG_TYPE),
        (changed("city", ["", LONG + "x"], WORDS), "/city/1", "found 65537 characters", SkewKind.WRONG_TYPE),
        (changed("city", [["a"], ["b"]]), "/city", "found list<", SkewKind.WRONG_TYPE),
        (changed("ratio", [None, None]), "/ratio", "found null", SkewKind.WRONG_TYPE),
        (changed("count", [1, None], pa.int64()), "/count/1", "null, expected an integer", SkewKind.NULL),
        (changed("count", [1.0, 1.5]), "/count/1", "found a number, expected an integer", SkewKind.WRONG_TYPE),
        (changed("count", [1, 2**31]), "/count/1", "expected an integer from -2147483648", SkewKind.WRONG_TYPE),
        (changed("ratio", [1.0, np.nan]), "/ratio/1", "NaN, expected a number", SkewKind.NAN),
        (changed("amount", [None, np.nan], pa.float64()), "/amount/1", "NaN, expected a number", SkewKind.NAN),
        (changed("flag", [None, True]), "/flag/0", "null, expected true or false", SkewKind.NULL),
        (table().drop_columns(["flag"]), "/flag", "missing column", SkewKind.ABSENT),
        (table().append_column("a/b", [[1, 2]]), "/a~1b", "unknown feature", SkewKind.UNKNOWN),
        (table().append_column("flag", [[True, True]]), "/flag", "this column twice", SkewKind.SHAPE),
        (table([]), "/", "no rows, expected at least one", SkewKind.SHAPE),
    ],
    ids=str,
)
def test_what_does_not_meet_the_contract_is_refused_with_column_and_row(
    mixed: ServedVersion, given: pa.Table, at: str, problem: str, kind: SkewKind
) -> None:
    error = refused(mixed, given)
    assert [(fault.at, problem in fault.problem) for fault in error.faults] == [(at, True)], error.faults
    name = "" if kind == SkewKind.UNKNOWN or at == "/" else at.split("/")[1]
    assert [(one.kind, one.column) for one in error.problems] == [(kind, name)]


def test_all_faults_are_told_and_counted_by_row(mixed: ServedVersion) -> None:
    given = [{**ROWS[0], "ratio": np.nan, "flag": None}, ROWS[1], {**ROWS[0], "ratio": np.nan}]
    error = refused(mixed, table(given))
    assert {fault.at for fault in error.faults} == {"/ratio/0", "/flag/0", "/ratio/2"}
    assert error.problems == [Problem(SkewKind.NAN, "ratio", 2), Problem(SkewKind.NULL, "flag", 1)]
    assert error.rows == 3


def test_a_model_without_columns_is_refused(home: Path) -> None:
    with pytest.raises(UnsupportedEncoding, match="has no columns"):
        WIRE.decode(served(home, "image"), stream(table()))


def test_more_rows_than_may_be_are_refused_before_they_are_read(mixed: ServedVersion) -> None:
    with pytest.raises(TooManyRows, match="1002 rows"):
        WIRE.decode(mixed, stream(table(ROWS * 501), batch=10))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_buffers_that_would_expand_beyond_the_limit_are_refused_before_they_do(
    mixed: ServedVersion, compression: str
) -> None:
    body = stream(table([{**ROWS[0], "city": "o" * MAX_BYTES}]), compression=compression)
    assert len(body) < MAX_BYTES / 20
    before = pa.default_memory_pool().bytes_allocated(), pa.default_memory_pool().max_memory()
    with pytest.raises(BodyTooLarge):
        WIRE.decode(mixed, body)
    assert (pa.default_memory_pool().bytes_allocated(), pa.default_memory_pool().max_memory()) == before


def test_a_dictionary_that_stands_for_more_text_than_a_body_may_hold_is_refused(mixed: ServedVersion) -> None:
    given = table([{**ROWS[0], "city": "o" * 1_000}] * 500, city=pa.dictionary(pa.int8(), pa.string()))
    body = stream(given)
    assert len(body) < MAX_BYTES / 5
    with pytest.raises(BodyTooLarge):
        WIRE.decode(mixed, body)


@pytest.mark.parametrize("number", [-1, 2, 2**31 - 1])
def test_a_number_that_names_no_word_is_malformed(mixed: ServedVersion, number: int) -> None:
    with pytest.raises(MalformedBody, match=f"word {number} of a dictionary of 2"):
        WIRE.decode(mixed, in_batches(["oslo", "rome"], [0, number]))


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 8, b"\xff\xff\xff\xff\x00\x00\x00\x00", b"ARROW1\x00\x00" * 9])
def test_what_is_no_stream_is_malformed(mixed: ServedVersion, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        WIRE.decode(mixed, body)


def test_bytes_after_the_end_of_a_stream_are_refused(mixed: ServedVersion) -> None:
    body = stream(table())
    for after in (b"\0", body):
        with pytest.raises(MalformedBody, match="bytes after its end"):
            WIRE.decode(mixed, body + after)


def test_a_stream_cut_anywhere_is_malformed_or_has_fewer_batches(mixed: ServedVersion) -> None:
    body = stream(table(ROWS * 2), batch=2)
    borders = 0
    for end in range(len(body)):
        try:
            found = rows(mixed, body[:end])
        except RequestError:
            continue
        borders += 1
        assert found in (TUPLES, TUPLES * 2)
    assert borders <= 2, "a writer may end a stream by closing it: only so is a part a whole"


# --- the same as JSON ---------------------------------------------------------------------------------------------

CELLS = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(-1e6, 1e6),
        "ratio": st.floats(-1e6, 1e6, width=32),
        "count": st.integers(-(2**31), 2**31 - 1),
        "flag": st.booleans(),
        "city": st.none() | st.sampled_from(["oslo", "rome", "Tromsø", ""]),
    }
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(
    given=st.lists(CELLS, min_size=1, max_size=20),
    batch=st.integers(1, 20),
    city=st.sampled_from([pa.string(), pa.dictionary(pa.int8(), pa.string())]),
)
def test_arrow_and_json_give_the_same_rows_and_outputs(
    mixed: ServedVersion, given: list[dict[str, Any]], batch: int, city: pa.DataType
) -> None:
    v1 = V1()
    by_json = v1.decode(mixed, json.encode({"instances": given}))
    by_arrow = WIRE.decode(mixed, stream(table(given, city=city), batch=batch))
    assert by_arrow.inputs == by_json.inputs
    outputs = mixed.session.run(mixed.tensors(by_arrow.inputs))
    predictions = json.decode(v1.encode(mixed, outputs, by_json, "id").body)["predictions"]
    found = answered(WIRE.encode(mixed, outputs, by_arrow, "id").body).to_pylist()
    told = [{name: None if cell != cell else cell for name, cell in row.items()} for row in found]  # JSON has no NaN
    assert told == [{name: cells[0] for name, cells in row.items()} for row in predictions]
