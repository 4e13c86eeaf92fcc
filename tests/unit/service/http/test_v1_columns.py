"""V1 in columns: the same rows as V1 in rows, answered in columns, refused with the place in the client's own body."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Column, Contract, Kind, Tensor
from service.errors import InvalidInput, MalformedBody, RequestError
from service.featurelog.record import SkewKind
from service.http.v1 import V1
from service.rows import PlainTensors, Table
from service.served import ServedVersion
from tests.onnx_models import echo, install
from tests.unit.service.serving import furnish, served

WIRE = V1()
ROWS = [(1.5, 2.5, 3, True, "oslo"), (None, 0.5, -4, False, None)]
BY_FEATURE = {
    "amount": [1.5, None],
    "ratio": [2.5, 0.5],
    "count": [3, -4],
    "flag": [True, False],
    "city": ["oslo", None],
}
BY_TENSOR = {
    "x": [[1.5, 2.5], [None, 0.5]],
    "count": [[3], [-4]],
    "flag": [[True], [False]],
    "city": [["oslo"], [None]],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("home")
    furnish(place)
    pair = Contract(
        features=(Column(name="a/b", kind=Kind.FLOAT), Column(name="c", kind=Kind.FLOAT)),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 2), columns=("c", "a/b")),),
        outputs=(Tensor(name="x_out", datatype="FP32", shape=(-1, 2)),),
        output_columns=(),
    )
    install(place, "pair", "1", echo({"x": ("FP32", ["N", 2])}), pair)
    return place


@pytest.fixture(scope="module")
def pair(home: Path) -> ServedVersion:
    return served(home, "pair")


def body(inputs: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"inputs": inputs, **more})


def refused(version: ServedVersion, data: bytes) -> RequestError:
    with pytest.raises(RequestError) as error:
        WIRE.decode(version, data)
    return error.value


@pytest.mark.parametrize(
    "inputs",
    [
        BY_FEATURE,
        {**BY_FEATURE, "count": [[3], [-4]]},
        dict(reversed(BY_FEATURE.items())),
        BY_TENSOR,
        {**BY_TENSOR, "count": [3, -4]},
    ],
)
def test_columns_by_feature_or_by_tensor_are_the_rows(mixed: ServedVersion, inputs: Any) -> None:
    decoded = WIRE.decode(mixed, body(inputs, signature_name="serving_default")).inputs
    assert isinstance(decoded, Table)
    assert decoded.rows == ROWS


@pytest.mark.parametrize("inputs", [[[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]]}, {"a/b": [2, 4], "c": [1, 3]}])
def test_the_one_tensor_needs_no_name_and_keeps_its_own_order(pair: ServedVersion, inputs: Any) -> None:
    decoded = WIRE.decode(pair, body(inputs)).inputs
    assert isinstance(decoded, Table)
    assert decoded.rows == [(2.0, 1.0), (4.0, 3.0)]
    assert pair.tensors(decoded)["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("inputs", [[[[1, 2], [3, 4]]], {"image": [[[1, 2], [3, 4]]]}])
def test_a_plain_tensor_comes_with_its_name_or_without(image: ServedVersion, inputs: Any) -> None:
    decoded = WIRE.decode(image, body(inputs)).inputs
    assert isinstance(decoded, PlainTensors)
    assert decoded.arrays["image"].tolist() == [[[1, 2], [3, 4]]]


def answer(version: ServedVersion, data: bytes, outputs: int | None = None) -> Any:
    decoded = WIRE.decode(version, data)
    ran = version.session.run(version.tensors(decoded.inputs))
    return msgspec.json.decode(WIRE.encode(version, ran[:outputs], decoded, "id").body)


def test_columns_are_answered_in_columns_and_rows_in_rows(mixed: ServedVersion, image: ServedVersion) -> None:
    columns = {name: values[:1] for name, values in BY_FEATURE.items()}
    assert answer(mixed, body(columns)) == {"outputs": {"score": [[7.0]], "place": [["oslo"]], "flagged": [[True]]}}
    assert answer(mixed, body(columns), outputs=1) == {"outputs": [[7.0]]}
    picture = [[[1, 2], [3, 4]]]
    assert answer(image, body(picture)) == {"outputs": {"total": [10.0], "same": picture}}
    rows = msgspec.json.encode({"instances": [list(ROWS[0])], "signature_name": "serving_default"})
    assert list(answer(mixed, rows)) == ["predictions"]


WRONG = [
    ({**BY_FEATURE, "count": [3, "4"]}, "/inputs/count/1", "found a string", SkewKind.WRONG_TYPE),
    ({**BY_FEATURE, "ratio": [None, 1]}, "/inputs/ratio/0", "null, expected a number", SkewKind.NULL),
    ({**BY_FEATURE, "count": [3]}, "/inputs", "ragged: [1, 2] rows", SkewKind.SHAPE),
    ({**BY_FEATURE, "count": 3}, "/inputs/count", "expected a list of values", SkewKind.SHAPE),
    ({**BY_FEATURE, "a/b": [1, 2]}, "/inputs/a~1b/0", "unknown feature", SkewKind.UNKNOWN),
    ({"amount": [1]}, "/inputs", "missing, expected a number", SkewKind.ABSENT),
    ({}, "/inputs", "no rows", SkewKind.SHAPE),
    ({name: [] for name in BY_FEATURE}, "/inputs", "no rows", SkewKind.SHAPE),
    ([], "/inputs", "expected an object of columns", SkewKind.SHAPE),
    ("x", "/inputs", "expected an object of columns", SkewKind.SHAPE),
    (None, "/inputs", "expected an object of columns", SkewKind.SHAPE),
    ({**BY_TENSOR, "x": [[1.5, 2.5], [1]]}, "/inputs/x/1", "a row of 2 values", SkewKind.SHAPE),
    ({**BY_TENSOR, "x": [[1.5, 2.5], 1]}, "/inputs/x/1", "a row of 2 values", SkewKind.SHAPE),
    ({**BY_TENSOR, "x": 1}, "/inputs/x", "a list of rows", SkewKind.SHAPE),
    ({**BY_TENSOR, "x": [[1.5, "a"], [1, 2]]}, "/inputs/x/0/1", "found a string", SkewKind.WRONG_TYPE),
]


@pytest.mark.parametrize(("inputs", "at", "problem", "kind"), WRONG, ids=lambda value: repr(value)[:40])
def test_columns_that_do_not_meet_the_contract_are_refused_with_their_place(
    mixed: ServedVersion, inputs: Any, at: str, problem: str, kind: SkewKind
) -> None:
    error = refused(mixed, body(inputs))
    assert isinstance(error, InvalidInput)
    assert any(fault.at.startswith(at) and problem in fault.problem for fault in error.faults), error.faults
    assert kind in [found.kind for found in error.problems]


@pytest.mark.parametrize("inputs", [{}, {"other": [1]}, None, 1, [], ["a"], {"image": [[1]]}])
def test_a_plain_tensor_in_columns_is_as_strict(image: ServedVersion, inputs: Any) -> None:
    error = refused(image, body(inputs))
    assert isinstance(error, InvalidInput)
    assert error.faults[0].at == "/inputs"


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"inputs": [[1]], "instances": [[1, 2, 3, true, "a"]]}',
        b'{"instances": [[1, 2, 3, true, "a"]], "inputs": null}',
        b'{"inputs": ',
    ],
)
def test_a_body_has_rows_or_columns_and_not_both(mixed: ServedVersion, image: ServedVersion, data: bytes) -> None:
    for version in (mixed, image):
        assert isinstance(refused(version, data), MalformedBody)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from((*BY_FEATURE, *BY_TENSOR, "image", "?")), inner, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_no_columns_raise_anything_but_a_request_error(
    mixed: ServedVersion, image: ServedVersion, pair: ServedVersion, inputs: Any
) -> None:
    for version in (mixed, image, pair):
        try:
            decoded = WIRE.decode(version, body(inputs)).inputs
        except RequestError as error:
            assert str(error)
        else:
            assert decoded.n >= 1


# --- rows by the names of tensors ---------------------------------------------------------------------------------


def named(**changed: Any) -> bytes:
    """ROWS as TF Serving's row format names them: one object a row, a value a tensor."""
    given = [{name: cells[row] for name, cells in {**BY_TENSOR, **changed}.items()} for row in range(len(ROWS))]
    return msgspec.json.encode({"instances": given})


def test_rows_by_tensor_are_the_rows_by_feature(mixed: ServedVersion) -> None:
    flat = {name: [cell[0] for cell in BY_TENSOR[name]] for name in ("count", "flag", "city")}
    for data in (named(), named(**flat)):
        decoded = WIRE.decode(mixed, data)
        assert isinstance(decoded.inputs, Table)
        assert (decoded.inputs.rows, dict(decoded.echo)) == (ROWS, {})


@pytest.mark.parametrize(
    ("changed", "at", "problem"),
    [
        ({"x": [[1.5, 2.5], [1.5]]}, "/instances/1/x", "expected a row of 2 values"),
        ({"x": [[1.5, 2.5], 3]}, "/instances/1/x", "expected a row of 2 values"),
        ({"x": [[1.5, "a"], [1.5, 1]]}, "/instances/0/x/1", "found a string, expected a number"),
        ({"count": [[1, 2], [3]]}, "/instances/0/count", "found a list, expected an integer"),
    ],
)
def test_a_fault_in_a_row_by_tensor_has_its_place(
    mixed: ServedVersion, changed: dict[str, Any], at: str, problem: str
) -> None:
    error = refused(mixed, named(**changed))
    assert isinstance(error, InvalidInput)
    assert any(fault.at == at and problem in fault.problem for fault in error.faults), error.faults


def test_rows_of_different_names_are_judged_as_features(mixed: ServedVersion) -> None:
    data = msgspec.json.encode({"instances": [{"x": [1.5, 2.5], "count": 1, "flag": True, "city": "oslo"}, {"x": [1]}]})
    error = refused(mixed, data)
    assert isinstance(error, InvalidInput)
    assert any(fault.problem.startswith("unknown feature") for fault in error.faults)
