import numpy as np
import pytest
from scipy import stats

from monitoring.ordered import location_and_spread

SEED = 20_261_130


def binned(rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, rows, side="right"), minlength=len(edges) + 1).astype(np.float64)


def p_values(base: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    edges = np.quantile(base, np.arange(1, 10) / 10)
    a, b = binned(base, edges), binned(rows, edges)
    location, spread = location_and_spread(a, b, np.zeros(10, dtype=np.intp), 1)
    return float(location[0]), float(spread[0])


def test_location_is_the_rank_sum_test_on_the_bins() -> None:
    rng = np.random.default_rng(SEED)
    base, rows = rng.normal(size=4000), rng.normal(0.15, 1, 500)
    edges = np.quantile(base, np.arange(1, 10) / 10)
    expected = stats.mannwhitneyu(
        np.searchsorted(edges, rows), np.searchsorted(edges, base), use_continuity=False, method="asymptotic"
    ).pvalue
    assert p_values(base, rows)[0] == pytest.approx(expected, rel=1e-6)


def test_a_shift_moves_the_location_and_a_spread_the_spread() -> None:
    rng = np.random.default_rng(SEED)
    base = rng.normal(size=10_000)
    shifted, wider = p_values(base, rng.normal(0.5, 1, 400)), p_values(base, rng.normal(0, 1.6, 400))
    assert shifted[0] < 1e-12 and shifted[1] > 1e-6
    assert wider[1] < 1e-12 and wider[0] > 1e-4


def test_columns_do_not_see_each_other() -> None:
    rng = np.random.default_rng(SEED)
    a, b = rng.integers(0, 900, 30).astype(np.float64), rng.integers(0, 60, 30).astype(np.float64)
    owner = np.repeat(np.arange(3), 10)
    together = location_and_spread(a, b, owner, 3)
    for j in range(3):
        alone = location_and_spread(a[owner == j], b[owner == j], np.zeros(10, dtype=np.intp), 1)
        assert [p[j] for p in together] == pytest.approx([p[0] for p in alone], rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0, 0, 0], [1, 2, 3]),
        ([5, 5, 5], [0, 0, 0]),
        ([9, 0, 0], [9, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([1, 0, 0], [0, 0, 1]),
    ],
)
def test_where_nothing_can_be_told_nothing_is_told(a: list[float], b: list[float]) -> None:
    found = location_and_spread(np.array(a, dtype=float), np.array(b, dtype=float), np.zeros(3, dtype=np.intp), 1)
    assert all(0 < float(p[0]) <= 1 for p in found)


@pytest.mark.simulation
@pytest.mark.parametrize(("m", "n"), [(10_000, 100), (10_000, 1000), (569, 100)])
def test_without_drift_alarms_are_no_more_frequent_than_the_level(m: int, n: int) -> None:
    rng, level, batch, pairs = np.random.default_rng(SEED), 1e-4, 4000, 400_000
    alarms = np.zeros(2)
    owner = np.repeat(np.arange(batch), 10)
    for _ in range(pairs // batch):
        a, b = (rng.multinomial(size, np.full(10, 0.1), batch).astype(np.float64).ravel() for size in (m, n))
        alarms += [(p < level).sum() for p in location_and_spread(a, b, owner, batch)]
    assert (alarms / pairs < 1.5 * level).all(), f"seed {SEED}: {alarms / pairs / level} × the level"
