"""What is said of a shadow, against the same computed by hand."""

import math

import numpy as np
import pytest

from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.shadows.count import WORST
from monitoring.shadows.layout import TOLERANCE
from monitoring.shadows.said import ShadowSaid, ShadowsSaid, said
from monitoring.state import State
from service.featurelog.record import Record
from tests.unit.monitoring.shadows.made import MINUTE_US, REFERENCES, START_US, STD, answer, chunk, run, shadow

RULES = Rules()


def told(*records: Record, rules: Rules = RULES) -> ShadowsSaid:
    state = State()
    fold(state, chunk(run(records)), settled=True, rules=rules, references=REFERENCES)
    return said(state.shadows, state.closed or 0, REFERENCES)


def compared(*records: Record) -> ShadowSaid:
    (one,) = told(*records).compared
    return one


def pairs(n: int, seed: int = 1, shift: float = 0.5) -> tuple[list[Record], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    given = rng.normal(scale=STD, size=n)
    other = given + shift + rng.normal(scale=0.3, size=n)
    records: list[Record] = []
    for number in range(n):
        at_us = START_US + number * 1000
        records.append(answer(number, [(given[number], "no")], at_us=at_us, compute_us=100))
        records.append(shadow(number, [(other[number], "no")], at_us=at_us, compute_us=100 + number))
    return records, given, other


def test_a_number_is_told_by_quantiles_mean_and_agreement_within_a_tenth_of_a_standard_deviation() -> None:
    records, given, other = pairs(2000)
    one = compared(*records)
    score, apart = one.outputs[0], other - given
    assert (one.requests, one.rows, one.failed, one.misfit) == (2000, 2000, 0, 0)
    assert score.tolerance == pytest.approx(TOLERANCE * STD)
    assert score.agreement == np.mean(np.abs(apart) <= TOLERANCE * STD)
    found = score.difference
    assert found is not None
    for value, q in ((found.p05, 0.05), (found.p50, 0.5), (found.p95, 0.95)):
        assert value == pytest.approx(np.quantile(apart, q, method="inverted_cdf"), rel=0.051)
    for value, q in ((found.size_p50, 0.5), (found.size_p90, 0.9), (found.size_p99, 0.99)):
        assert value == pytest.approx(np.quantile(np.abs(apart), q, method="inverted_cdf"), rel=0.051)
    half = 1.96 * apart.std(ddof=1) / math.sqrt(2000)
    assert found.mean == pytest.approx(apart.mean(), abs=1e-3)
    assert found.mean_low == pytest.approx(apart.mean() - half, abs=2e-3)
    assert found.mean_high == pytest.approx(apart.mean() + half, abs=2e-3)


def test_the_difference_of_latency_has_a_sign() -> None:
    one = compared(*pairs(1001)[0])
    assert one.latency_ms["p50"] == pytest.approx(0.5, rel=0.06)
    assert one.latency_ms["p05"] == pytest.approx(0.05, rel=0.06)
    faster = [answer(0, [(1.0, "no")], compute_us=500), shadow(0, [(1.0, "no")], compute_us=100)]
    assert compared(*faster).latency_ms["p50"] == pytest.approx(-0.4, rel=0.06)


def test_a_class_agrees_where_it_is_the_same_whatever_its_code_is() -> None:
    given = [(0.0, "no"), (0.0, "yes"), (0.0, "no"), (0.0, None), (0.0, None), (0.0, "text"), (0.0, "maybe")]
    other = [(0.0, "no"), (0.0, "yes"), (0.0, "maybe"), (0.0, None), (0.0, "no"), (0.0, "text"), (0.0, "maybe")]
    label = compared(answer(0, given), shadow(0, other)).outputs[1]
    assert (label.output, label.kind) == ("label", "string")
    assert label.agreement == label.equal == 5 / 7
    assert label.unlike == 1  # null on one side
    assert (label.difference, label.tolerance) == (None, None)


@pytest.mark.parametrize(
    ("given", "other", "equal", "unlike"),
    [
        (math.nan, math.nan, 1.0, 0),
        (None, None, 1.0, 0),
        (1.0, math.nan, 0.0, 1),
        (math.inf, 1.0, 0.0, 1),
        (math.inf, -math.inf, 0.0, 1),
        (None, 1.0, 0.0, 1),
        (0.0, -0.0, 0.0, 0),
    ],
)
def test_what_is_no_number_is_equal_or_unlike_and_never_a_difference(
    given: float | None, other: float | None, equal: float, unlike: int
) -> None:
    one = compared(answer(0, [(given, "no")]), shadow(0, [(other, "no")]))
    score = one.outputs[0]
    assert (score.equal, score.unlike) == (equal, unlike)
    assert len(one.worst) == unlike
    if unlike:
        assert one.worst[0]["difference"] is None


def test_drift_is_the_total_variation_of_both_on_trainings_bins_and_its_interval_holds_it() -> None:
    records, given, other = pairs(4000, shift=2.0)
    score = compared(*records).outputs[0]
    baseline = REFERENCES[next(iter(REFERENCES))].columns[0]
    edges = [-np.inf, baseline.low, *baseline.edges, np.nextafter(baseline.high, np.inf), np.inf]
    counts = [np.histogram(side, edges)[0] for side in (given, other)]
    assert score.drift == pytest.approx(np.abs(counts[0] - counts[1]).sum() / 8000, abs=1e-4)
    assert score.drift_low is not None and score.drift_high is not None
    assert 0 < score.drift_low < score.drift < score.drift_high


def test_two_versions_that_say_the_same_do_not_drift() -> None:
    records = [record for n in range(50) for record in (answer(n, [(1.0, "no")]), shadow(n, [(1.0, "no")]))]
    score = compared(*records).outputs[0]
    assert (score.drift, score.drift_low, score.agreement, score.equal) == (0.0, 0.0, 1.0, 1.0)


def test_rows_of_one_request_are_one_witness_for_the_intervals() -> None:
    rng = np.random.default_rng(3)
    shifts = rng.normal(size=40)
    one_each: list[Record] = []
    fifty_each: list[Record] = []
    for number, shift in enumerate(shifts):
        for records, rows in ((one_each, 1), (fifty_each, 50)):
            records += [answer(number, [(1.0, "no")] * rows), shadow(number, [(1.0 + shift, "no")] * rows)]
    first, many = compared(*one_each).outputs[0], compared(*fifty_each).outputs[0]
    assert first.difference is not None and first.difference == many.difference
    assert (first.drift_low, first.drift_high) == (many.drift_low, many.drift_high)


def test_the_worst_requests_are_named_with_their_row_and_both_values() -> None:
    records: list[Record] = []
    for number in range(3 * WORST):
        rows = [(0.0, "no"), (0.0, "no")]
        records += [answer(number, rows), shadow(number, [(0.0, "no"), (0.01 * number, "no")])]
    worst = compared(*records).worst
    assert [one["request_id"] for one in worst] == [f"r{n}" for n in range(3 * WORST - 1, 2 * WORST - 1, -1)]
    assert worst[0]["row"] == 1 and worst[0]["output"] == "score"
    assert (worst[0]["given"], worst[0]["shadow"]) == (0.0, pytest.approx(0.59))
    assert worst[0]["difference"] == pytest.approx(0.59)


def test_a_shadow_that_failed_or_does_not_fit_is_counted_apart() -> None:
    records = [answer(0, [(1.0, "no")]), shadow(0, None), answer(1, [(1.0, "no")]), shadow(1, [(1.0, "no")] * 2)]
    one = compared(*records)
    assert (one.requests, one.rows, one.failed, one.misfit) == (0, 0, 1, 1)
    assert one.outputs[0].agreement is None


def test_what_left_the_window_is_not_told() -> None:
    rules = Rules(shadow_window_s=600)
    old = [answer(0, [(0.0, "no")]), shadow(0, [(9.0, "no")])]
    at_us = START_US + 30 * MINUTE_US
    new = [answer(1, [(0.0, "no")], at_us=at_us), shadow(1, [(1.0, "no")], at_us=at_us)]
    late = [answer(2, [(0.0, "no")], at_us=at_us + 2 * MINUTE_US)]
    (one,) = told(*old, *new, *late, rules=rules).compared
    assert (one.requests, [worst["request_id"] for worst in one.worst]) == (1, ["r1"])
    after = [answer(3, [(0.0, "no")], at_us=at_us + 60 * MINUTE_US)]
    assert told(*old, *new, *after, rules=rules).compared == ()
