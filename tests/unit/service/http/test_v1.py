"""What V1 takes and refuses; every refusal with status, place and expectation."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import FAULTS_MAX, InvalidInput, MalformedBody, RequestError
from service.featurelog.record import Problem, SkewKind
from service.http.errors import error_answer
from service.http.v1 import V1, native_model
from service.rows import PlainTensors, Table
from service.served import ServedVersion
from service.validation import examine
from tests.unit.service.serving import ROW

WIRE = V1()


def body(*instances: Any) -> bytes:
    return msgspec.json.encode({"instances": instances})


def refused(version: ServedVersion, data: bytes) -> RequestError:
    with pytest.raises(RequestError) as error:
        WIRE.decode(version, data)
    return error.value


def details(error: RequestError) -> list[tuple[str, str]]:
    found = msgspec.json.decode(error_answer(error, "id").body)
    assert error_answer(error, "id").status == 400
    return [(one["at"], one["problem"]) for one in found["details"]]


def changed(**cells: Any) -> dict[str, Any]:
    return {**ROW, **cells}


@pytest.mark.parametrize(
    "instance", [ROW, list(ROW.values()), changed(amount=None, city=None), changed(ratio=3, count=3.0)]
)
def test_a_row_is_an_object_by_name_or_a_list_in_order(mixed: ServedVersion, instance: Any) -> None:
    decoded = WIRE.decode(mixed, body(instance, instance)).inputs
    assert isinstance(decoded, Table)
    values = instance.values() if isinstance(instance, dict) else instance
    assert [list(row) for row in decoded.rows] == [list(values)] * 2
    assert [type(cell) for cell in decoded.rows[0][1:4]] == [float, int, bool]


RAW = b'{"instances": [%s]}'


@pytest.mark.parametrize(
    ("data", "at", "problem"),
    [
        (body(changed(other=1)), "/instances/0/other", "unknown feature"),
        (body(ROW, changed(**{"a/b~c": 1})), "/instances/1/a~1b~0c", "unknown feature"),
        (body({"amount": 1}), "/instances/0/ratio", "missing, expected a number"),
        (body(ROW, changed(ratio="1.5")), "/instances/1/ratio", "found a string, expected a number"),
        (body(changed(ratio=None)), "/instances/0/ratio", "null, expected a number (not nullable)"),
        (body(changed(ratio=True)), "/instances/0/ratio", "found a boolean, expected a number"),
        (body(changed(count=1.5)), "/instances/0/count", "found a number, expected an integer"),
        (body(changed(count=2**40)), "/instances/0/count", "from -2147483648 to 2147483647"),
        (body(changed(count=2**80)), "/instances/0/count", "from -2147483648 to 2147483647"),
        (body(changed(city=["oslo"])), "/instances/0/city", "found a list, expected a string or null"),
        (body([1, 2, 3]), "/instances/0", "3 values, expected 5"),
        (body([1, 2, 3, True, "x", 6]), "/instances/0", "6 values, expected 5"),
        (body(ROW, [1, 2, 3]), "/instances/1", "3 values, expected 5"),
        (body([[[[1]]]]), "/instances/0", "1 values, expected 5"),
        (body("text"), "/instances/0", "found a string, expected an object or a list"),
        (body(), "/instances", "no rows, expected at least one"),
    ],
)
def test_what_does_not_meet_the_contract_is_refused_with_place_and_expectation(
    mixed: ServedVersion, data: bytes, at: str, problem: str
) -> None:
    error = refused(mixed, data)
    assert isinstance(error, InvalidInput)
    assert any(found == at and problem in said for found, said in details(error)), details(error)
    assert error.problems


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"[]",
        b"null",
        b'{"rows": []}',
        b'{"instances": 1}',
        b'{"instances": {"a": 1}}',
        RAW % b'{"amount": NaN}',
        RAW % b"[NaN, 1, 1, true, null]",
        RAW % b"[1, Infinity, 1, true, null]",
        RAW % b"[1, 1e999, 1, true, null]",
        RAW % (b"[1, 1, 1" + b"0" * 5000 + b", true, null]"),
        b'{"instances": [{"amount": 1}',
        body(ROW)[:-1],
        body(ROW) + b"x",
        body(ROW)[:20] + b"\xff\xfe" + body(ROW)[20:],
        RAW % b'"\xff"',
        RAW % b'[1, 1, 1, true, "\\ud800"]',
        RAW % b'[1, 1, 1, true, "\xed\xa0\x80"]',
        b'{"instances":' + b"[" * 100_000,
        b'{"instances":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "{}".encode("utf-16"),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_the_language_is_malformed_and_the_expectation_is_told(mixed: ServedVersion, data: bytes) -> None:
    error = refused(mixed, data)
    assert isinstance(error, MalformedBody)
    whole = 'expected a JSON object {"instances": [...]}'
    assert any(told in str(error) for told in (whole, "expected a list", "expected a number or null", "64 bits"))
    assert error_answer(error, "id").status == 400


def test_the_client_hears_the_first_faults_the_log_counts_all(mixed: ServedVersion) -> None:
    error = refused(mixed, body(*[changed(ratio="x")] * 100))
    assert isinstance(error, InvalidInput)
    assert len(details(error)) == FAULTS_MAX
    assert (error.problems, error.rows) == ([Problem(SkewKind.WRONG_TYPE, "ratio", 100)], 100)


def test_other_fields_of_the_body_are_left_aside(mixed: ServedVersion) -> None:
    data = msgspec.json.encode({"signature_name": "serving_default", "instances": [ROW]})
    assert WIRE.decode(mixed, data).inputs.n == 1


def test_of_a_name_that_comes_twice_the_last_counts(mixed: ServedVersion) -> None:
    """RFC 8259 leaves it open, the decoder cannot tell; V2 refuses an input that comes twice."""
    data = b'{"instances": [{"amount": 1, "amount": 2, "ratio": 1, "count": 1, "flag": true, "city": null}]}'
    decoded = WIRE.decode(mixed, data).inputs
    assert isinstance(decoded, Table) and decoded.rows[0][0] == 2.0


NUMBERS = (
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9).map(float)
)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=4)
MAYBE = st.fixed_dictionaries(
    {
        "amount": st.none() | NUMBERS | SCALARS,
        "ratio": NUMBERS | SCALARS,
        "count": st.integers(-5, 5) | SCALARS,
        "flag": st.booleans() | SCALARS,
        "city": st.text(max_size=4) | SCALARS,
    },
    optional={"other": SCALARS},
)
FINE = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(-1, 1),
        "ratio": st.floats(-1, 1) | st.integers(-5, 5),
        "count": st.integers(-5, 5),
        "flag": st.booleans(),
        "city": st.none() | st.text(max_size=4),
    }
)
INSTANCES = st.lists(FINE | MAYBE | FINE.map(lambda row: list(row.values())), min_size=1, max_size=4)


@given(instances=st.lists(FINE, min_size=1, max_size=4) | INSTANCES)
def test_the_fast_path_and_the_slow_path_agree(mixed: ServedVersion, instances: list[Any]) -> None:
    data = body(*instances)
    slow = examine(mixed.contract, msgspec.json.decode(data)["instances"], lambda row, column: column)
    try:
        decoded = WIRE.decode(mixed, data).inputs
    except InvalidInput as error:
        assert slow.faults
        assert error.problems == slow.problems
    else:
        assert isinstance(decoded, Table)
        assert (decoded.rows, slow.faults) == (slow.rows, [])
        assert [list(map(type, row)) for row in decoded.rows] == [list(map(type, row)) for row in slow.rows]


@given(data=st.binary(max_size=50) | st.binary(max_size=20).map(lambda part: body(ROW)[:30] + part))
def test_no_body_raises_anything_but_a_request_error(mixed: ServedVersion, image: ServedVersion, data: bytes) -> None:
    for version in (mixed, image):
        try:
            WIRE.decode(version, data)
        except RequestError as error:
            assert str(error)


# --- plain tensors ------------------------------------------------------------------------------------------------


def test_an_instance_of_a_plain_tensor_is_its_value(image: ServedVersion) -> None:
    decoded = WIRE.decode(image, body([[1, 2.5], [3, 4]], [[0, 0], [0, 1]])).inputs
    assert isinstance(decoded, PlainTensors)
    assert decoded.arrays["image"].tolist() == [[[1, 2.5], [3, 4]], [[0, 0], [0, 1]]]


@pytest.mark.parametrize(
    ("instances", "problem", "kind"),
    [
        ([], "no rows", SkewKind.SHAPE),
        ([[[1, 2], [3]]], "found a list, expected numbers", SkewKind.WRONG_TYPE),
        ([[[1, 2, 3], [4, 5, 6]]], "shape [1, 2, 3], expected [-1, 2, 2]", SkewKind.SHAPE),
        ([[1, 2]], "shape [1, 2], expected [-1, 2, 2]", SkewKind.SHAPE),
        ([7], "shape [1], expected [-1, 2, 2]", SkewKind.SHAPE),
        ([[["1", 2], [3, 4]]], "found a string, expected numbers", SkewKind.WRONG_TYPE),
        ([[[True, 2], [3, 4]]], "found a boolean, expected numbers", SkewKind.WRONG_TYPE),
        ([[[None, 2], [3, 4]]], "found null, expected numbers", SkewKind.WRONG_TYPE),
        ([{"image": [[1, 2], [3, 4]]}], "found an object, expected numbers", SkewKind.WRONG_TYPE),
    ],
)
def test_a_plain_tensor_is_as_strict_as_a_column(
    image: ServedVersion, instances: list[Any], problem: str, kind: SkewKind
) -> None:
    error = refused(image, body(*instances))
    assert isinstance(error, InvalidInput)
    assert details(error)[0][0] == "/instances"
    assert problem in details(error)[0][1]
    assert error.problems == [Problem(kind, "", len(instances))]


# --- native -------------------------------------------------------------------------------------------------------


def test_a_native_body_names_its_model() -> None:
    assert native_model(b'{"model": "mixed", "instances": []}') == "mixed"
    for data in (b"{}", b"junk", b'{"model": 1}', b'{"model": "\xff"}', b"[" * 100_000):
        with pytest.raises(MalformedBody):
            native_model(data)


# --- answers ------------------------------------------------------------------------------------------------------


def test_one_output_is_a_list_and_several_are_objects_by_name(mixed: ServedVersion, image: ServedVersion) -> None:
    decoded = WIRE.decode(mixed, body(ROW, ROW))
    outputs = mixed.session.run(mixed.tensors(decoded.inputs))
    answer = msgspec.json.decode(WIRE.encode(mixed, outputs, decoded, "id").body)
    assert answer == {"predictions": [{"score": [7.0], "place": ["oslo"], "flagged": [True]}] * 2}
    assert msgspec.json.decode(WIRE.encode(image, outputs[:1], decoded, "id").body) == {"predictions": [[7.0], [7.0]]}
