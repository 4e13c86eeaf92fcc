"""What callers saw: adds up over processes, and no quantile is too small."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.seen import FIRST_MS, STEP, Outcome, Seen, bin_of, outcome_of, upper_ms

requests = st.lists(
    st.tuples(
        st.integers(1_000, 1_010), st.sampled_from([0, 200, 400, 500, 503, 504]), st.booleans(), st.floats(0, 2e4)
    ),
    max_size=60,
)


def seen_of(several: list[tuple[int, int, bool, float]]) -> Seen:
    seen = Seen()
    for ended_s, status, wrong, latency_ms in several:
        seen.note(ended_s=ended_s, status=status, wrong=wrong, latency_ms=latency_ms)
    return seen


@given(requests, requests)
def test_two_workers_are_as_one_that_saw_both(one: list, other: list) -> None:  # type: ignore[type-arg]
    master = Seen()
    for part in (one, other):
        master.add(json.loads(json.dumps(seen_of(part).drain())))
    assert master == seen_of(one + other)
    assert master.n == len(one) + len(other)
    assert sum(sum(second.outcomes.values()) for second in master.seconds(1_000)) == master.n


@given(st.floats(0, 1e6))
def test_a_bin_ends_at_most_five_per_cent_above_what_lies_in_it(latency_ms: float) -> None:
    upper = upper_ms(bin_of(latency_ms))
    assert upper >= latency_ms * (1 - 1e-6)
    assert upper <= max(latency_ms, FIRST_MS) * STEP * (1 + 1e-6)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_never_below_the_one_of_the_latencies(latencies: list[float], share: float) -> None:
    seen = seen_of([(1, 200, False, one) for one in latencies])
    exact = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    told = seen.quantile_ms(share)
    assert told is not None
    assert exact * (1 - 1e-6) <= told <= exact * STEP * (1 + 1e-6)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "answered"),
        (400, "rejected"),
        (429, "rejected"),
        (500, "failed"),
        (503, "shed"),
        (504, "shed"),
        (0, "unanswered"),
    ],
)
def test_a_status_is_the_outcome_that_the_log_has(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


def test_latency_is_of_what_went_right_and_only_answers_are_wrong_answers() -> None:
    seen = seen_of([(1, 503, True, 9_000.0), (1, 200, True, 9_000.0), (3, 200, False, 1.0), (3, 400, False, 2.0)])
    assert (seen.errors, seen.wrong_answers) == (2, 1)
    assert seen.quantile_ms(0.99) == pytest.approx(2.0, rel=0.06)
    assert seen.outcomes() == {Outcome.SHED: 1, Outcome.ANSWERED: 2, Outcome.REJECTED: 1}


def test_a_second_without_anything_is_there_and_has_no_quantile() -> None:
    _, empty, _ = seen_of([(11, 200, False, 1.0), (13, 200, False, 1.0)]).seconds(10.7)
    assert (empty.at_s, empty.outcomes, empty.p99_ms) == (2, {}, None)
