from hypothesis import given
from hypothesis import strategies as st

from service.batch_plan import Cost

RUNS = st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1e7)), max_size=30)


@given(RUNS, st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_estimate_is_never_negative_and_rises_with_the_rows(
    runs: list[tuple[int, float]], one: int, other: int
) -> None:
    cost = Cost()
    for rows, took_us in runs:
        cost.learn(rows, took_us)
    low, high = sorted((one, other))
    assert 0 <= cost.estimate_us(low) <= cost.estimate_us(high)


def test_before_anything_was_measured_the_estimate_is_nothing() -> None:
    assert Cost().estimate_us(10_000) == 0


def test_the_estimate_follows_the_last_runs_and_is_not_thrown_by_one() -> None:
    cost = Cost()
    for _ in range(100):
        cost.learn(1, 10.0)
    cost.learn(1, 1000.0)
    assert 10 < cost.estimate_us(1) < 100
    for _ in range(100):
        cost.learn(1, 50.0)
    assert 45 < cost.estimate_us(1) < 60


@given(RUNS.filter(bool))
def test_the_estimate_lies_between_the_cheapest_and_the_dearest_run(runs: list[tuple[int, float]]) -> None:
    cost = Cost()
    for rows, took_us in runs:
        cost.learn(rows, took_us)
    per_row = [took_us / rows for rows, took_us in runs]
    assert min(per_row) * 0.999 <= cost.estimate_us(1) <= max(per_row) * 1.001
