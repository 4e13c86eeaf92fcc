import numpy as np
import pytest
from scipy.stats import norm, wasserstein_distance

from models.baseline import bin_numbers, column_of_numbers, count
from models.contract import Column, Kind
from monitoring.drift import compare
from monitoring.effects import Effects, effects
from monitoring.reference import Extra, Reference

SEED = 20_261_130
COLUMN = Column(name="x", kind=Kind.FLOAT)


def reference(rng: np.random.Generator, rows: int = 10_000) -> Reference:
    return Reference.laid_out([column_of_numbers(COLUMN, rng.normal(size=rows), np.zeros(rows, dtype=np.bool_))])


def counts_of(base: Reference, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([count(base.columns[0], bin_numbers(base.columns[0], rows)), np.zeros(len(Extra), np.int64)])


def measured(base: Reference, rows: np.ndarray) -> Effects:
    counts = counts_of(base, rows)
    found = compare(base, counts[None, :], 0.999)
    known = effects(base, 0, counts, float(found.statistic[0, 0]), int(found.df[0, 0]))
    assert known is not None
    return known


def truth(base: Reference, shift: float) -> dict[str, float]:
    """The measures between the shares that the two normal distributions really have on the bins."""
    edges = np.array([-np.inf, *base.columns[0].edges, np.inf])
    p, q = np.diff(norm.cdf(edges)), np.diff(norm.cdf(edges, shift))
    mean = (p + q) / 2
    js = np.sqrt((p * np.log2(p / mean) + q * np.log2(q / mean)).sum() / 2)
    return {
        "psi": float(((q - p) * np.log(q / p)).sum()),
        "jensen_shannon": float(js),
        "total_variation": float(np.abs(p - q).sum() / 2),
        "wasserstein_sigma": shift,
    }


def test_a_large_window_gives_the_true_distances() -> None:
    rng = np.random.default_rng(SEED)
    base = reference(rng, 200_000)
    found, true = measured(base, rng.normal(0.4, 1, 200_000)), truth(base, 0.4)
    for name, expected in true.items():
        assert getattr(found, name).estimate == pytest.approx(expected, rel=0.08), name


def test_wasserstein_is_that_of_the_samples() -> None:
    rng = np.random.default_rng(SEED)
    base = reference(rng, 50_000)
    rows = rng.normal(0.3, 1.1, 50_000)
    found = measured(base, rows).wasserstein_sigma
    assert found is not None
    assert found.estimate == pytest.approx(wasserstein_distance(rng.normal(size=50_000), rows), rel=0.1)


def test_no_drift_is_no_distance_in_any_measure_and_the_lower_ends_agree() -> None:
    rng = np.random.default_rng(SEED)
    base = reference(rng)
    for _ in range(50):
        found = measured(base, rng.normal(size=500))
        measures = (found.psi, found.jensen_shannon, found.total_variation, found.wasserstein_sigma)
        assert len({one.low == 0 for one in measures if one is not None}) == 1
        assert all(one.low <= one.estimate <= one.high for one in measures if one is not None)


@pytest.mark.parametrize("rows", [[np.inf] * 300, [1e9] * 300, [-1e9] * 300])
def test_values_beyond_the_range_have_finite_measures(rows: list[float]) -> None:
    base = reference(np.random.default_rng(SEED))
    found = measured(base, np.array(rows))
    assert found.jensen_shannon.high <= 1 and found.total_variation.high <= 1
    assert found.wasserstein_sigma is not None and 1 < found.wasserstein_sigma.estimate < 10


@pytest.mark.simulation
@pytest.mark.parametrize(("shift", "n"), [(0.2, 400), (0.5, 400), (0.3, 2000)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(shift: float, n: int) -> None:
    rng, trials = np.random.default_rng(SEED), 200
    held = dict.fromkeys(("psi", "jensen_shannon", "total_variation", "wasserstein_sigma"), 0)
    for _ in range(trials):
        base = reference(rng, 5000)
        found, true = measured(base, rng.normal(shift, 1, n)), truth(base, shift)
        for name in held:
            one = getattr(found, name)
            held[name] += one.low <= true[name] <= one.high
    for name, times in held.items():
        assert times / trials > 0.90, f"{name}: {times / trials:.3f}, seed {SEED}"
