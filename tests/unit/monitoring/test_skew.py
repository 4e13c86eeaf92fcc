import numpy as np
import pytest
from scipy.stats import binom

from models.baseline import SPECIALS, Special
from monitoring.collapse import COLLAPSE
from monitoring.reference import Extra, Reference
from monitoring.skew import Oddity, SkewRule, checks_of, judge_skew, oddities
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples
from tests.unit.monitoring.made import CITIES, model

RULE = SkewRule(n_min=100, confidence=0.999, tolerance=0.01)
MADE = model(rows=10_000)
REFERENCE = MADE.reference
ALPHA = 1e-6


def counts(answered: int, rejected: int = 0) -> np.ndarray:
    vector = np.zeros(REFERENCE.size, dtype=np.int64)
    vector[REFERENCE.starts[-1] + Extra.ROWS_ANSWERED] = answered
    vector[REFERENCE.starts[-1] + Extra.ROWS_REJECTED] = rejected
    city = REFERENCE.starts[3] + SPECIALS
    vector[city : city + len(CITIES)] = answered // len(CITIES)
    return vector


def test_kinds_that_did_not_occur_are_not_listed() -> None:
    assert oddities(REFERENCE, counts(1000)) == []


def test_rejected_rows_are_in_the_denominator() -> None:
    vector = counts(answered=900, rejected=100)
    vector[REFERENCE.starts[0] + Special.ABSENT] = 100
    assert oddities(REFERENCE, vector) == [Oddity(0, "absent", 100, 1000, 0, 10_000)]


def test_faults_of_whole_rows_are_listed_without_a_column() -> None:
    vector = counts(answered=0, rejected=300)
    vector[REFERENCE.starts[-1] + Extra.UNKNOWN] = 300
    found, no_values = oddities(REFERENCE, vector)
    assert no_values.kind == COLLAPSE
    assert found == Oddity(-1, "new", 300, 300, 0, 10_000)
    assert isinstance(judge_skew([found], [0.0], [ALPHA], RULE)[0], Drifted)


def test_outputs_are_counted_against_the_answers() -> None:
    vector = counts(answered=900, rejected=100)
    start = REFERENCE.starts[4]
    vector[start + Special.NAN], vector[start + SPECIALS] = 200, 700
    assert oddities(REFERENCE, vector) == [Oddity(4, "nan", 200, 900, 0, 10_000)]


@pytest.mark.parametrize(
    ("oddity", "expected"),
    [
        (Oddity(0, "null", 50, 1000, 0, 10_000), Drifted),
        (Oddity(0, "null", 50, 1000, 500, 10_000), Stable),  # as often as at training
        (Oddity(0, "null", 15, 2000, 0, 10_000), Stable),  # significant, but below the tolerance
        (Oddity(0, "null", 2, 100, 0, 10_000), Stable),  # two of a hundred: chance
        (Oddity(0, "null", 99, 99, 0, 10_000), TooFewSamples),
        (Oddity(0, "null", 500, 1000, 0, 0), NoBaseline),
        (Oddity(0, "unseen", 1000, 1000, 10_000, 10_000), Stable),  # free text: unseen always, and at training
    ],
)
def test_a_verdict_needs_significance_and_relevance(oddity: Oddity, expected: type) -> None:
    assert isinstance(judge_skew([oddity], [0.0], [ALPHA], RULE)[0], expected)


def test_the_level_is_the_exact_binomial_tail_beyond_the_training_bound() -> None:
    oddity = Oddity(0, "null", 30, 1000, 20, 10_000)
    (verdict,) = judge_skew([oddity], [0.0], [ALPHA], RULE)
    assert isinstance(verdict, Drifted)
    upper = 20 / 10_000 * 2.2  # the 99.99 % bound of 20 in 10 000 is a little above twice the rate
    assert verdict.p_value == pytest.approx(binom.sf(29, 1000, upper), rel=0.9)
    assert verdict.effect == pytest.approx(0.03 - 0.002)
    assert verdict.lower_bound < verdict.effect


def test_at_the_training_rate_alarms_are_rarer_than_the_level() -> None:
    rng, level, n = np.random.default_rng(4), 1e-3, 400
    rule = SkewRule(n_min=100, confidence=0.5, tolerance=1e-9)
    rates = rng.uniform(0.0, 0.05, 20_000)
    known, seen = rng.binomial(2000, rates), rng.binomial(n, rates)
    found = [Oddity(0, "null", int(s), n, int(k), 2000) for s, k in zip(seen, known, strict=True) if s]
    alarms = sum(
        isinstance(verdict, Drifted) for verdict in judge_skew(found, [0.0] * len(found), [level] * len(found), rule)
    )
    assert alarms <= 20_000 * level


def test_a_verdict_has_the_interval_of_the_rate_beside_the_training_rate() -> None:
    (verdict,) = judge_skew([Oddity(0, "null", 30, 1000, 20, 10_000)], [0.0], [ALPHA], RULE)
    assert isinstance(verdict, Drifted)
    assert verdict.low is not None and verdict.high is not None
    assert binom.sf(29, 1000, verdict.low) == pytest.approx(1 - RULE.confidence)
    assert binom.cdf(30, 1000, verdict.high) == pytest.approx(1 - RULE.confidence)
    assert verdict.trained == 0.002


def test_a_rate_that_blocks_of_training_can_have_had_is_natural_and_a_new_kind_never_is() -> None:
    seen, unseen = Oddity(0, "null", 400, 10_000, 100, 10_000), Oddity(0, "nan", 400, 10_000, 0, 10_000)
    quiet, loud = judge_skew([seen, unseen], [0.1, 0.1], [ALPHA] * 2, RULE)
    assert isinstance(quiet, Stable)  # 1 % at training, 4 % now: two bins 0.1 apart
    assert not quiet.significant  # against what blocks of training can have had, not against its mean
    assert quiet.tolerance > 0.03
    assert isinstance(loud, Drifted)
    assert loud.tolerance == RULE.tolerance
    assert isinstance(judge_skew([seen], [0.0], [ALPHA], RULE)[0], Drifted)


def test_every_column_with_a_baseline_has_a_share_of_the_budget() -> None:
    assert checks_of(REFERENCE) == 5 * SPECIALS + 2 + len(CITIES)
    assert checks_of(Reference.of(MADE.schema, None)) == 2
