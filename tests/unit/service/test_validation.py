import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind
from service.errors import FAULTS_MAX
from service.featurelog.record import Problem, SkewKind
from service.validation import Examination, examine
from tests.onnx_models import mixed_contract

CONTRACT = mixed_contract()
ROW = {"amount": 1.5, "ratio": 2.5, "count": 3, "flag": True, "city": "oslo"}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from((*ROW, "other")), inner, max_size=6),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {
        "amount": st.floats(0, 1) | st.none() | ANY,
        "ratio": st.floats(0, 1) | ANY,
        "count": st.integers(0, 9) | ANY,
        "flag": st.booleans() | ANY,
        "city": st.sampled_from(("oslo", "x")) | ANY,
    }
)


def look(*rows: Any) -> Examination:
    return examine(CONTRACT, rows, lambda row, column: f"/{row}/{column}")


@given(st.lists(NEARLY | ANY | st.tuples(*[ANY] * 5), max_size=5))
def test_there_are_typed_rows_or_faults_never_both_never_neither(rows: list[Any]) -> None:
    found = look(*rows)
    assert bool(found.faults) == bool(found.problems)
    if not found.faults:
        assert len(found.rows) == len(rows) > 0
        for row in found.rows:
            amount, ratio, count, flag, city = row
            assert amount is None or type(amount) is float
            assert type(ratio) is float and not math.isnan(ratio)
            assert type(count) is int and -(2**31) <= count < 2**31
            assert type(flag) is bool
            assert city is None or type(city) is str


@given(st.lists(NEARLY | ANY, max_size=5))
def test_no_problem_is_in_more_rows_than_there_are(rows: list[Any]) -> None:
    for problem in look(*rows).problems:
        assert 1 <= problem.rows <= max(1, len(rows))
        assert problem.column in (*ROW, "")


def changed(**cells: Any) -> dict[str, Any]:
    return {**ROW, **cells}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name not in names}


@pytest.mark.parametrize(
    ("row", "at", "problem", "kind", "column"),
    [
        (changed(other=1), "/0/other", "unknown feature", SkewKind.UNKNOWN, ""),
        (without("ratio"), "/0/ratio", "missing, expected a number", SkewKind.ABSENT, "ratio"),
        (without("amount"), "/0/amount", "missing, expected a number or null", SkewKind.ABSENT, "amount"),
        (changed(ratio=None), "/0/ratio", "null, expected a number (not nullable)", SkewKind.NULL, "ratio"),
        (changed(ratio="1"), "/0/ratio", "found a string, expected a number", SkewKind.WRONG_TYPE, "ratio"),
        (changed(ratio=True), "/0/ratio", "found a boolean, expected a number", SkewKind.WRONG_TYPE, "ratio"),
        (changed(ratio=[1]), "/0/ratio", "found a list, expected a number", SkewKind.WRONG_TYPE, "ratio"),
        (changed(ratio={}), "/0/ratio", "found an object, expected a number", SkewKind.WRONG_TYPE, "ratio"),
        (changed(ratio=10**400), "/0/ratio", "found an integer, expected a number", SkewKind.WRONG_TYPE, "ratio"),
        (changed(ratio=math.nan), "/0/ratio", "NaN, expected a number", SkewKind.NAN, "ratio"),
        (changed(amount="1"), "/0/amount", "found a string, expected a number or null", SkewKind.WRONG_TYPE, "amount"),
        (changed(count=1.5), "/0/count", "found a number, expected an integer from", SkewKind.WRONG_TYPE, "count"),
        (changed(count=True), "/0/count", "found a boolean, expected an integer from", SkewKind.WRONG_TYPE, "count"),
        (changed(count=2**31), "/0/count", "from -2147483648 to 2147483647", SkewKind.WRONG_TYPE, "count"),
        (
            changed(count=1e300),
            "/0/count",
            "found an integer out of range, expected an integer from",
            SkewKind.WRONG_TYPE,
            "count",
        ),
        (changed(count=math.inf), "/0/count", "found a number, expected an integer from", SkewKind.WRONG_TYPE, "count"),
        (changed(flag=1), "/0/flag", "found an integer, expected true or false", SkewKind.WRONG_TYPE, "flag"),
        (changed(city=1), "/0/city", "found an integer, expected a string or null", SkewKind.WRONG_TYPE, "city"),
        ([1, 2, 3], "/0/", "3 values, expected 5 in the contract's order", SkewKind.SHAPE, ""),
        ("text", "/0/", "found a string, expected an object or a list", SkewKind.SHAPE, ""),
        (None, "/0/", "found null, expected an object or a list", SkewKind.SHAPE, ""),
        (7, "/0/", "found an integer, expected an object or a list", SkewKind.SHAPE, ""),
    ],
)
def test_a_fault_names_place_finding_and_expectation_and_is_counted_by_column(
    row: Any, at: str, problem: str, kind: SkewKind, column: str
) -> None:
    found = look(row)
    assert [fault.at for fault in found.faults] == [at]
    assert problem in found.faults[0].problem
    assert found.problems == [Problem(kind, column, 1)]


def test_no_rows_is_a_fault() -> None:
    assert "no rows" in look().faults[0].problem


@pytest.mark.parametrize("value", [3, 3.0, -0.0])
def test_an_integral_float_is_an_integer_in_an_int_column(value: float) -> None:
    ((_, _, count, _, _),) = look(changed(count=value)).rows
    assert (count, type(count)) == (int(value), int)


def test_out_of_range_and_unseen_values_are_answered() -> None:
    assert look(changed(amount=1e9, city="bergen")).faults == []


def test_a_list_is_read_in_the_order_of_the_contract() -> None:
    assert look([1, 2.5, 3, False, None]).rows == [(1.0, 2.5, 3, False, None)]


def test_the_client_hears_the_first_faults_and_the_log_counts_them_all() -> None:
    found = look(*[changed(ratio="x", other=1, another=2)] * 50)
    assert len(found.faults) == FAULTS_MAX
    assert found.problems == [Problem(SkewKind.UNKNOWN, "", 50), Problem(SkewKind.WRONG_TYPE, "ratio", 50)]


def test_only_names_of_the_contract_reach_the_log_and_long_ones_are_cut_for_the_client() -> None:
    found = look(changed(**{"secret" * 50: 1}))
    assert found.problems == [Problem(SkewKind.UNKNOWN, "", 1)]
    assert len(found.faults[0].at) <= 64 + len("/0/")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_value_that_is_taken(kind: Kind) -> None:
    assert {column.kind for column in CONTRACT.features} == set(Kind)
    assert look(ROW).rows == [(1.5, 2.5, 3, True, "oslo")]
