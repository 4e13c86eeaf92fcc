import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from models.baseline import SPECIALS, Baseline, Special
from models.contract import CATEGORIES_MAX, OUTPUT_COLUMNS_MAX, Column, Contract, Kind
from models.derive import CHUNK_ROWS, derive
from tests.unit.models.graphs import echo, session

pytestmark = pytest.mark.slow

COLUMNS = {
    "amount": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "age": st.none() | st.integers(0, 120),
    "visits": st.integers(-(2**31), 2**31 - 1),
    "member": st.booleans(),
    "country": st.none() | st.text(max_size=3),
}
TABLES = st.lists(st.fixed_dictionaries(COLUMNS), min_size=1, max_size=30).filter(
    lambda rows: all(any(row[name] is not None for row in rows) for name in COLUMNS)
)
PER_COLUMN = echo(
    {
        "country": ("BYTES", ["N", 1]),
        "amount": ("FP64", ["N", 1]),
        "age": ("FP32", ["N"]),
        "visits": ("INT64", ["N", 1]),
        "member": ("BOOL", ["N", 1]),
    }
)


def table(rows: list[dict[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"age": "Int64", "country": object})


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_contract_and_baseline_are_the_same_every_time_and_come_back_from_their_bytes(
    rows: list[dict[str, object]],
) -> None:
    contract, baseline = derive(PER_COLUMN, "test:1", table(rows))
    again, baseline_again = derive(PER_COLUMN, "test:1", table(rows))
    assert baseline is not None and baseline_again is not None
    assert (contract.encode(), baseline.encode()) == (again.encode(), baseline_again.encode())
    assert Contract.decode(contract.encode()) == contract
    assert Baseline.decode(baseline.encode()) == baseline


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_every_row_is_counted_once_in_every_column_and_nulls_are_counted_as_nulls(
    rows: list[dict[str, object]],
) -> None:
    contract, baseline = derive(PER_COLUMN, "test:1", table(rows))
    assert baseline is not None
    assert baseline.rows == len(rows)
    assert {reference.n for reference in (*baseline.features, *baseline.outputs)} == {len(rows)}
    for column, reference in zip(contract.features, baseline.features, strict=True):
        nulls = sum(row[column.name] is None for row in rows)
        assert reference.counts[Special.NULL] == nulls
        assert column.nullable == (nulls > 0)
        assert sum(reference.counts[SPECIALS:]) == len(rows) - nulls


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_types_ranges_and_categories_are_those_of_the_data(rows: list[dict[str, object]]) -> None:
    contract, _ = derive(PER_COLUMN, "test:1", table(rows))
    by_name = {column.name: column for column in contract.features}
    assert [column.name for column in contract.features] == ["country", "amount", "age", "visits", "member"]
    assert {name: column.kind for name, column in by_name.items()} == {
        "country": Kind.STRING,
        "amount": Kind.FLOAT,
        "age": Kind.INT,
        "visits": Kind.INT,
        "member": Kind.BOOL,
    }
    for name in ("amount", "age", "visits"):
        values = [row[name] for row in rows if row[name] is not None]
        assert (by_name[name].low, by_name[name].high) == (min(values), max(values))  # type: ignore[type-var]
    assert by_name["country"].categories == tuple(sorted({row["country"] for row in rows} - {None}))  # type: ignore[type-var]


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_what_is_recorded_of_the_outputs_is_what_the_graph_answers(rows: list[dict[str, object]]) -> None:
    _, baseline = derive(PER_COLUMN, "test:1", table(rows))
    assert baseline is not None
    answers = {reference.name: reference for reference in baseline.outputs}
    asked = {reference.name: reference for reference in baseline.features}
    for name in ("amount", "visits", "member"):
        assert answers[f"{name}_out"].counts == asked[name].counts
    assert answers["age_out"].counts[Special.NAN] == asked["age"].counts[Special.NULL]
    nulls = sum(row["country"] is None for row in rows)
    assert dict(zip(answers["country_out"].labels(), answers["country_out"].counts, strict=True)).get("", 0) >= nulls


def test_columns_of_one_matrix_are_the_numbers_of_the_table_in_file_order() -> None:
    frame = pd.DataFrame({"b": [1.5, 2.0], "y": [0, 1], "a": [1, 2], "at": [0, 60], "c": [True, False]})
    contract, _ = derive(echo({"X": ("FP32", ["N", 3])}), "test:1", frame, label="y", time="at")
    assert contract.inputs[0].columns == ("b", "a", "c")
    assert [column.kind for column in contract.features] == [Kind.FLOAT, Kind.INT, Kind.BOOL]
    assert contract.label == "y"


def test_a_matrix_of_free_width_takes_all_numbers() -> None:
    contract, _ = derive(echo({"X": ("FP32", ["N", "k"])}), "test:1", pd.DataFrame({"b": [1.5], "a": [1.0]}))
    assert contract.inputs[0].columns == ("b", "a")
    assert [column.name for column in contract.output_columns] == ["X_out[0]", "X_out[1]"]


def test_a_single_input_of_one_column_takes_the_only_column_whatever_they_are_called() -> None:
    contract, _ = derive(echo({"float_input": ("FP32", ["N", 1])}), "test:1", pd.DataFrame({"a": [1.0]}))
    assert contract.inputs[0].columns == ("a",)


def test_several_matrices_are_filled_by_kind_in_file_order() -> None:
    graph = echo({"numeric": ("FP32", ["N", 2]), "counts": ("INT64", ["N", 1 + 1]), "texts": ("BYTES", ["N", 2])})
    frame = pd.DataFrame({"t": ["x"], "i": [1], "f": [0.5], "j": [2], "g": [1.5], "u": ["y"]})
    contract, _ = derive(graph, "test:1", frame)
    assert [tensor.columns for tensor in contract.inputs] == [("f", "g"), ("i", "j"), ("t", "u")]


def test_whole_numbers_with_nulls_go_where_a_null_can_be_told() -> None:
    graph = echo({"numeric": ("FP32", ["N", 1]), "counts": ("INT64", ["N", 1])}, {"numeric": ["age"], "counts": ["i"]})
    frame = pd.DataFrame({"age": [31.0, None], "i": [1, 2]})
    contract, _ = derive(graph, "test:1", frame)
    assert contract.features[0] == Column(name="age", kind=Kind.INT, nullable=True, low=31.0, high=31.0)


def test_without_names_whole_numbers_with_nulls_go_to_the_floats() -> None:
    graph = echo({"numeric": ("FP32", ["N", 2]), "counts": ("INT64", ["N", 1])})
    contract, _ = derive(graph, "test:1", pd.DataFrame({"age": [31.0, None], "i": [1, 2], "f": [0.5, 1.5]}))
    assert [tensor.columns for tensor in contract.inputs] == [("age", "f"), ("i",)]


def test_numbers_declared_as_floats_stay_floats_also_where_all_are_whole() -> None:
    for series in (pd.Series([1.0, 2.0]), pd.Series([1.0, None], dtype="Float64")):
        contract, _ = derive(echo({"a": ("FP32", ["N", 1])}), "test:1", pd.DataFrame({"a": series}))
        assert contract.features[0].kind is Kind.FLOAT


def test_names_in_the_metadata_decide_against_file_order() -> None:
    graph = echo({"X": ("FP32", ["N", 2])}, {"X": ["b", "a"]})
    contract, baseline = derive(graph, "test:1", pd.DataFrame({"a": [1.5], "b": [2.5]}))
    assert contract.inputs[0].columns == ("b", "a")
    assert baseline is not None
    assert [reference.low for reference in baseline.outputs] == [2.5, 1.5]


def test_more_distinct_texts_than_the_limit_are_free_text() -> None:
    graph = echo({"t": ("BYTES", ["N", 1])})
    for distinct, categories in ((CATEGORIES_MAX, CATEGORIES_MAX), (CATEGORIES_MAX + 1, None)):
        frame = pd.DataFrame({"t": [f"{i:04}" for i in range(distinct)]})
        contract, baseline = derive(graph, "test:1", frame)
        assert (
            contract.features[0].categories is None
            if categories is None
            else len(contract.features[0].categories or ())
        )
        assert baseline is not None
        assert baseline.features[0].counts[Special.UNSEEN] == 0
        assert (baseline.features[0].buckets > 0) == (categories is None)


@pytest.mark.parametrize("rows", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_no_row_is_lost_or_doubled_between_chunks(rows: int) -> None:
    frame = pd.DataFrame({"a": np.arange(rows, dtype=np.float64)})
    _, baseline = derive(echo({"a": ("FP64", ["N", 1])}), "test:1", frame)
    assert baseline is not None
    assert baseline.outputs[0].counts == baseline.features[0].counts


@pytest.mark.parametrize("batch", [1, 4])
def test_a_graph_with_a_fixed_batch_answers_every_row_once(batch: int) -> None:
    frame = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10.0)})
    _, baseline = derive(echo({"X": ("FP64", [batch, 2])}), "test:1", frame)
    assert baseline is not None
    assert baseline.outputs[0].counts == baseline.features[0].counts


def test_without_data_inputs_of_one_column_are_features_and_matrices_are_plain() -> None:
    graph = echo(
        {
            "age": ("INT64", ["N", 1]),
            "name": ("BYTES", ["N"]),
            "X": ("FP32", ["N", 7]),
            "image": ("FP32", ["N", 3, 8, 8]),
            "wide": ("FP32", ["N", OUTPUT_COLUMNS_MAX + 1]),
        }
    )
    contract, baseline = derive(graph, "test:1", None, label="y")
    assert baseline is None
    assert contract.features == (Column(name="age", kind=Kind.INT), Column(name="name", kind=Kind.STRING))
    assert [tensor.columns for tensor in contract.inputs] == [("age",), ("name",), (), (), ()]
    assert [len(tensor.columns) for tensor in contract.outputs] == [1, 1, 7, 0, 0]
    assert [column.name for column in contract.output_columns][:3] == ["age_out", "name_out", "X_out[0]"]
    assert (contract.label, contract.tabular) == ("y", False)


def test_an_output_that_is_too_wide_is_answered_but_not_recorded() -> None:
    wide = numpy_helper.from_array(np.ones((1, OUTPUT_COLUMNS_MAX + 1), np.float32), "wide")
    nodes = [helper.make_node("MatMul", ["a", "wide"], ["y"]), helper.make_node("Identity", ["a"], ["a_out"])]
    spec = {"y": ("FP32", ["N", OUTPUT_COLUMNS_MAX + 1]), "a_out": ("FP32", ["N", 1])}
    graph = session(nodes, {"a": ("FP32", ["N", 1])}, spec, constants=[wide])
    contract, baseline = derive(graph, "test:1", pd.DataFrame({"a": [1.0, 2.0]}))
    assert [column.name for column in contract.output_columns] == ["a_out"]
    assert baseline is not None
    assert [reference.name for reference in baseline.outputs] == ["a_out"]
