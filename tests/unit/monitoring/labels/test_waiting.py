import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels.rows import ROW, Rows
from monitoring.labels.waiting import Waiting


def rows(*keys: int, at_us: int = 0) -> Rows:
    made = np.zeros(len(keys), dtype=ROW)
    made["key"], made["at_us"] = sorted(keys), at_us
    return made


def keys(*wanted: int) -> np.ndarray:
    return np.array(wanted, dtype=np.uint64)


@given(st.lists(st.lists(st.integers(0, 60), max_size=12, unique=True), max_size=6), st.integers(1, 20))
def test_those_with_the_lowest_keys_wait_whatever_came_first(parts: list[list[int]], rows_max: int) -> None:
    waiting = Waiting(rows_max)
    entered = gone = 0
    for part in parts:
        came, let_go = waiting.add(rows(*part))
        entered, gone = entered + len(came), gone + len(let_go)
    every = sorted({key for part in parts for key in part})
    assert waiting.rows["key"].tolist() == every[:rows_max]
    assert entered - gone == len(waiting.rows)
    assert (waiting.let_go_from is not None) == (len(every) > rows_max)


def test_a_row_that_is_settled_waits_no_more_and_is_remembered() -> None:
    waiting = Waiting(10)
    waiting.add(rows(1, 2, 3))
    place, there = waiting.find(keys(2, 9))
    assert there.tolist() == [True, False]
    taken = waiting.settle(place[there], np.array([1.0]))
    assert taken["key"].tolist() == [2]
    assert waiting.rows["key"].tolist() == [1, 3]
    values, known = waiting.known(keys(2, 3))
    assert known.tolist() == [True, False]
    assert values[0] == 1.0
    assert waiting.add(rows(2))[0].size == 0  # the same row again: it has its label


def test_what_is_too_old_is_let_go_and_forgotten() -> None:
    waiting = Waiting(10)
    waiting.add(rows(1, 2, at_us=5))
    waiting.add(rows(3, at_us=9))
    place, _ = waiting.find(keys(1))
    waiting.settle(place, np.array([0.0]))
    assert waiting.expire(5).size == 0
    assert waiting.expire(6)["key"].tolist() == [2]
    assert (len(waiting.rows), len(waiting.done)) == (1, 0)


def test_only_where_something_was_let_go_may_a_key_have_been() -> None:
    waiting = Waiting(2)
    waiting.add(rows(1, 5))
    assert not waiting.beyond(keys(9)).any()
    waiting.add(rows(7))
    assert waiting.beyond(keys(3, 9)).tolist() == [False, True]
