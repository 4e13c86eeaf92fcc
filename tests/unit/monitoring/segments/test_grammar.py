"""Declared expressions: what they mean, row by row, and what is refused, with a sentence, before anything runs."""

import contextlib
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind
from monitoring.errors import SegmentInvalid
from monitoring.segments.grammar import CHARS_MAX, compile_expression

FEATURES = [
    ColumnBaseline(name="amount", kind=Kind.FLOAT, counts=(0,) * (SPECIALS + 1)),
    ColumnBaseline(name="age", kind=Kind.INT, counts=(0,) * (SPECIALS + 1)),
    ColumnBaseline(name="returning", kind=Kind.BOOL, counts=(0,) * (SPECIALS + 1)),
    ColumnBaseline(name="country", kind=Kind.STRING, categories=("DE", "FR", "PT"), counts=(0,) * (SPECIALS + 3)),
    ColumnBaseline(name="merchant", kind=Kind.STRING, top=("a",), buckets=2, counts=(0,) * (SPECIALS + 3)),
    ColumnBaseline(name="fixed acidity", kind=Kind.FLOAT, counts=(0,) * (SPECIALS + 1)),
]


class Held:
    """Rows of plain values, None where null."""

    def __init__(self, *columns: list) -> None:
        self._columns = columns

    @property
    def n(self) -> int:
        return len(self._columns[0])

    def null(self, feature: int) -> np.ndarray:
        return np.array([value is None for value in self._columns[feature]], dtype=np.bool_)

    def numbers(self, feature: int) -> np.ndarray:
        return np.array([0.0 if value is None else value for value in self._columns[feature]], dtype=np.float64)

    def is_any(self, feature: int, texts: frozenset[str]) -> np.ndarray:
        return np.array([value in texts for value in self._columns[feature]], dtype=np.bool_)


ROWS = Held(
    [10.0, 2000.0, None, float("nan")],
    [30, 17, 40, None],
    [True, False, None, True],
    ["DE", "FR", None, "PT"],
    ["a", "b", "c", None],
    [7.0, 8.0, 9.0, 7.5],
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("amount > 1000", [1]),
        ("1000 < amount", [1]),
        ("5 < amount <= 2000", [0, 1]),
        ("amount != 10", [1, 3]),  # NaN is a number that is no other
        ("amount == 10 or age == 40", [0, 2]),
        ("amount > age", [1]),
        ("age in (17, 40)", [1, 2]),
        ("age not in [17, 40]", [0]),
        ("amount > -1.5", [0, 1]),
        ("returning", [0, 3]),
        ("not returning", [1, 2]),  # null is not true
        ("returning == False", [1]),
        ("country in ['DE', 'FR'] and amount > 100", [1]),
        ("country != 'DE'", [1, 3]),
        ("country is None", [2]),
        ("country is not None and not (country == 'PT')", [0, 1]),
        ("merchant == 'b'", [1]),
        ("merchant not in ['b', 'unheard of']", [0, 2]),
        ("feature('fixed acidity') >= 8", [1, 2]),
    ],
)
def test_an_expression_means_these_rows(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(compile_expression(text, FEATURES)(ROWS)).tolist() == rows


@given(
    st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=20),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-5, 5),
)
def test_a_comparison_is_pythons_own_and_false_of_null(values: list, sign: str, limit: int) -> None:
    compare = {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
    found = compile_expression(f"amount {sign} {limit}", FEATURES)(Held(values))
    assert found.tolist() == [value is not None and compare[sign](value, limit) for value in values]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("amout > 5", "'amout', which is no feature"),
        ("country == 'XX'", "'XX', which 'country' never was"),
        ("country > 'DE'", "an order"),
        ("country == merchant", "two columns of text"),
        ("country == 5", "5.0 beside 'country'"),
        ("amount == 'five'", "'five' beside 'amount'"),
        ("amount", "'amount' alone"),
        ("5 > 4", "5"),
        ("amount > 1e999 * 2", "1e309 * 2"),
        ("amount > " + "9" * 400, "beyond 1e308"),
        ("amount in []", "[]"),
        ("amount in country", "country"),
        ("amount is 5", "5"),
        ("amount >", "invalid syntax"),
        ("", "invalid syntax"),
        ("amount > 5; age", "invalid syntax"),
        ("__import__('os').system('true')", "__import__"),
        ("feature(age) > 5", "feature(age)"),
        ("age.real > 5", "age.real"),
        ("[age for age in (1,)] == 5", "[age for age in (1,)]"),
        ("(lambda: 1)() > age", "(lambda: 1)()"),
        ("age + 1 > 5", "age + 1"),
        ("age := 5", "invalid syntax"),
        ("amount > 1 " * 200, "characters"),
        ("not " * 110 + "returning", "parts"),
        ("(" * 240 + "returning" + ")" * 240, "parenthes"),
        ("returning\x00", "null bytes"),
    ],
)
def test_what_is_no_such_expression_is_refused_with_what_was_found(text: str, found: str) -> None:
    with pytest.raises(SegmentInvalid) as refused:
        compile_expression(text, FEATURES)
    assert found in refused.value.found
    assert "it is not watched" in str(refused.value)


@given(st.text(max_size=CHARS_MAX))
def test_any_text_is_an_expression_or_refused_in_one_way(text: str) -> None:
    with contextlib.suppress(SegmentInvalid):
        compile_expression(text, FEATURES)
