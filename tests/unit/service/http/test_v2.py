"""What V2 takes and refuses: by the graph's tensors, by features, nested, and plain."""

import json
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import FAULTS_MAX, InvalidInput, MalformedBody, RequestError
from service.featurelog.record import Problem, SkewKind
from service.http.errors import error_answer
from service.http.v2 import V2
from service.rows import PlainTensors, Table
from service.served import ServedVersion

WIRE = V2()
ROWS = [(1.5, 2.5, 3, True, "oslo"), (None, 0.5, -4, False, None)]


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def by_tensor(**changed: Any) -> list[dict[str, Any]]:
    """ROWS under the names of the graph's tensors."""
    given = {
        "x": tensor("x", "FP32", [2, 2], [1.5, 2.5, None, 0.5]),
        "count": tensor("count", "INT32", [2, 1], [3, -4]),
        "flag": tensor("flag", "BOOL", [2, 1], [True, False]),
        "city": tensor("city", "BYTES", [2, 1], ["oslo", None]),
    }
    return [{**one, **changed.get(name, {})} for name, one in given.items()]


def by_feature(**changed: Any) -> list[dict[str, Any]]:
    """ROWS under the names of the contract's features."""
    given = {
        "amount": tensor("amount", "FP64", [2], [1.5, None]),
        "ratio": tensor("ratio", "FP32", [2, 1], [2.5, 0.5]),
        "count": tensor("count", "INT64", [2], [3, -4]),
        "flag": tensor("flag", "BOOL", [2], [True, False]),
        "city": tensor("city", "BYTES", [2], ["oslo", None]),
    }
    return [{**one, **changed.get(name, {})} for name, one in given.items()]


def body(inputs: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"inputs": inputs, **more})


def refused(version: ServedVersion, data: bytes) -> RequestError:
    with pytest.raises(RequestError) as error:
        WIRE.decode(version, data)
    assert error_answer(error.value, "id").status == 400
    return error.value


def rows(version: ServedVersion, data: bytes) -> list[Any]:
    decoded = WIRE.decode(version, data).inputs
    assert isinstance(decoded, Table)
    return decoded.rows


@pytest.mark.parametrize(
    "inputs",
    [
        by_tensor(),
        by_tensor()[::-1],
        by_tensor(x={"data": [[1.5, 2.5], [None, 0.5]]}, count={"data": [[3], [-4]], "shape": [2, 1]}),
        by_tensor(count={"shape": [2]}, x={"datatype": "FP64"}),
        by_feature(),
        by_feature()[::-1],
        by_feature(ratio={"data": [[2.5], [0.5]]}, count={"datatype": "INT8"}, amount={"datatype": "INT64"}),
    ],
)
def test_tensors_of_the_graph_and_features_of_the_contract_give_the_same_rows(
    mixed: ServedVersion, inputs: list[dict[str, Any]]
) -> None:
    assert rows(mixed, body(inputs)) == ROWS


WRONG = [
    (by_feature()[1:], "/inputs", "missing input 'amount', expected FP64", SkewKind.ABSENT, "amount"),
    ([*by_feature(), tensor("other", "FP32", [2], [1, 2])], "/inputs/5/name", "unknown input 'other'", SkewKind.UNKNOWN, ""),
    (by_feature(count={"datatype": "FP32"}), "/inputs/2/datatype", "found FP32, expected INT64", SkewKind.WRONG_TYPE, "count"),
    (by_feature(count={"datatype": "INT7"}), "/inputs/2/datatype", "found 'INT7', expected one of", SkewKind.WRONG_TYPE, ""),
    (by_feature(count={"data": [3, 1.5]}), "/inputs/2/data/1", "found a number, expected an int", SkewKind.WRONG_TYPE, "count"),
    (by_feature(count={"data": [3, 2**31]}), "/inputs/2/data/1", "from -2147483648", SkewKind.WRONG_TYPE, "count"),
    (by_feature(flag={"data": [1, 0]}), "/inputs/3/data/0", "expected true or false", SkewKind.WRONG_TYPE, "flag"),
    (by_feature(ratio={"data": [None, 1]}), "/inputs/1/data/0", "null, expected a number", SkewKind.NULL, "ratio"),
    (by_feature(ratio={"data": ["1", 1]}), "/inputs/1/data/0", "found a string", SkewKind.WRONG_TYPE, "ratio"),
    (by_feature(ratio={"shape": [1, 2]}), "/inputs/1/shape", "expected [n] or [n, 1]", SkewKind.SHAPE, "ratio"),
    (by_feature(ratio={"shape": [3]}), "/inputs/1/data", "2 values, expected 3", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": []}), "/inputs/1/shape", "the batch first", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [-1]}), "/inputs/1/shape", "every size at least 1", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [0], "data": []}), "/inputs/1/shape", "at least 1", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [2**70, 0], "data": []}), "/inputs/1/shape", "at least 1", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [2**70]}), "/inputs/1/data", "2 values", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [1] * 100_000}), "/inputs/1/shape", "the batch first", SkewKind.SHAPE, ""),
    (by_feature(ratio={"shape": [3], "data": [1, 2, 3]}), "/inputs", "ragged: [2, 3] rows", SkewKind.SHAPE, ""),
    ([*by_feature(), by_feature()[0]], "/inputs", "input 'amount' twice", SkewKind.SHAPE, ""),
    ([], "/inputs", "missing input 'amount'", SkewKind.ABSENT, "amount"),
    (by_tensor(x={"shape": [2, 3], "data": [1] * 6}), "/inputs/0/shape", "expected [n, 2]", SkewKind.SHAPE, ""),
    (by_tensor(x={"shape": [4]}), "/inputs/0/shape", "expected [n, 2]", SkewKind.SHAPE, ""),
    (by_tensor(city={"datatype": "FP32", "data": [1, 2]}), "/inputs/3/datatype", "expected BYTES", SkewKind.WRONG_TYPE, ""),
    (by_tensor(x={"data": [1, 2, 3, "4"]}), "/inputs/0/data/3", "found a string", SkewKind.WRONG_TYPE, "ratio"),
    (by_tensor(x={"data": [[1, 2], [3]]}), "/inputs/0/data", "ragged", SkewKind.SHAPE, ""),
    (by_tensor(x={"data": [[1, 2, 3], [4]]}), "/inputs/0/data", "ragged", SkewKind.SHAPE, ""),
    (by_tensor(x={"data": [[1, 2], 3]}), "/inputs/0/data", "nested otherwise", SkewKind.SHAPE, ""),
    (by_tensor(x={"data": [[[1, 2], [3, 4]]]}), "/inputs/0/data", "nested otherwise", SkewKind.SHAPE, ""),
    (by_tensor(x={"data": [[1, 2, 3, 4]]}), "/inputs/0/data", "nested otherwise", SkewKind.SHAPE, ""),
    (by_tensor()[1:], "/inputs", "missing input 'amount'", SkewKind.ABSENT, "amount"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "at", "problem", "kind", "column"), WRONG, ids=lambda value: repr(value)[:40])
def test_what_does_not_meet_the_contract_is_refused_with_place_expectation_and_a_record_of_its_kind(
    mixed: ServedVersion, inputs: list[Any], at: str, problem: str, kind: SkewKind, column: str
) -> None:
    error = refused(mixed, body(inputs))
    assert isinstance(error, InvalidInput)
    assert any(fault.at == at and problem in fault.problem for fault in error.faults), error.faults
    assert (kind, column) in [(found.kind, found.column) for found in error.problems]
    assert all(1 <= found.rows < 100 for found in error.problems)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"[]",
        b"{}",
        b'{"inputs": 1}',
        b'{"inputs": [1]}',
        b'{"inputs": [{"name": "x"}]}',
        b'{"inputs": [{"name": "x", "shape": [1.5], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "shape": "2", "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [NaN]}]}',
        b'{"inputs": [{"name": "\xff", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": ' + b"[" * 100_000,
        body(by_feature())[:-1],
    ],
    ids=lambda data: repr(data[:60]),
)
def test_what_is_not_the_language_is_malformed(mixed: ServedVersion, data: bytes) -> None:
    assert isinstance(refused(mixed, data), MalformedBody)


def test_three_thousand_bad_inputs_cost_a_short_answer_and_little_time(mixed: ServedVersion) -> None:
    inputs = [tensor(f"unknown{number}", "FP32", [1], [1]) for number in range(3_000)]
    error = refused(mixed, body(inputs))
    assert isinstance(error, InvalidInput)
    assert len(error.faults) == FAULTS_MAX
    assert len(error.problems) == 6  # unknown once, and the five that are absent
    assert "and 3004 more" in str(error)


def test_the_faults_come_in_the_same_order_every_time(mixed: ServedVersion) -> None:
    error = refused(mixed, body([]))
    missing = [fault.problem.split("'")[1] for fault in error.details]
    assert missing == ["amount", "ratio", "count", "flag", "city"]


@given(
    inputs=st.lists(
        st.builds(
            tensor,
            st.sampled_from(("x", "count", "flag", "city", "amount", "ratio", "image", "?")),
            st.sampled_from(("FP32", "INT32", "BOOL", "BYTES", "?")),
            st.lists(st.integers(-1, 3), max_size=3),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(0, 1) | st.text(max_size=2),
                lambda inner: st.lists(inner, max_size=3),
                max_leaves=6,
            ).map(lambda value: value if isinstance(value, list) else [value]),
        ),
        max_size=6,
    )
)
def test_no_body_raises_anything_but_a_request_error(mixed: ServedVersion, image: ServedVersion, inputs: Any) -> None:
    for version in (mixed, image):
        try:
            decoded = WIRE.decode(version, body(inputs)).inputs
        except RequestError as error:
            assert str(error)
        else:
            assert decoded.n >= 1


# --- plain tensors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[[1, 2], [3, 4]]]])
def test_a_plain_tensor_is_flat_or_nested(image: ServedVersion, data: list[Any]) -> None:
    decoded = WIRE.decode(image, body([tensor("image", "FP32", [1, 2, 2], data)])).inputs
    assert isinstance(decoded, PlainTensors)
    assert decoded.arrays["image"].tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("inputs", "at", "problem", "kind"),
    [
        ([], "/inputs", "missing input 'image'", SkewKind.ABSENT),
        ([tensor("other", "FP32", [1, 2, 2], [1] * 4)], "/inputs/0/name", "expected ['image']", SkewKind.UNKNOWN),
        ([tensor("image", "FP64", [1, 2, 2], [1] * 4)], "/inputs/0/datatype", "expected FP32", SkewKind.WRONG_TYPE),
        ([tensor("image", "FP32", [1, 4], [1] * 4)], "/inputs/0/shape", "expected [-1, 2, 2]", SkewKind.SHAPE),
        ([tensor("image", "FP32", [1, 2, 2], ["1"] * 4)], "/inputs/0/data", "expected numbers", SkewKind.WRONG_TYPE),
        ([tensor("image", "FP32", [1, 2, 2], [True] * 4)], "/inputs/0/data", "expected numbers", SkewKind.WRONG_TYPE),
        ([tensor("image", "FP32", [1, 2, 2], [None] * 4)], "/inputs/0/data", "expected numbers", SkewKind.WRONG_TYPE),
        ([tensor("image", "FP32", [0, 2, 2], [])], "/inputs/0/shape", "at least 1", SkewKind.SHAPE),
    ],
)
def test_a_plain_tensor_is_as_strict_as_a_column(
    image: ServedVersion, inputs: list[Any], at: str, problem: str, kind: SkewKind
) -> None:
    error = refused(image, body(inputs))
    assert isinstance(error, InvalidInput)
    assert any(fault.at == at and problem in fault.problem for fault in error.faults), error.faults
    assert kind in [found.kind for found in error.problems]


# --- answers ------------------------------------------------------------------------------------------------------


def answer(version: ServedVersion, data: bytes) -> dict[str, Any]:
    decoded = WIRE.decode(version, data)
    outputs = version.session.run(version.tensors(decoded.inputs))
    found: dict[str, Any] = msgspec.json.decode(WIRE.encode(version, outputs, decoded, "request-id").body)
    return found


def test_an_answer_names_model_version_and_tensors_with_flat_data(mixed: ServedVersion) -> None:
    inputs = by_feature(amount={"data": [1.5, 0.5]}, city={"data": ["oslo", "rome"]})
    found = answer(mixed, body(inputs))
    assert (found["model_name"], found["model_version"], found["id"]) == ("mixed", "1", "request-id")
    assert found["outputs"] == [
        {"name": "score", "datatype": "FP32", "shape": [2, 1], "data": [7.0, -3.0]},
        {"name": "place", "datatype": "BYTES", "shape": [2, 1], "data": ["oslo", "rome"]},
        {"name": "flagged", "datatype": "BOOL", "shape": [2, 1], "data": [True, False]},
    ]


def test_the_id_is_echoed_and_outputs_select_and_order(mixed: ServedVersion) -> None:
    found = answer(mixed, body(by_feature(), id="mine", outputs=[{"name": "place"}, {"name": "score"}]))
    assert found["id"] == "mine"
    assert [one["name"] for one in found["outputs"]] == ["place", "score"]


@pytest.mark.parametrize(
    ("outputs", "at"),
    [
        ([{"name": "other"}], "/outputs/0/name"),
        ([{"name": "score"}, {"name": "x" * 10_000}], "/outputs/1/name"),
        ([{"name": "score"}] * 10_000, "/outputs/1/name"),  # an answer is never larger than all outputs once
    ],
)
def test_outputs_that_are_not_there_or_asked_for_twice_are_refused(
    mixed: ServedVersion, outputs: list[Any], at: str
) -> None:
    error = refused(mixed, body(by_feature(), outputs=outputs))
    assert isinstance(error, InvalidInput)
    assert error.faults[0].at == at
    assert len(str(error)) < 400


# --- parameters ---------------------------------------------------------------------------------------------------


def test_a_timeout_in_microseconds_is_what_the_client_will_wait(mixed: ServedVersion) -> None:
    assert WIRE.decode(mixed, body(by_feature(), parameters={"timeout": 2_500})).timeout_ms == 2.5
    for parameters in ({}, None, {"other": 1}):
        assert WIRE.decode(mixed, body(by_feature(), parameters=parameters)).timeout_ms == inf


@pytest.mark.parametrize("timeout", [0, -1, 2.5, 1000.0, "1000", True, None, [], {}, 2**63, 10**400])
def test_a_timeout_that_is_none_is_refused(mixed: ServedVersion, timeout: Any) -> None:
    data = body(by_feature(), parameters={"timeout": 777}).replace(b"777", json.dumps(timeout).encode())
    error = refused(mixed, data)
    if isinstance(error, InvalidInput):  # an integer that no decoder of JSON takes is malformed
        assert error.faults[0].at == "/parameters/timeout"
        assert "whole microseconds" in error.faults[0].problem


def test_parameters_that_change_no_answer_are_ignored(mixed: ServedVersion) -> None:
    hints = {"priority": 1, "sequence_id": 7, "sequence_start": True, "sequence_end": False, "mine": {"deep": [1]}}
    inputs = [{**one, "parameters": {"content_type": "np"}} for one in by_feature()]
    assert rows(mixed, body(inputs, parameters=hints)) == rows(mixed, body(by_feature()))


@pytest.mark.parametrize("name", ["classification", "shared_memory_region"])
def test_parameters_that_would_change_the_answer_are_refused(mixed: ServedVersion, name: str) -> None:
    error = refused(mixed, body(by_feature(), outputs=[{"name": "score", "parameters": {name: 3}}]))
    assert f"/outputs/0/parameters/{name}: not an extension of this server" in str(error)


def test_an_empty_id_is_an_id(mixed: ServedVersion) -> None:
    inputs = by_feature(amount={"data": [1.5, 0.5]}, city={"data": ["oslo", "rome"]})
    assert answer(mixed, body(inputs, id=""))["id"] == ""


def test_rows_of_a_request_are_counted_for_the_log(mixed: ServedVersion) -> None:
    error = refused(mixed, body(by_feature(ratio={"data": ["1", "2"]})))
    assert isinstance(error, InvalidInput)
    assert (error.rows, error.problems) == (2, [Problem(SkewKind.WRONG_TYPE, "ratio", 2)])
