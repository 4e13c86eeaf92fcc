import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Privacy
from service.featurelog.errors import WhereInvalid
from service.featurelog.matching import Matcher
from service.featurelog.privacy import hashed
from service.featurelog.where import Both, Either, Term, identifiers, parse, terms

KEY = b"k" * 32
TABLE = pa.table(
    {
        "name": pa.array(["Ann", "Bob", None, "O'Hara"]).dictionary_encode(),
        "age": pa.array([3, None, 2**62, -5], pa.int64()),
        "amount": pa.array([1.5, math.nan, None, -0.0]),
        "adult": pa.array([True, False, None, True]),
        "at": pa.array([0, 1_000_000, 2_000_000, 3_000_000], pa.timestamp("us", tz="UTC")),
        "mail": pa.array([hashed(KEY, "a@x"), hashed(KEY, 17), hashed(KEY, float(np.float32(0.1))), None]),
        "a b": pa.array([1, 2, 3, 4]),
    }
)


def rows(clause: str, **private: Privacy) -> list[int]:
    return np.flatnonzero(Matcher(parse(clause), KEY).rows(TABLE, private, model="loans")).tolist()


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        ("name = 'Ann'", [0]),
        ("name = 'O''Hara'", [3]),
        ("name != 'Ann'", [1, 3]),
        ("name <> 'Ann' AND name >= 'B'", [1, 3]),
        ("name in ('Ann', 'Bob')", [0, 1]),
        ("name not in ('Ann', 'Bob')", [3]),
        ("name is null", [2]),
        ("name IS NOT NULL", [0, 1, 3]),
        ("age = 3", [0]),
        ("age >= 3.0", [0, 2]),
        ("age = 4611686018427387904", [2]),
        ("age < 99999999999999999999999", [0, 2, 3]),
        ("age in (3, -5)", [0, 3]),
        ("amount = 0", [3]),
        ("amount > -1e3", [0, 3]),
        ("adult = true", [0, 3]),
        ("adult = FALSE", [1]),
        ("at >= '1970-01-01T00:00:02Z'", [2, 3]),
        ("at < '1970-01-01T00:00:01'", [0]),
        ("\"a b\" = 2 or name = 'Ann'", [0, 1]),
        ("(age = 3 or age = -5) and adult = true", [0, 3]),
        ("age = 3 or age = -5 and adult = false", [0]),
        ("AGE = 3", [0]),
        ("model = 'loans' and age = 3", [0]),
        ("model = 'others'", []),
        ("nowhere = 1", []),
        ("nowhere is null", []),
    ],
)
def test_a_clause_names_these_rows(clause: str, found: list[int]) -> None:
    assert rows(clause) == found


@pytest.mark.parametrize(
    ("clause", "found"),
    [("mail = 'a@x'", [0]), ("mail = 17", [1]), ("mail = 0.1", [2]), ("mail in ('a@x', '17')", [0, 1])],
)
def test_a_hashed_feature_is_found_by_the_raw_value(clause: str, found: list[int]) -> None:
    assert rows(clause, mail=Privacy.HASH) == found


@pytest.mark.parametrize(
    ("clause", "where"),
    [
        ("", "the end at character 1"),
        ("name", "the end at character 5"),
        ("name = ", "the end"),
        ("name = Ann", "'Ann' at character 8"),
        ("name = 'Ann", r"at character \d"),
        ("name = 'Ann' name", "'name' at character 14"),
        ("(name = 'Ann'", "the end"),
        ("not name = 'Ann'", "'not' at character 1"),
        ("name = 'Ann'; drop", r"';"),
        ("name in ()", r"'\)'"),
        ("1 = 1", "'1' at character 1"),
        ("(" * 51 + "a = 1" + ")" * 51, "at most 50"),
        ("a = 1 or " * 3000, "at most 20000"),
    ],
)
def test_what_is_no_clause_is_refused_with_its_place(clause: str, where: str) -> None:
    with pytest.raises(WhereInvalid, match=where):
        parse(clause)


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("name = 3", "expected a text"),
        ("age = 'x'", "expected a number"),
        ("age = true", "expected a number"),
        ("adult = 1", "expected true or false"),
        ("at > 'soon'", "expected a time"),
    ],
)
def test_a_literal_of_another_kind_is_refused(clause: str, said: str) -> None:
    with pytest.raises(WhereInvalid, match=said):
        rows(clause)


def test_hashes_have_no_order() -> None:
    with pytest.raises(WhereInvalid, match="mail is hashed"):
        rows("mail > 'a'", mail=Privacy.HASH)


def test_a_clause_that_names_values_alone_says_so() -> None:
    assert identifiers(parse("a = 'x' or b in ('y', 3)")) == ("x", "y", 3)
    for other in (
        "a = 'x' and b = 1",
        "a != 'x'",
        "a not in ('x')",
        "a = 'x' or b > 1",
        "a = 'x' or (b = 'y' and c = 1)",
    ):
        assert identifiers(parse(other)) == ()


def test_and_binds_more_than_or() -> None:
    a, b, c = (Term(name, "=", (1,)) for name in "abc")
    assert parse("a = 1 or b = 1 and c = 1") == Either((a, Both((b, c))))
    assert list(terms(parse("(a = 1 or b = 1) and c = 1"))) == [a, b, c]


@given(st.text())
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        parse(text)
    except WhereInvalid as error:
        assert "expected" in str(error)


@pytest.mark.parametrize(
    ("clause", "found"), [("mail = 'a@x'", [0]), ("mail = 17", [1]), ("mail != 'a@x'", [1, 2]), ("name = 'Ann'", [0])]
)
def test_where_it_is_not_known_what_is_hashed_a_text_is_compared_both_ways(clause: str, found: list[int]) -> None:
    assert np.flatnonzero(Matcher(parse(clause), KEY).rows(TABLE, None)).tolist() == found
