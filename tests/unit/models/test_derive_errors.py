from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import helper, numpy_helper

from models.derive import derive
from models.errors import ContractInvalid
from models.session import Session
from tests.unit.models.graphs import echo, session

MATRIX = {"X": ("FP32", ["N", 2])}
GOOD = {"a": [1.0, 2.0], "b": [3.0, 4.0]}


def by_name(datatype: str) -> Mapping[str, tuple[str, list[int | str]]]:
    return {"a": (datatype, ["N", 1]), "b": ("FP32", ["N", 1])}


CASES: list[tuple[str, Session, Any, dict[str, str], str, str]] = [
    # name, graph, table, options, where, found
    ("column missing by name", echo(by_name("FP32")), {"a": [1.0]}, {}, "training data", "no column 'b'"),
    ("column too few for a matrix", echo(MATRIX), {"a": [1.0]}, {}, "training data", "1 columns for input 'X'"),
    ("column missing from the list", echo(MATRIX, {"X": ["a", "z"]}), GOOD, {}, "training data", "no column 'z'"),
    ("column that no input takes", echo(MATRIX), {**GOOD, "c": [1.0, 2.0]}, {}, "column 'c'", "no input that takes it"),
    (
        "column not in the list",
        echo(MATRIX, {"X": ["a", "b"]}),
        {**GOOD, "c": [1.0, 2.0]},
        {},
        "column 'c'",
        "no input",
    ),
    ("input not in the list", echo(MATRIX, {}), GOOD, {}, "metadata", "tensor 'X' only on one side"),
    (
        "list for no input",
        echo(MATRIX, {"X": ["a", "b"], "Y": []}),
        GOOD,
        {},
        "metadata",
        "tensor 'Y' only on one side",
    ),
    ("list of another width", echo(MATRIX, {"X": ["a"]}), GOOD, {}, "metadata", "1 columns"),
    (
        "list that is no JSON",
        session([helper.make_node("Identity", ["X"], ["y"])], MATRIX, {"y": MATRIX["X"]}, "{"),
        GOOD,
        {},
        "metadata",
        "Expecting property name",
    ),
    ("column listed twice", echo(MATRIX, {"X": ["a", "a"]}), {"a": [1.0]}, {}, "input", "'a' twice"),
    ("text for a matrix of numbers", echo(MATRIX), {"a": [1.0], "b": ["x"]}, {}, "column 'b'", "kind string"),
    ("text for a number", echo(by_name("FP32")), {"a": ["x"], "b": [1.0]}, {}, "column 'a'", "kind string"),
    ("number for a text", echo(by_name("BYTES")), {"a": [1], "b": [1.0]}, {}, "column 'a'", "kind int"),
    ("fraction for an integer", echo(by_name("INT64")), {"a": [1.5], "b": [1.0]}, {}, "column 'a'", "fractions"),
    ("null for an integer", echo(by_name("INT64")), {"a": [1, None], "b": [1.0, 2.0]}, {}, "column 'a'", "1 nulls"),
    ("null for a boolean", echo(by_name("BOOL")), {"a": [True, None], "b": [1.0, 2.0]}, {}, "column 'a'", "1 nulls"),
    (
        "integer out of range",
        echo(by_name("INT32")),
        {"a": [2**31], "b": [1.0]},
        {},
        "column 'a'",
        "values 2.14748e+09",
    ),
    ("number for a boolean", echo(by_name("BOOL")), {"a": [1], "b": [1.0]}, {}, "column 'a'", "kind int"),
    ("dates", echo(MATRIX), {"a": [1.0], "b": pd.to_datetime(["2026-01-01"])}, {}, "column 'b'", "type datetime64"),
    ("mixed kinds", echo(MATRIX), {"a": [1.0, 2.0], "b": ["x", 1]}, {}, "column 'b'", "type mixed-integer"),
    ("only nulls", echo(MATRIX), {"a": [1.0], "b": [None]}, {}, "column 'b'", "only nulls"),
    ("no rows", echo(MATRIX), {"a": [], "b": []}, {}, "training data", "0 rows"),
    ("no columns", echo(MATRIX), {}, {}, "training data", "0 rows of 0 columns"),
    ("label absent", echo(MATRIX), GOOD, {"label": "y"}, "training data", "no column 'y' (--label)"),
    ("time absent", echo(MATRIX), GOOD, {"time": "at"}, "training data", "no column 'at' (--time)"),
    ("time with nulls", echo(MATRIX), {**GOOD, "at": [1.0, None]}, {"time": "at"}, "column 'at'", "1 nulls"),
    ("time that is no time", echo(MATRIX), {**GOOD, "at": ["soon", "now"]}, {"time": "at"}, "column 'at'", "soon"),
    (
        "time without end",
        echo(MATRIX),
        {**GOOD, "at": [1.0, np.inf]},
        {"time": "at"},
        "column 'at'",
        "an infinite time",
    ),
    ("an image for a table", echo({"i": ("FP32", ["N", 3, 8, 8])}), GOOD, {}, "input 'i'", "shape [-1, 3, 8, 8]"),
    (
        "two free widths",
        echo({"X": ("FP32", ["N", "k"]), "Y": ("FP32", ["N", "m"])}),
        GOOD,
        {},
        "inputs ['X', 'Y']",
        "a free width",
    ),
    (
        "a free width for nothing",
        echo({"X": ("FP32", ["N", "k"])}),
        {"at": [1.0]},
        {"time": "at"},
        "training data",
        "0 columns",
    ),
]


@pytest.mark.parametrize(
    ("graph", "table", "options", "where", "found"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_data_that_does_not_fit_is_refused_with_the_place_and_what_was_found(
    graph: Session, table: Any, options: dict[str, str], where: str, found: str
) -> None:
    with pytest.raises(ContractInvalid) as refused:
        derive(graph, "test:1", pd.DataFrame(table), **options)
    assert where in refused.value.where
    assert found in refused.value.found
    assert refused.value.expected


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(ContractInvalid, match="'a' twice"):
        derive(echo(MATRIX), "test:1", frame)


def test_a_graph_that_fails_on_its_own_data_is_refused_with_the_reason() -> None:
    shelf = numpy_helper.from_array(np.arange(3.0, dtype=np.float32), "shelf")
    nodes = [helper.make_node("Gather", ["shelf", "i"], ["y"])]
    graph = session(nodes, {"i": ("INT64", ["N"])}, {"y": ("FP32", ["N"])}, constants=[shelf])
    derive(graph, "test:1", pd.DataFrame({"i": [0, 2]}))
    with pytest.raises(ContractInvalid) as refused:
        derive(graph, "test:1", pd.DataFrame({"i": [0, 3]}))
    assert refused.value.where == "test:1 run on the training data"
    assert "3" in refused.value.found


def test_a_graph_that_does_not_answer_row_by_row_is_refused() -> None:
    nodes = [helper.make_node("ReduceMean", ["a"], ["y"], axes=[0], keepdims=0)]
    graph = session(nodes, {"a": ("FP32", ["N", 1])}, {"y": ("FP32", ["M"])})
    with pytest.raises(ContractInvalid, match="1 answers to 2 rows"):
        derive(graph, "test:1", pd.DataFrame({"a": [1.0, 2.0]}))
