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


def reference_to(rows: np.ndarray) -> Reference:
    return Reference.laid_out([column_of_numbers(COLUMN, rows, np.zeros(len(rows), dtype=np.bool_))])


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


PAIRS = {
    "normal": (lambda rng, n: rng.normal(size=n), lambda rng, n: rng.normal(0.3, 1.1, n)),
    "lognormal": (lambda rng, n: rng.lognormal(3, 1, n), lambda rng, n: 1.65 * rng.lognormal(3, 1, n)),
    "lognormal, a little": (lambda rng, n: rng.lognormal(3, 1, n), lambda rng, n: 1.1 * rng.lognormal(3, 1, n)),
    "lognormal, wide": (lambda rng, n: rng.lognormal(3, 1.5, n), lambda rng, n: 1.5 * rng.lognormal(3, 1.5, n)),
    "exponential": (lambda rng, n: rng.exponential(1, n), lambda rng, n: rng.exponential(1.3, n)),
    "beta": (lambda rng, n: rng.beta(0.5, 5, n), lambda rng, n: rng.beta(0.7, 5, n)),
    "bool": (lambda rng, n: (rng.random(n) < 0.5) * 1.0, lambda rng, n: (rng.random(n) < 0.7) * 1.0),
    "rare bool": (lambda rng, n: (rng.random(n) < 0.05) * 1.0, lambda rng, n: (rng.random(n) < 0.15) * 1.0),
    "small ints": (lambda rng, n: rng.poisson(1, n) * 1.0, lambda rng, n: rng.poisson(1.3, n) * 1.0),
    "ints": (lambda rng, n: rng.poisson(30, n) * 1.0, lambda rng, n: rng.poisson(33, n) * 1.0),
}
# Relative to the distance; of the wide one a few hundred rows of 50 000 make half of it, and bins do not know where they lie.
OFF = {"bool": 0.01, "rare bool": 0.01, "small ints": 0.01, "lognormal, wide": 0.5}


@pytest.mark.parametrize("name", PAIRS)
def test_wasserstein_of_skewed_and_whole_numbers_is_that_of_the_rows(name: str) -> None:
    rng, (then, now) = np.random.default_rng(SEED), PAIRS[name]
    trained, rows = then(rng, 50_000), now(rng, 50_000)
    found = measured(reference_to(trained), rows).wasserstein_sigma
    assert found is not None
    true = wasserstein_distance(trained, rows) / trained.std()
    assert found.estimate == pytest.approx(true, rel=OFF.get(name, 0.25))
    assert found.low <= true <= found.high


def test_a_hump_far_out_in_an_outer_bin_has_no_wasserstein_distance() -> None:
    rng = np.random.default_rng(SEED)
    trained = rng.normal(size=10_000) + 20 * (rng.random(10_000) < 0.05)
    assert measured(reference_to(trained), trained + 0.3).wasserstein_sigma is None


@pytest.mark.simulation
@pytest.mark.parametrize("name", PAIRS)
def test_the_interval_of_wasserstein_holds_the_truth_whatever_the_shape(name: str) -> None:
    rng, trials, held = np.random.default_rng(SEED), 100, 0
    then, now = PAIRS[name]
    far = wasserstein_distance(then(rng, 300_000), now(rng, 300_000))
    for _ in range(trials):
        trained = then(rng, 10_000)
        found = measured(reference_to(trained), now(rng, 1000)).wasserstein_sigma
        assert found is not None
        held += found.low <= far / trained.std() <= found.high
    assert held / trials > 0.9, f"{held} of {trials}, seed {SEED}"
