import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Column, Contract, Kind, Tensor
from models.errors import RunFailed
from models.tensors import DTYPES
from service.featurelog.readable import rows as rows_of
from service.rows import BlockPlan, InputPlan, OutputPlan, PlainTensors, Row, Table, int_bounds
from tests.onnx_models import CITIES, mixed_contract

CONTRACT = mixed_contract()
INTS = st.integers(-(2**31), 2**31 - 1)
CELLS = (
    st.none() | st.floats(allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
    INTS,
    st.booleans(),
    st.none() | st.sampled_from(CITIES) | st.text(max_size=5),
)
ROWS = st.lists(st.tuples(*CELLS), min_size=1, max_size=6)


def by_name(rows: list[Row]) -> list[dict[str, object]]:
    return [dict(zip((column.name for column in CONTRACT.features), row, strict=True)) for row in rows]


@given(ROWS)
def test_what_is_logged_is_what_the_client_gave(rows: list[Row]) -> None:
    plan = BlockPlan(CONTRACT.features)
    assert rows_of(plan.block(rows), plan.schema()) == by_name(rows)


@given(st.lists(ROWS, min_size=1, max_size=3))
def test_cells_of_many_requests_can_be_joined(parts: list[list[Row]]) -> None:
    plan = BlockPlan(CONTRACT.features)
    joined = b"".join(plan.block(rows).cells for rows in parts)
    assert joined == plan.block([row for rows in parts for row in rows]).cells
    assert len(joined) == 8 * len(CONTRACT.features) * sum(map(len, parts))


def test_a_block_says_only_what_there_is_to_say() -> None:
    plan = BlockPlan(CONTRACT.features)
    block = plan.block([(1.0, 2.0, 3, True, "oslo")])
    assert (block.n, block.nulls, block.text) == (1, None, None)
    block = plan.block([(None, 2.0, 3, True, "bergen")])
    assert (block.nulls, block.text) == (b"\x01\x00\x00\x00\x00", [(0, 4, "bergen")])


@given(st.lists(st.tuples(st.floats(width=64), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=4))
def test_columns_of_numbers_alone_are_packed_to_the_bit(rows: list[Row]) -> None:
    plan = BlockPlan([Column(name="a", kind=Kind.FLOAT), Column(name="b", kind=Kind.INT)])
    assert plan.block(rows).cells == b"".join(struct.pack("<dq", *row) for row in rows)


@given(st.lists(st.tuples(st.none() | st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), *CELLS[2:]), min_size=1, max_size=5))
def test_every_feature_reaches_its_place_in_its_tensor(rows: list[Row]) -> None:
    tensors = InputPlan(CONTRACT).tensors(rows)
    n = len(rows)
    assert {name: array.shape for name, array in tensors.items()} == {
        "x": (n, 2), "count": (n, 1), "flag": (n, 1), "city": (n, 1)
    }  # fmt: skip
    for number, (amount, ratio, count, flag, city) in enumerate(rows):
        expected = np.float32(np.nan if amount is None else amount)
        assert np.array_equal(tensors["x"][number, 0], expected, equal_nan=True)
        assert tensors["x"][number, 1] == np.float32(ratio)
        assert (tensors["count"][number, 0], tensors["flag"][number, 0]) == (count, flag)
        assert tensors["city"][number, 0] == (city or "")


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT8", "UINT64", "BOOL", "BYTES"])
def test_a_tensor_of_one_column_has_the_rank_and_type_that_the_graph_wants(
    shape: tuple[int, ...], datatype: str
) -> None:
    kind = {"BYTES": Kind.STRING, "BOOL": Kind.BOOL}.get(datatype, Kind.FLOAT if datatype[0] == "F" else Kind.INT)
    contract = Contract(
        features=(Column(name="a", kind=kind),),
        inputs=(Tensor(name="a", datatype=datatype, shape=shape, columns=("a",)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1,)),),
        output_columns=(),
    )
    value = {Kind.STRING: "x", Kind.BOOL: True, Kind.FLOAT: 1.0, Kind.INT: 1}[kind]
    array = InputPlan(contract).tensors([(value,)] * 3)["a"]
    assert array.shape == (3,) + (1,) * (len(shape) - 1)
    assert array.dtype == DTYPES[datatype]
    assert array.ravel().tolist() == [value] * 3


def test_integers_are_bounded_by_tensor_and_cell() -> None:
    def bounds(datatype: str) -> tuple[int, int] | None:
        contract = Contract(
            features=(Column(name="a", kind=Kind.INT),),
            inputs=(Tensor(name="a", datatype=datatype, shape=(-1, 1), columns=("a",)),),
            outputs=(Tensor(name="y", datatype="FP32", shape=(-1,)),),
            output_columns=(),
        )
        return int_bounds(contract).get("a")

    assert bounds("INT8") == (-128, 127)
    assert bounds("UINT8") == (0, 255)
    assert bounds("INT64") == (-(2**63), 2**63 - 1)
    assert bounds("UINT64") == (0, 2**63 - 1)  # the log's cells are signed
    assert bounds("FP32") is None


def test_outputs_become_rows_side_by_side() -> None:
    plan = OutputPlan(CONTRACT, "m:1")
    outputs = [
        np.array([[0.5], [np.nan]], np.float32),
        np.array([["oslo"], ["bergen"]], object),
        np.array([[True], [False]]),
    ]
    block = plan.block(outputs, 2)
    assert block is not None
    first, second = rows_of(block, plan.schema)
    assert first == {"score": 0.5, "place": "oslo", "flagged": True}
    assert np.isnan(second["score"]) and second["place"] == "bergen"
    assert plan.block([array[:1] for array in outputs], 1).cells == block.cells[:24]  # type: ignore[union-attr]


def test_a_graph_that_does_not_answer_row_by_row_is_refused_by_name() -> None:
    outputs = [np.zeros((1, 1), np.float32), np.zeros((3, 1), object), np.zeros((3, 1), bool)]
    with pytest.raises(RunFailed, match="output 'score' has 1 rows for 3"):
        OutputPlan(CONTRACT, "m:1").block(outputs, 3)


def test_a_request_knows_its_rows() -> None:
    assert Table([(1,), (2,)]).n == 2
    assert PlainTensors({"a": np.zeros((4, 2))}).n == 4
    assert PlainTensors({"a": np.zeros(())}).n == 1
