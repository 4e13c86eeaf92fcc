"""V2's binary tensor data: the same rows, answers and records as JSON gives, and every byte of a body accounted for."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.contract import Column, Contract, Kind, Tensor
from models.tensors import DTYPES
from service.errors import InvalidInput, MalformedBody, RequestError
from service.featurelog.readable import rows as rows_of
from service.featurelog.record import Outcome, Problem, Shadow, SkewKind
from service.http.errors import error_answer
from service.http.v2 import V2
from service.http.v2_binary import HEADER, flat, packed
from service.rows import Matrix, PlainTensors, Table
from service.served import ServedVersion
from tests.onnx_models import install
from tests.unit.service.serving import Service, furnish, route, served, serving, until

pytestmark = pytest.mark.slow

WIRE = V2()
ROWS = [(1.5, 2.5, 3, True, "oslo"), (0.25, 0.5, -4, False, "Tromsø")]
ELEMENTS = {
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}


def echo(datatype: str) -> bytes:
    """A plain tensor [N, 2] in, the same out."""
    tensors = [helper.make_tensor_value_info(name, ELEMENTS[datatype], ["N", 2]) for name in ("given", "same")]
    graph = helper.make_graph([helper.make_node("Identity", ["given"], ["same"])], "echo", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def echo_contract(datatype: str, *columns: Column) -> Contract:
    names = tuple(column.name for column in columns)
    return Contract(
        features=columns,
        inputs=(Tensor(name="given", datatype=datatype, shape=(-1, 2), columns=names),),
        outputs=(Tensor(name="same", datatype=datatype, shape=(-1, 2)),),
        output_columns=(),
    )


FLOATS = (Column(name="a", kind=Kind.FLOAT), Column(name="b", kind=Kind.FLOAT, nullable=True))
NUMBERS = (Column(name="a", kind=Kind.FLOAT), Column(name="b", kind=Kind.FLOAT))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("home")
    furnish(place)
    for datatype in ELEMENTS:
        install(place, f"echo-{datatype.lower()}", "1", echo(datatype), echo_contract(datatype))
        route(place, f"echo-{datatype.lower()}", stable="1")
    for datatype in ("FP16", "FP32", "FP64"):
        install(place, f"floats-{datatype.lower()}", "1", echo(datatype), echo_contract(datatype, *FLOATS))
        route(place, f"floats-{datatype.lower()}", stable="1")
    install(place, "numbers", "1", echo("FP32"), echo_contract("FP32", *NUMBERS))
    route(place, "numbers", stable="1")
    return place


@pytest.fixture(scope="module")
def floats(home: Path) -> ServedVersion:
    return served(home, "floats-fp32")


def texts(*values: str) -> bytes:
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


def binary(name: str, datatype: str, shape: list[int], data: bytes | list[Any]) -> tuple[dict[str, Any], bytes]:
    """A tensor whose data follows the JSON."""
    raw = data if isinstance(data, bytes) else np.array(data, DTYPES[datatype]).tobytes()
    about = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    return about, raw


def as_json(name: str, datatype: str, shape: list[int], data: list[Any]) -> tuple[dict[str, Any], bytes]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}, b""


Body = tuple[bytes, list[tuple[bytes, bytes]]]


def body(*tensors: tuple[dict[str, Any], bytes], pad: int = 0, after: bytes = b"", **more: Any) -> Body:
    """The body and the header that says where its JSON ends."""
    head = msgspec.json.encode({"inputs": [about for about, _ in tensors], **more}) + b" " * pad
    return b"".join([head, *(data for _, data in tensors), after]), [(HEADER, str(len(head)).encode())]


def refused(version: ServedVersion, sent: Body) -> RequestError:
    with pytest.raises(RequestError) as error:
        WIRE.decode(version, *sent)
    assert error_answer(error.value, "id").status == 400
    return error.value


def by_tensor(**changed: tuple[dict[str, Any], bytes]) -> list[tuple[dict[str, Any], bytes]]:
    tensors = {
        "x": binary("x", "FP32", [2, 2], [1.5, 2.5, 0.25, 0.5]),
        "count": binary("count", "INT32", [2, 1], [3, -4]),
        "flag": binary("flag", "BOOL", [2, 1], [True, False]),
        "city": binary("city", "BYTES", [2, 1], texts("oslo", "Tromsø")),
    }
    return list({**tensors, **changed}.values())


def by_feature(**changed: tuple[dict[str, Any], bytes]) -> list[tuple[dict[str, Any], bytes]]:
    tensors = {
        "amount": binary("amount", "FP64", [2], [1.5, 0.25]),
        "ratio": binary("ratio", "FP16", [2, 1], [2.5, 0.5]),
        "count": binary("count", "INT8", [2], [3, -4]),
        "flag": binary("flag", "BOOL", [2], [True, False]),
        "city": binary("city", "BYTES", [2], texts("oslo", "Tromsø")),
    }
    return list({**tensors, **changed}.values())


# --- values -------------------------------------------------------------------------------------------------------


@given(
    datatype=st.sampled_from([name for name in DTYPES if name not in ("BYTES", "BOOL")]), data=st.binary(max_size=64)
)
def test_every_bit_of_a_number_survives(datatype: str, data: bytes) -> None:
    width = np.dtype(DTYPES[datatype]).itemsize
    whole = data[: len(data) // width * width]
    array = flat(memoryview(whole), datatype, [len(whole) // width])
    assert isinstance(array, np.ndarray)
    assert packed(array, datatype) == whole


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8))
def test_every_text_survives(values: list[str]) -> None:
    sendable = [value for value in values if value.isprintable()] or [""]
    assert flat(memoryview(texts(*sendable)), "BYTES", [len(sendable)]) == sendable
    assert packed(np.array(sendable, dtype=object), "BYTES") == texts(*sendable)


@pytest.mark.parametrize("pad", range(9))
def test_a_number_is_read_wherever_the_json_ends(floats: ServedVersion, pad: int) -> None:
    decoded = WIRE.decode(floats, *body(binary("given", "FP32", [1, 2], [1.5, -2.5]), pad=pad)).inputs
    assert isinstance(decoded, Matrix)
    assert decoded.values.flags.aligned
    assert decoded.rows == [(1.5, -2.5)]


# --- the same as JSON ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensors",
    [
        by_tensor(),
        by_tensor()[::-1],
        by_feature(),
        by_feature()[::-1],
        by_feature(
            amount=as_json("amount", "FP64", [2], [1.5, 0.25]), flag=as_json("flag", "BOOL", [2], [True, False])
        ),
        by_tensor(city=as_json("city", "BYTES", [2, 1], [["oslo"], ["Tromsø"]])),
    ],
)
def test_binary_json_and_mixed_inputs_give_the_same_rows(mixed: ServedVersion, tensors: list[Any]) -> None:
    decoded = WIRE.decode(mixed, *body(*tensors)).inputs
    assert isinstance(decoded, Table)
    assert decoded.rows == ROWS
    assert [list(map(type, row)) for row in decoded.rows] == [list(map(type, row)) for row in ROWS]


def test_a_null_goes_as_json_beside_binary_columns(mixed: ServedVersion) -> None:
    decoded = WIRE.decode(mixed, *body(*by_feature(amount=as_json("amount", "FP64", [2], [None, 0.25])))).inputs
    assert isinstance(decoded, Table)
    assert [row[0] for row in decoded.rows] == [None, 0.25]


@pytest.mark.parametrize("datatype", list(ELEMENTS))
def test_every_datatype_goes_in_and_comes_out_by_either_way(home: Path, datatype: str) -> None:
    version = served(home, f"echo-{datatype.lower()}")
    values: list[Any] = ["a", "ø"] if datatype == "BYTES" else [True, False] if datatype == "BOOL" else [1, 2]
    data = texts(*values) if datatype == "BYTES" else values
    for tensor in (binary("given", datatype, [1, 2], data), as_json("given", datatype, [1, 2], values)):
        for wish in (True, False):
            decoded = WIRE.decode(version, *body(tensor, parameters={"binary_data_output": wish}))
            assert isinstance(decoded.inputs, PlainTensors)
            answer = WIRE.encode(version, version.session.run(version.tensors(decoded.inputs)), decoded, "id")
            size = int(dict(answer.headers)[HEADER]) if wish else len(answer.body)
            (output,) = msgspec.json.decode(answer.body[:size])["outputs"]
            assert (output["datatype"], output["shape"]) == (datatype, [1, 2])
            found = output["data"] if not wish else flat(memoryview(answer.body)[size:], datatype, [2])
            assert list(found) == values


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
@pytest.mark.parametrize("sent_as", ["FP64", "FP32", "FP16", "INT16", "UINT8"])
def test_a_matrix_is_logged_and_run_as_its_rows_would_be(home: Path, datatype: str, sent_as: str) -> None:
    version = served(home, f"floats-{datatype.lower()}")
    values = [[1.0, 2.0], [3.0, 100.0], [0.0, 7.0]]
    many = [
        body(binary("given", sent_as, [3, 2], values)),
        body(*(binary(name, sent_as, [3], [row[i] for row in values]) for i, name in enumerate("ab"))),
        body(as_json("given", sent_as, [3, 2], [1, 2.0, 3.0, 100, 0.0, 7])),
        body(*(as_json(name, sent_as, [3], [row[i] for row in values]) for i, name in enumerate("ab"))),
    ]
    table = Table([tuple(row) for row in values])
    for sent in many:
        matrix = WIRE.decode(version, *sent).inputs
        assert isinstance(matrix, Matrix)
        assert (matrix.n, matrix.rows) == (3, table.rows)
        logged = rows_of(version.blocks.matrix(matrix.values), version.schema.features)
        assert logged == rows_of(version.blocks.block(table.rows), version.schema.features)
        assert version.tensors(matrix)["given"].tobytes() == version.tensors(table)["given"].tobytes()


def test_a_matrix_beyond_the_graphs_float_is_infinite_to_it_and_exact_in_the_log(floats: ServedVersion) -> None:
    matrix = WIRE.decode(floats, *body(binary("given", "FP64", [1, 2], [1e300, -1.0]))).inputs
    assert isinstance(matrix, Matrix)
    assert floats.tensors(matrix)["given"].tolist() == [[float("inf"), -1.0]]
    assert floats.blocks.matrix(matrix.values).cells == struct.pack("<dd", 1e300, -1.0)


def test_numbers_sent_in_32_bits_are_logged_in_32_bits_and_read_back_as_they_are(floats: ServedVersion) -> None:
    given = np.array([[0.1, -0.0], [np.inf, 1e-45]], np.float32)
    block = floats.blocks.matrix(given)
    assert block.cells == given.tobytes()
    found = np.array([list(row.values()) for row in rows_of(block, floats.schema.features)])
    assert found.astype("<f8").tobytes() == given.astype("<f8").tobytes()


def test_booleans_among_floats_are_refused_as_they_are_in_json(floats: ServedVersion) -> None:
    error = refused(floats, body(binary("given", "BOOL", [1, 2], [True, False])))
    assert "found a boolean, expected a number" in str(error)


def test_a_null_among_floats_that_may_be_null_is_a_null(floats: ServedVersion) -> None:
    decoded = WIRE.decode(floats, *body(as_json("given", "FP64", [1, 2], [1.0, None])))
    assert isinstance(decoded.inputs, Table) and decoded.inputs.rows == [(1.0, None)]


@pytest.mark.parametrize("odd", [True, "1", 10**400, [1.0], {}])
def test_what_is_no_number_among_floats_is_told_with_its_place(floats: ServedVersion, odd: Any) -> None:
    error = refused(floats, body(as_json("given", "FP64", [2, 2], [1.0, 2.0, 3.0, odd])))
    assert isinstance(error, InvalidInput | MalformedBody)
    assert not isinstance(error, InvalidInput) or [fault.at for fault in error.faults] == ["/inputs/0/data/3"]


@pytest.mark.parametrize(
    "tensors",
    [
        [as_json("given", "FP32", [2, 2], data)]
        for data in (
            [1, 2.5, -3, 2**53 + 1],
            [[1.5, 2.0], [3.0, 4]],
            [1.0, 2.0, 3.0],
            [1.0, 2.0, 3.0, True],
            [1.0, None, 3.0, "4"],
            [1.0, 2.0, 3.0, 10**400],
            [1.0, 2.0, 3.0, [4.0]],
            {"a": 1},
        )
    ]
    + [
        [as_json("b", "FP64", [2], [1, 2.5]), as_json("a", "INT64", [2], [3, 4])],
        [as_json("a", "FP64", [2], [1.5, 2.5])],
        [as_json("given", "BYTES", [2, 2], [1.0, 2.0, 3.0, 4.0])],
        [binary("given", "FP32", [2, 2], [1.0, 2.0, 3.0, 4.0])],
    ],
    ids=repr,
)
def test_a_body_of_numbers_is_read_as_any_other_body(home: Path, tensors: list[tuple[dict[str, Any], bytes]]) -> None:
    def found(version: ServedVersion) -> object:
        try:
            inputs = WIRE.decode(version, *body(*tensors)).inputs
        except RequestError as error:
            return error_answer(error, "id")
        assert isinstance(inputs, Matrix)
        return inputs.rows, {name: array.tobytes() for name, array in version.tensors(inputs).items()}

    quick, slow = served(home, "numbers"), served(home, "numbers")
    assert quick.numbers
    assert quick.whole is not None
    slow.numbers, slow.whole = False, None
    assert found(quick) == found(slow)


@pytest.mark.parametrize("model", ["floats-fp32", "mixed"])
def test_the_record_of_a_binary_request_is_that_of_its_json(home: Path, tmp_path: Path, model: str) -> None:
    raw = {"floats-fp32": [binary("given", "FP32", [2, 2], [1.5, 2.5, 0.25, 0.5])], "mixed": by_tensor()}
    json = {
        "floats-fp32": [as_json("given", "FP32", [2, 2], [1.5, 2.5, 0.25, 0.5])],
        "mixed": [
            as_json("x", "FP32", [2, 2], [1.5, 2.5, 0.25, 0.5]),
            as_json("count", "INT32", [2, 1], [3, -4]),
            as_json("flag", "BOOL", [2, 1], [True, False]),
            as_json("city", "BYTES", [2, 1], ["oslo", "Tromsø"]),
        ],
    }

    async def test() -> None:
        furnish(tmp_path)
        install(tmp_path, "floats-fp32", "1", echo("FP32"), echo_contract("FP32", *FLOATS))
        route(tmp_path, "floats-fp32", stable="1")
        async with serving(tmp_path) as service:
            answers = []
            for tensors in (raw[model], json[model]):
                data, headers = body(*tensors)
                answers.append(await service.ask("POST", f"/v2/models/{model}/infer", data, headers))
            assert [answer.status for answer in answers] == [200, 200], answers[0].body
            assert answers[0].json["outputs"] == answers[1].json["outputs"]
            first, second = service.requests()
            columns = served(tmp_path, model).schema.features
            assert first.features is not None and second.features is not None
            assert rows_of(first.features, columns) == rows_of(second.features, columns)
            assert first.outputs == second.outputs

    asyncio.run(test())


# --- answers ------------------------------------------------------------------------------------------------------


def answer(version: ServedVersion, **more: Any) -> tuple[dict[str, Any], bytes, dict[bytes, bytes]]:
    decoded = WIRE.decode(version, *body(*by_tensor(), **more))
    encoded = WIRE.encode(version, version.session.run(version.tensors(decoded.inputs)), decoded, "request-id")
    headers = dict(encoded.headers)
    size = int(headers.get(HEADER, len(encoded.body)))
    assert (encoded.content_type == b"application/octet-stream") == (HEADER in headers)
    return msgspec.json.decode(encoded.body[:size]), encoded.body[size:], headers


def test_binary_outputs_follow_the_json_in_its_order(mixed: ServedVersion) -> None:
    about, data, _ = answer(mixed, id="mine", parameters={"binary_data_output": True})
    assert about["id"] == "mine"
    assert [one["parameters"] for one in about["outputs"]] == [{"binary_data_size": size} for size in (8, 19, 2)]
    assert all("data" not in one for one in about["outputs"])
    assert data == np.float32([7.0, -3.25]).tobytes() + texts("oslo", "Tromsø") + b"\x01\x00"


def test_each_output_says_for_itself_how_it_comes(mixed: ServedVersion) -> None:
    outputs = [
        {"name": "flagged", "parameters": {"binary_data": True}},
        {"name": "place", "parameters": {"binary_data": False}},
        {"name": "score"},
    ]
    about, data, _ = answer(mixed, outputs=outputs)
    assert [("data" in one, one.get("parameters")) for one in about["outputs"]] == [
        (False, {"binary_data_size": 2}),
        (True, None),
        (True, None),
    ]
    assert data == b"\x01\x00"
    about, data, _ = answer(mixed, outputs=outputs, parameters={"binary_data_output": True})
    assert ["data" in one for one in about["outputs"]] == [False, True, False]
    assert data == b"\x01\x00" + np.float32([7.0, -3.25]).tobytes()


def test_binary_inputs_alone_get_json_back(mixed: ServedVersion) -> None:
    about, data, headers = answer(mixed, parameters={"other": "kept out of it"})
    assert (data, headers) == (b"", {})
    assert about["outputs"][0]["data"] == [7.0, -3.25]


# --- faults -------------------------------------------------------------------------------------------------------

Sent = tuple[dict[str, Any], bytes]
NAN = float("nan")


def count(**changed: Any) -> Sent:
    """The tensor `count` without data, described as given."""
    return {"name": "count", "datatype": "INT32", "shape": [2, 1], **changed}, b""


def city(data: bytes, n: int = 2) -> Sent:
    return binary("city", "BYTES", [n, 1], data)


WRONG: list[tuple[Sent, str, str, SkewKind, str]] = [
    (binary("x", "FP32", [2, 2], [1, 2, NAN, 3]), "data/2", "NaN", SkewKind.NAN, "amount"),
    (binary("x", "FP32", [2**60, 2], b""), "data", "0 bytes, expected", SkewKind.SHAPE, ""),
    (binary("count", "INT64", [2, 1], [2**40, 1]), "data/0", "2147483647", SkewKind.WRONG_TYPE, "count"),
    (binary("count", "FP32", [2, 1], [0.5, 1]), "data/0", "an integer", SkewKind.WRONG_TYPE, "count"),
    (binary("count", "INT32", [2, 1], b"1234567"), "data", "7 bytes, expected 8", SkewKind.SHAPE, ""),
    (binary("flag", "BOOL", [2, 1], b"\x01\x02"), "data", "neither 0 nor 1", SkewKind.SHAPE, ""),
    (city(texts("a")), "data", "5 bytes, expected at least 8", SkewKind.SHAPE, ""),
    (city(texts("abcdef")), "data", "1 elements", SkewKind.SHAPE, ""),
    (city(texts("a", "b", "c")), "data", "3 elements", SkewKind.SHAPE, ""),
    (city(texts("ab", "bc")[:-1]), "data", "ends after", SkewKind.SHAPE, ""),
    (city(texts("abc", "b") + b"\0"), "data", "ends after", SkewKind.SHAPE, ""),
    (city(b"\1\0\0\0\xff" + texts("b")), "data", "not UTF-8", SkewKind.SHAPE, ""),
    (city(texts("b"), n=2**60), "data", "at least", SkewKind.SHAPE, ""),
    (count(data=[3, -4], parameters={"binary_data_size": 0}), "data", "found both", SkewKind.SHAPE, ""),
    (count(), "data", "found neither", SkewKind.SHAPE, ""),
    (count(parameters={"binary_data_size": -8}), "parameters/binary_data_size", "a number of", SkewKind.SHAPE, ""),
    (count(parameters={"binary_data_size": "8"}), "parameters/binary_data_size", "a number of", SkewKind.SHAPE, ""),
    (count(parameters={"binary_data_size": True}), "parameters/binary_data_size", "a number of", SkewKind.SHAPE, ""),
    (count(parameters={"shared_memory_region": "a"}), "parameters/shared_memory_region", "not an", SkewKind.SHAPE, ""),
]


@pytest.mark.parametrize(("tensor", "at", "problem", "kind", "column"), WRONG, ids=lambda value: repr(value)[:40])
def test_binary_data_that_is_not_what_it_says_is_refused_with_place_and_record(
    mixed: ServedVersion, tensor: Sent, at: str, problem: str, kind: SkewKind, column: str
) -> None:
    name = tensor[0]["name"]
    place = ["x", "count", "flag", "city"].index(name)
    error = refused(mixed, body(*by_tensor(**{name: tensor})))
    assert isinstance(error, InvalidInput)
    assert any(fault.at == f"/inputs/{place}/{at}" and problem in fault.problem for fault in error.faults), error.faults
    assert (kind, column) in [(found.kind, found.column) for found in error.problems]


def test_a_nan_in_a_matrix_is_told_with_its_place_and_counted_by_column(floats: ServedVersion) -> None:
    error = refused(floats, body(binary("given", "FP32", [3, 2], [1, NAN, 2, NAN, NAN, 3])))
    assert isinstance(error, InvalidInput)
    assert [fault.at for fault in error.faults] == ["/inputs/0/data/1", "/inputs/0/data/3", "/inputs/0/data/4"]
    assert error.problems == [Problem(SkewKind.NAN, "a", 1), Problem(SkewKind.NAN, "b", 2)]


@pytest.mark.parametrize(
    ("outputs", "parameters", "at"),
    [
        ([{"name": "score", "parameters": {"binary_data": 1}}], {}, "/outputs/0/parameters/binary_data"),
        ([{"name": "score"}], {"binary_data_output": "yes"}, "/parameters/binary_data_output"),
        ([{"name": "score", "parameters": {"classification": 2}}], {}, "/outputs/0/parameters/classification"),
    ],
)
def test_what_cannot_be_answered_as_asked_is_refused(
    mixed: ServedVersion, outputs: Any, parameters: Any, at: str
) -> None:
    error = refused(mixed, body(*by_tensor(), outputs=outputs, parameters=parameters))
    assert [fault.at for fault in error.details] == [at]


@pytest.mark.parametrize("length", [b"", b"-1", b"1.5", b"9" * 5000, b"100000", b"\xb2", b" 5"])
def test_a_length_of_the_json_that_is_none_is_malformed(mixed: ServedVersion, length: bytes) -> None:
    assert isinstance(refused(mixed, (body(*by_tensor())[0], [(HEADER, length)])), MalformedBody)


def test_json_that_is_shorter_than_its_length_is_malformed(floats: ServedVersion) -> None:
    head, headers = body(as_json("given", "FP32", [1, 2], [1.5, 2.5]))
    assert WIRE.decode(floats, head, headers).inputs.n == 1
    assert isinstance(refused(floats, (head, [(HEADER, str(len(head) + 1).encode())])), MalformedBody)


def test_sizes_beyond_any_number_that_can_be_told_are_malformed(mixed: ServedVersion) -> None:
    huge = int("9" * 4_300)  # the longest that is read; the sum of two is one digit longer than can be written
    tensors = [
        ({"name": name, "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": huge}}, b"")
        for name in "ab"
    ]
    assert isinstance(refused(mixed, body(*tensors)), MalformedBody)


@pytest.mark.parametrize("sent", [body(*by_tensor(), after=b"\0"), (body(*by_tensor())[0][:-1], body(*by_tensor())[1])])
def test_a_byte_too_many_or_too_few_is_malformed(mixed: ServedVersion, sent: Body) -> None:
    error = refused(mixed, sent)
    assert isinstance(error, MalformedBody)
    assert "by its binary_data_size" in str(error)


def test_binary_sizes_without_the_header_are_malformed(mixed: ServedVersion) -> None:
    head = msgspec.json.encode({"inputs": [about for about, _ in by_tensor()]})
    assert isinstance(refused(mixed, (head, [])), MalformedBody)


@given(
    head=st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(("x", "count", "flag", "city", "given")),
                "datatype": st.sampled_from(("FP32", "FP64", "INT32", "BOOL", "BYTES", "?")),
                "shape": st.lists(st.integers(-1, 3), max_size=3),
            },
            optional={
                "data": st.lists(st.none() | st.integers() | st.text(max_size=1), max_size=3),
                "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | st.none()}),
            },
        ),
        max_size=4,
    ),
    data=st.binary(max_size=40),
    off=st.integers(-2, 2),
)
def test_no_binary_body_raises_anything_but_a_request_error(
    mixed: ServedVersion, floats: ServedVersion, head: Any, data: bytes, off: int
) -> None:
    json = msgspec.json.encode({"inputs": head})
    for version in (mixed, floats):
        try:
            decoded = WIRE.decode(version, json + data, [(HEADER, str(len(json) + off).encode())])
        except RequestError as error:
            assert str(error)
        else:
            assert decoded.inputs.n >= 1


def test_a_matrix_is_routed_by_its_key_and_shadowed_in_the_shadows_own_order(tmp_path: Path) -> None:
    async def test() -> None:
        furnish(tmp_path)
        for version, columns in (("1", FLOATS), ("2", FLOATS[::-1])):
            install(tmp_path, "floats", version, echo("FP32"), echo_contract("FP32", *columns))
        route(tmp_path, "floats", stable="1", key="feature:a", shadows=[{"version": "2"}])
        async with serving(tmp_path) as service:
            for values in ([1.5, 2.5], [7.0, 2.5]):
                data, headers = body(binary("given", "FP32", [1, 2], values))
                for sent in ((data, headers), (body(as_json("given", "FP32", [1, 2], values))[0], [])):
                    assert (await service.ask("POST", "/v2/models/floats/infer", *sent)).status == 200
            await until(lambda: len(shadow_records(service)) == 4, "four shadow runs")
            first, second, third, fourth = (request.bucket for request in service.requests())
            assert first == second != third == fourth
            assert {record.outcome for record in shadow_records(service)} == {Outcome.ANSWERED}

    asyncio.run(test())


def shadow_records(service: Service) -> list[Shadow]:
    return [record for record in service.records() if isinstance(record, Shadow)]
