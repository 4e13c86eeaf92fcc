import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from monitoring.rates import distance, farthest_down, farthest_up, lower_bound, tail_above, tail_below, upper_bound

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
RATES = st.floats(1e-4, 1 - 1e-4)


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


@given(COUNTS, RATES)
def test_tails_are_those_of_the_binomial(counts: tuple[int, int], rate: float) -> None:
    seen, n = counts
    assert tail_above(one(seen), one(n), one(rate))[0] == pytest.approx(binom.sf(seen - 1, n, rate), abs=1e-9)
    assert tail_below(one(seen), one(n), one(rate))[0] == pytest.approx(binom.cdf(seen, n, rate), abs=1e-9)


@given(COUNTS, st.sampled_from([0.9, 0.999]))
def test_bounds_hold_the_rate_and_so_many_would_come_beyond_them_as_seldom_as_promised(
    counts: tuple[int, int], confidence: float
) -> None:
    seen, n = counts
    low, high = (float(bound(one(seen), one(n), confidence)[0]) for bound in (lower_bound, upper_bound))
    assert 0 <= low <= seen / n <= high <= 1
    assert low == 0 if seen == 0 else binom.sf(seen - 1, n, low) == pytest.approx(1 - confidence, rel=1e-6)
    assert high == 1 if seen == n else binom.cdf(seen, n, high) == pytest.approx(1 - confidence, rel=1e-6)


@given(RATES, st.floats(0, 3))
def test_the_farthest_rates_lie_at_the_distance_or_at_the_end(rate: float, psi: float) -> None:
    up, down = farthest_up(one(rate), one(psi)), farthest_down(one(rate), one(psi))
    assert down[0] <= rate <= up[0]
    for found, end in ((up, 1.0), (down, 0.0)):
        at = distance(found, one(rate))[0]
        assert at <= psi + 1e-9
        assert found[0] == end or at == pytest.approx(psi, abs=1e-6)
