from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batch_plan import (
    FIRST,
    OUTLIER,
    SHARE,
    STAYS_INLINE,
    WEIGHT,
    BatchRules,
    Cost,
    Drain,
    Release,
    Wait,
    inline_rows,
    portion,
    release,
    retry_after_s,
    rows_admitted,
)

RUNS = st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1e7)), max_size=30)
ROWS = st.integers(1, 100_000)
RULES = BatchRules(
    max_batch_rows=64, max_queue_rows=1_000, max_queue_bytes=1 << 20, max_queue_delay_us=100, inline_below_us=500
)


def learnt(runs: list[tuple[int, float]]) -> Cost:
    cost = Cost()
    for rows, took_us in runs:
        cost.learn(rows, took_us)
    return cost


@given(RUNS, ROWS, ROWS)
def test_the_estimate_is_never_negative_and_never_falls_with_the_rows(
    runs: list[tuple[int, float]], one: int, other: int
) -> None:
    cost = learnt(runs)
    low, high = sorted((one, other))
    assert 0 <= cost.estimate_us(low) <= cost.estimate_us(high) * (1 + 1e-12)


def test_before_anything_was_measured_nothing_is_small() -> None:
    assert Cost().estimate_us(1) == inf
    assert Cost().rows_within(1e12) == 0


@given(RUNS, st.floats(0.1, 1e8))
def test_what_fits_a_budget_is_the_most_that_is_expected_to(runs: list[tuple[int, float]], budget_us: float) -> None:
    cost = learnt(runs)
    most = cost.rows_within(budget_us)
    if most:
        assert cost.estimate_us(most) < budget_us
    if most < 1 << 32:  # more rows than a run can have
        assert cost.estimate_us(most + 2) >= budget_us * (1 - 1e-9)


@given(st.floats(0, 1e4), st.floats(0.01, 100), st.sets(st.sampled_from([1, 2, 7, 16, 100, 1024]), min_size=2), ROWS)
def test_an_overhead_and_a_price_a_row_are_told_apart(
    overhead_us: float, per_row_us: float, sizes: set[int], rows: int
) -> None:
    cost = learnt([(size, overhead_us + size * per_row_us) for size in sizes] * 3)
    true_us = overhead_us + rows * per_row_us
    if min(sizes) <= rows <= max(sizes):
        assert cost.estimate_us(rows) == pytest.approx(true_us)
    else:
        assert cost.estimate_us(rows) >= true_us * (1 - 1e-9)  # what was not measured is estimated dear


@given(RUNS.filter(bool), st.floats(0, 1e12), ROWS)
def test_one_run_raises_an_estimate_of_known_sizes_by_little(
    runs: list[tuple[int, float]], took_us: float, rows: int
) -> None:
    cost = learnt(runs)
    known, before_us = runs[0][0], cost.estimate_us(rows)
    steady = [size.rows for size in cost._sizes]
    cost.learn(known, took_us)
    if steady == [size.rows for size in cost._sizes]:  # the place of the point did not move
        assert cost.estimate_us(rows) <= before_us * (1 + WEIGHT * (OUTLIER - 1)) * (1 + 1e-9)


def test_the_estimate_follows_what_became_dearer_for_good() -> None:
    cost = learnt([(1, 10.0)] * 100 + [(1, 1_000.0)])
    assert 10 < cost.estimate_us(1) < 12
    for _ in range(200):
        cost.learn(1, 1_000.0)
    assert cost.estimate_us(1) > 900


@pytest.mark.parametrize(
    ("took_us", "before", "rows"), [(499, 0, 1), (501, 0, 0), (501, 1, 1), (999, 1, 1), (1_001, 1, 0)]
)
def test_what_is_run_inline_stays_so_until_it_takes_twice_as_long(took_us: float, before: int, rows: int) -> None:
    assert inline_rows(RULES, learnt([(1, took_us)]), before) == rows


@given(RUNS, st.integers(0, 1000))
def test_nothing_is_run_inline_that_takes_twice_as_long(runs: list[tuple[int, float]], before: int) -> None:
    cost = learnt(runs)
    rows = inline_rows(RULES, cost, before)
    assert not rows or cost.estimate_us(rows) < STAYS_INLINE * RULES.inline_below_us
    assert rows >= inline_rows(RULES, cost, 0)


@pytest.mark.parametrize("place", range(FIRST))
def test_a_process_that_stood_still_among_the_first_runs_is_not_believed(place: int) -> None:
    """One of 2 s among runs of 1 ms: it would have refused, for dozens of runs, whoever has 5 s."""
    cost, drain = Cost(), Drain()
    for number in range(FIRST):
        took_us = 2e6 if number == place else 1e3
        cost.learn(64, took_us)
        drain.learn(64, took_us)
    assert cost.estimate_us(64) == drain.estimate_us(64) == pytest.approx(1e3)


def test_sizes_are_learnt_apart() -> None:
    cost = learnt([(1, 10.0), (1_000, 400.0)] + [(1, 20.0)] * 200)
    assert cost.estimate_us(1_000) == 400.0


@pytest.mark.parametrize(
    ("rows", "now_us", "deadline_us", "expected"),
    [
        (64, 0, 10_000, Release.FULL),
        (65, 99, 10_000, Release.FULL),
        (10, 99, 10_000, Wait(100_000)),
        (10, 100, 10_000, Release.TIMER),
        (10, 0, 5_060, Wait(50_000)),  # ten rows take 10 µs, and a timer may be 5 ms late
        (10, 50, 5_060, Release.DEADLINE),
        (10, 70, 60, Release.DEADLINE),
    ],
)
def test_a_batch_is_released_when_full_or_when_waiting_longer_would_hurt(
    rows: int, now_us: int, deadline_us: int, expected: Release | Wait
) -> None:
    cost = learnt([(1, 1.0), (100, 100.0)])
    found = release(RULES, cost, rows=rows, oldest_ns=0, deadline_ns=deadline_us * 1000, now_ns=now_us * 1000)
    assert found == expected


@given(st.integers(1, 1_000), st.integers(0, 10**12), st.integers(0, 10**12))
def test_without_a_delay_nothing_ever_waits_for_company(rows: int, deadline_ns: int, now_ns: int) -> None:
    rules = BatchRules(
        max_batch_rows=64, max_queue_rows=1_000, max_queue_bytes=1 << 20, max_queue_delay_us=0, inline_below_us=500
    )
    found = release(rules, Cost(), rows=rows, oldest_ns=0, deadline_ns=deadline_ns, now_ns=now_ns)
    assert found is (Release.FULL if rows >= 64 else Release.IDLE)


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=20), st.integers(1, 100))
def test_a_batch_is_never_empty_and_only_one_indivisible_request_exceeds_it(
    waiting: list[tuple[int, bool]], max_rows: int
) -> None:
    room, shares = max_rows, []
    for rows, divisible in waiting:
        share = portion(rows, room, first=not shares, divisible=divisible)
        assert 0 <= share <= rows
        assert divisible or share in (0, rows)
        if not share:
            break
        shares.append(share)
        room -= share
        if room <= 0:
            break
    assert shares
    assert sum(shares) <= max_rows or len(shares) == 1


@given(RUNS, st.floats(-1e9, 1e9))
def test_no_more_is_admitted_than_the_queue_holds(runs: list[tuple[int, float]], remaining_us: float) -> None:
    assert 0 <= rows_admitted(RULES, learnt(runs), Drain(), remaining_us) <= RULES.max_queue_rows


def test_whoever_is_refused_is_told_to_come_when_what_waits_has_been_run() -> None:
    assert retry_after_s(RULES, Cost(), 1_000) == 1  # nothing is known
    assert retry_after_s(RULES, learnt([(64, 1_000.0)]), 1_000) == 1  # 16 ms, and a second is the shortest there is
    assert retry_after_s(RULES, learnt([(64, 1e6)]), 641) == 11
    assert retry_after_s(RULES, learnt([(64, 1e9)]), 1_000) == 30


def test_what_would_expire_behind_the_others_is_not_admitted() -> None:
    cost = learnt([(64, 640.0)])
    assert rows_admitted(RULES, cost, Drain(), 1_280.0) == int(128 * SHARE)
    assert (
        rows_admitted(RULES, Cost(), Drain(), 1.0) == RULES.max_queue_rows
    )  # nothing is known, so nothing is refused for it


def test_a_queue_that_empties_more_slowly_than_its_runs_take_admits_fewer() -> None:
    """Between two runs of 640 µs the event loop did something else for 1 920."""
    cost, drain = learnt([(64, 640.0)]), Drain()
    for _ in range(50):
        drain.learn(64, 2_560.0)
    assert rows_admitted(RULES, cost, drain, 12_800.0) == int(320 * SHARE)
    drain.learn(64, 1e9)  # one interrupted run is no verdict
    assert rows_admitted(RULES, cost, drain, 12_800.0) > int(160 * SHARE)
