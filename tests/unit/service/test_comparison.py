"""How far do two answers lie apart: counted in pieces as together, quantiles within their error, the worst rows found."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind
from service.comparison import OTHER, SEGMENTS_MAX, WORST_ROWS, Comparison, RowKey, Spread, Values, same

OUTPUTS = [("score", Kind.FLOAT), ("place", Kind.STRING), ("n", Kind.INT)]
numbers = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]), st.none())
texts = st.sampled_from(["oslo", "rome", None])
integers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1]))
rows_ = st.lists(
    st.tuples(st.tuples(numbers, texts, integers), st.tuples(numbers, texts, integers), st.sampled_from("abc")),
    max_size=30,
)


def values(kind: Kind, cells: list[Any]) -> Values:
    null = np.array([cell is None for cell in cells], np.bool_)
    dtype: Any = {Kind.FLOAT: np.float64, Kind.INT: np.int64, Kind.STRING: object}[kind]
    filled = np.array([("" if kind is Kind.STRING else 0) if cell is None else cell for cell in cells], dtype)
    return Values(filled, null)


def sides(rows: list[Any], side: int) -> list[Values]:
    return [values(kind, [row[side][place] for row in rows]) for place, (_, kind) in enumerate(OUTPUTS)]


def compared(*pieces: list[Any]) -> Comparison:
    found, number = Comparison(OUTPUTS), 0
    for rows in pieces:
        keys = [RowKey(f"r{number + offset:03}", offset) for offset in range(len(rows))]
        number += len(rows)
        keys = [RowKey(key.request_id, 0) for key in keys]
        found.add(keys, sides(rows, 0), sides(rows, 1), [row[2] for row in rows])
    return found


@given(rows_, st.integers(0, 30))
def test_rows_compared_in_pieces_give_what_they_give_together(rows: list[Any], cut: int) -> None:
    assert repr(compared(rows[:cut], rows[cut:]).as_json()) == repr(compared(rows).as_json())


@given(rows_)
def test_equal_is_bit_equal_and_each_row_that_is_not_is_told(rows: list[Any]) -> None:
    def alike(a: Any, b: Any) -> bool:
        return (a is None) == (b is None) and (repr(a) == repr(b) or (a != a and b != b))

    found = compared(rows)
    assert found.rows == len(rows)
    assert found.equal == sum(all(map(alike, *row[:2])) for row in rows)
    for place, output in enumerate(found.outputs):
        differing = [number for number, row in enumerate(rows) if not alike(row[0][place], row[1][place])]
        assert output.rows - output.equal == len(differing)
        assert len(output.worst) == min(WORST_ROWS, len(differing))
        assert {int(one.key.request_id[1:]) for one in output.worst} <= set(differing)
    assert sum(segment.rows for segment in found.segments.values()) == len(rows)
    assert sum(segment.equal for segment in found.segments.values()) == found.equal


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_and_the_maximum_exact(distances: list[float], q: float) -> None:
    spread = Spread()
    spread.add(np.array(distances))
    exact = float(np.quantile(distances, q, method="inverted_cdf"))
    assert spread.quantile(q) == pytest.approx(exact, rel=0.0101, abs=1e-307)
    assert spread.largest == max(distances)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_worst_rows_are_those_that_lie_furthest_apart(shifts: list[float]) -> None:
    keys = [RowKey(f"r{number}", 0) for number in range(len(shifts))]
    found = Comparison([("score", Kind.FLOAT)])
    found.add(keys, [values(Kind.FLOAT, [0.0] * len(shifts))], [values(Kind.FLOAT, list(shifts))])
    expected = sorted((abs(shift) for shift in shifts if math.copysign(1, shift) < 0 or shift), reverse=True)
    assert [one.distance for one in found.outputs[0].worst] == expected[:WORST_ROWS]


def test_a_number_against_none_has_no_distance_and_is_the_worst() -> None:
    cells: list[Any] = [1.0, 1.0, 1.0, math.nan, None, math.inf]
    other: list[Any] = [5.0, math.nan, None, math.nan, None, -math.inf]
    found = Comparison([("score", Kind.FLOAT)])
    found.add([RowKey("r", row) for row in range(6)], [values(Kind.FLOAT, cells)], [values(Kind.FLOAT, other)])
    (output,) = found.outputs
    assert (output.equal, output.unlike, output.spread.n, output.spread.largest) == (2, 3, 1, 4.0)
    assert [(one.key.row, one.distance) for one in output.worst] == [
        (1, math.inf),
        (2, math.inf),
        (5, math.inf),
        (0, 4.0),
    ]


def test_changes_of_class_are_counted_by_what_became_what() -> None:
    found = Comparison([("place", Kind.STRING)])
    recorded, replayed = ["oslo", "oslo", None, "rome"], ["rome", "rome", "rome", "rome"]
    found.add([RowKey("r", n) for n in range(4)], [values(Kind.STRING, recorded)], [values(Kind.STRING, replayed)])
    told = found.as_json()["outputs"][0]
    assert (told["agreement"], told["changes"]) == (0.25, {"oslo → rome": 2, "null → rome": 1})


def test_segments_beyond_their_limit_are_counted_together() -> None:
    found = Comparison([("n", Kind.INT)])
    n = SEGMENTS_MAX + 5
    same_values = values(Kind.INT, list(range(n)))
    found.add([RowKey("r", row) for row in range(n)], [same_values], [same_values], [f"s{row}" for row in range(n)])
    assert found.segments[OTHER].rows == 5 and len(found.segments) == SEGMENTS_MAX + 1


def test_no_rows_have_no_agreement() -> None:
    told = Comparison(OUTPUTS).as_json()
    assert [one["agreement"] for one in told["outputs"]] == [None] * 3
    assert told["outputs"][0]["difference"] == {"p50": None, "p90": None, "p99": None, "max": None}


def test_zero_and_minus_zero_are_not_the_same_bits() -> None:
    assert same(Kind.FLOAT, values(Kind.FLOAT, [0.0]), values(Kind.FLOAT, [-0.0])).tolist() == [False]
