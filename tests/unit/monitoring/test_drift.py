from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.stats import ncx2

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from models.noncentral import EXACT_G_MAX, noncentrality_lower
from monitoring.drift import Comparison, DriftRule, compare, look_for_drift
from monitoring.reference import Extra, Reference
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, Verdict

RULE = DriftRule(alpha=1e-6, n_min=100, confidence=0.999, tolerance_floor=0.01)
COUNT_LISTS = st.lists(st.integers(0, 3000), min_size=2, max_size=12)


def reference(*columns: list[int], natural: tuple[tuple[int, float], ...] = ()) -> Reference:
    """A reference whose columns have these counts in their categories."""
    made = tuple(
        ColumnBaseline(
            name=f"c{j}",
            kind=Kind.STRING,
            categories=tuple(f"v{i:04}" for i in range(len(counts))),
            counts=(*[0] * SPECIALS, *counts),
            natural=natural,
        )
        for j, counts in enumerate(columns)
    )
    return Reference.laid_out(made)


def judge_drift(reference: Reference, counts: np.ndarray, covered_s: int, rule: DriftRule) -> list[Verdict]:
    (look,) = look_for_drift(reference, counts[None, :], [covered_s], [rule])
    return [look.verdict(j) for j in range(len(reference.columns))]


def window(*columns: list[int]) -> np.ndarray:
    parts = [np.array([0] * SPECIALS + counts, dtype=np.int64) for counts in columns]
    return np.concatenate([*parts, np.zeros(len(Extra), dtype=np.int64)])


def test_the_same_shares_are_stable_and_the_effect_is_nothing() -> None:
    (verdict,) = judge_drift(reference([1000] * 10), window([50] * 10), 3600, RULE)
    assert isinstance(verdict, Stable)
    assert verdict.statistic == pytest.approx(0)
    assert (verdict.n, verdict.df, verdict.effect, verdict.lower_bound) == (500, 9, 0.0, 0.0)


def test_other_shares_are_drifted_with_the_effect_in_psi() -> None:
    shares = np.array([0.3, 0.7])
    (verdict,) = judge_drift(reference([50_000, 50_000]), window((shares * 100_000).astype(int).tolist()), 3600, RULE)
    psi = float(((shares - 0.5) * np.log(shares / 0.5)).sum())
    assert isinstance(verdict, Drifted)
    assert verdict.effect == pytest.approx(psi, rel=0.03)
    assert 0 < verdict.lower_bound < verdict.effect


def test_significant_but_irrelevant_is_stable() -> None:
    (verdict,) = judge_drift(reference([500_000, 500_000]), window([510_000, 490_000]), 3600, RULE)
    assert isinstance(verdict, Stable)
    assert verdict.significant
    assert verdict.effect < RULE.tolerance_floor


def test_too_few_rows_and_no_baseline_are_verdicts_of_their_own() -> None:
    base = reference([1000] * 4, [0] * 4, [1000] * 4)
    few, none, _ = judge_drift(base, window([20] * 4, [500] * 4, [500] * 4), 3600, RULE)
    assert few == TooFewSamples(80, 100)
    assert none == NoBaseline(2000)


def test_bins_too_thin_to_tell_apart_are_too_few_samples_not_stable() -> None:
    (verdict,) = judge_drift(reference([2, 1, 1, 1]), window([60, 40, 5, 5]), 3600, RULE)
    assert isinstance(verdict, TooFewSamples)


def test_a_column_with_one_value_and_a_window_with_the_same_is_stable() -> None:
    (verdict,) = judge_drift(reference([1000]), window([500]), 3600, RULE)
    assert isinstance(verdict, Stable)


def test_a_bin_that_training_never_had_is_drift() -> None:
    counts = window([100] * 5)
    counts[Special.UNSEEN] = 200
    (verdict,) = judge_drift(reference([2000] * 5), counts, 3600, RULE)
    assert isinstance(verdict, Drifted)


def test_rows_that_were_refused_are_no_drift_of_the_values() -> None:
    counts = window([100] * 5)
    for refused in (Special.ABSENT, Special.WRONG_TYPE, Special.NULL, Special.NAN):
        counts[refused] = 200
    (verdict,) = judge_drift(reference([2000] * 5), counts, 3600, RULE)
    assert isinstance(verdict, Stable)
    assert verdict.n == 500


def test_the_tolerance_is_what_training_varied_by_over_the_longest_blocks_that_the_window_covers() -> None:
    base = reference([1000] * 4, natural=((3600, 0.3), (86_400, 0.05)))
    counts = window([60, 55, 50, 45])

    def limit(covered_s: int, rule: DriftRule = RULE) -> float:
        (verdict,) = judge_drift(base, counts, covered_s, rule)
        assert isinstance(verdict, Stable)
        return verdict.tolerance

    assert (limit(3000), limit(80_000), limit(90_000)) == (0.3, 0.3, 0.05)
    assert limit(90_000, DriftRule(1e-6, 100, 0.999, 0.1)) == 0.1
    assert limit(3000, DriftRule(1e-6, 100, 0.999, 0.1, tolerance_set=0.02)) == 0.02


@given(st.lists(st.tuples(COUNT_LISTS, st.randoms()), min_size=1, max_size=4))
def test_a_column_is_judged_alone_as_it_is_among_others(drawn: list) -> None:
    pairs = [(counts, [r.randint(0, 200) for _ in counts]) for counts, r in drawn]
    base, empty = reference(*(a for a, _ in pairs)), window(*([0] * len(b) for _, b in pairs))
    together = compare(base, np.stack([empty, window(*(b for _, b in pairs))]), 0.999)
    for j, (a, b) in enumerate(pairs):
        alone = compare(reference(a), window(b)[None, :], 0.999)
        for name in Comparison.__dataclass_fields__:
            assert getattr(together, name)[1, j] == getattr(alone, name)[0, 0]


@given(COUNT_LISTS, st.randoms())
def test_every_count_makes_a_finite_result(counts: list[int], draw: Random) -> None:
    found = compare(reference(counts), window([draw.choice([0, 0, 1, 5, 10**6]) for _ in counts])[None, :], 0.999)
    assert np.isfinite(found.statistic).all()
    assert ((found.p_value >= 0) & (found.p_value <= 1)).all()
    assert (found.lower_bound <= found.effect + found.df * 10).all()
    assert (found.lower_bound >= 0).all()


@given(st.floats(1, EXACT_G_MAX * 50), st.integers(1, 60), st.sampled_from([0.99, 0.999, 0.99999]))
def test_the_lower_bound_is_the_noncentrality_that_so_large_a_statistic_would_rarely_have(
    g: float, df: int, confidence: float
) -> None:
    (found,) = noncentrality_lower(np.array([g]), np.array([df]), confidence)
    if special.chdtr(df, g) <= confidence:
        assert found == 0
    elif g <= EXACT_G_MAX:
        assert ncx2.cdf(g, df, found) == pytest.approx(confidence, abs=1e-6)
    else:
        assert found == pytest.approx(special.chndtrinc(g, df, confidence), rel=2e-3)


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("shares", "n"),
    [
        (np.full(10, 0.1), 100),
        (np.full(10, 0.1), 500),
        (np.r_[0.95, np.full(50, 0.001)], 200),
        (np.r_[0.9, np.full(200, 0.0005)], 2000),
        (np.array([0.995, 0.005]), 200),
    ],
    ids=["10 equal, 100 rows", "10 equal, 500 rows", "50 rare, 200 rows", "200 rare, 2000 rows", "rare flag, 200 rows"],
)
def test_without_drift_alarms_are_no_more_frequent_than_the_level_and_the_margin_allow(
    shares: np.ndarray, n: int
) -> None:
    # Plain G without merging and correction alarms 1.4 and, with 200 rare categories, 28 times too often at this level.
    rng, level, batch = np.random.default_rng(3), 1e-3, 1000
    pairs = 40_000 if len(shares) < 100 else 10_000
    alarms = 0
    for _ in range(pairs // batch):
        base = reference(*rng.multinomial(10_000, shares, batch).tolist())
        found = compare(base, window(*rng.multinomial(n, shares, batch).tolist())[None, :], 0.999)
        alarms += int((found.p_value < level).sum())
    assert alarms / pairs < 2 * level


def test_without_drift_the_statistic_is_on_average_its_degrees_of_freedom() -> None:
    # Uncorrected, G is 1.018 of it at 150 rows in 10 equal bins; the mean of 30 000 pairs has a standard error of 0.0022.
    rng, batch, shares, ratio = np.random.default_rng(9), 1000, np.full(10, 0.1), []
    for _ in range(30):
        base = reference(*rng.multinomial(10_000, shares, batch).tolist())
        found = compare(base, window(*rng.multinomial(150, shares, batch).tolist())[None, :], 0.999)
        ratio.append(found.statistic.sum() / found.df.sum())
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.012)


def test_half_a_standard_deviation_is_found_within_a_few_hundred_rows() -> None:
    rng = np.random.default_rng(5)
    edges = np.quantile(rng.normal(size=10_000), np.arange(1, 10) / 10)
    base = reference(np.bincount(np.searchsorted(edges, rng.normal(size=10_000)), minlength=10).tolist())
    rule = DriftRule(alpha=6e-8, n_min=100, confidence=0.999, tolerance_floor=0.01)  # 25 columns, 2 windows, 30 days

    def found(shift: float, n: int) -> bool:
        counts = np.bincount(np.searchsorted(edges, rng.normal(shift, 1, n)), minlength=10).tolist()
        return isinstance(judge_drift(base, window(counts), 3600, rule)[0], Drifted)

    assert sum(found(0.5, 250) for _ in range(200)) > 100
    assert sum(found(0.25, 900) for _ in range(200)) > 100
    assert not any(found(0.0, 900) for _ in range(200))


def test_unchanged_rows_at_the_top_of_a_season_are_held_to_the_level_and_not_to_the_confidence() -> None:
    """The truth lies exactly where training's farthest block lay, in every look."""
    rng, looks = np.random.default_rng(20_261_130), 4000
    shares = np.array([0.19, *[0.09] * 9])
    natural = float(((shares - 0.1) * np.log(shares / 0.1)).sum())
    base = reference([10_000] * 10, natural=((3600, natural),))
    counts = np.array([window(row.tolist()) for row in rng.multinomial(2000, shares, looks)])
    found = look_for_drift(base, counts, [3600] * looks, [RULE] * looks)
    above = sum(bool(one.significant[0] and one.found.lower_bound[0] > natural) for one in found)
    assert above > 0  # what the confidence alone lets through
    assert not any(one.drifted[0] for one in found)
    moved = window(rng.multinomial(2000, [0.3, *[0.7 / 9] * 9]).tolist())
    assert look_for_drift(base, moved[None, :], [3600], [RULE])[0].drifted[0]
