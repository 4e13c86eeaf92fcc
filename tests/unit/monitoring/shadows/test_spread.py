import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.shadows.spread import HIGHEST, LOWEST, RELATIVE_ERROR, SIZE, quantile, size_quantile, spread

VALUES = st.floats(-HIGHEST, HIGHEST, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > LOWEST)


@given(st.lists(VALUES, min_size=1, max_size=60), st.floats(0.001, 1))
def test_a_quantile_is_close_to_the_true_one_with_and_without_its_sign(values: list[float], q: float) -> None:
    counts = spread(np.array(values))
    assert counts.shape == (SIZE,)
    assert quantile(counts, q) == pytest.approx(
        float(np.quantile(values, q, method="inverted_cdf")), rel=RELATIVE_ERROR * 1.001
    )
    sizes = np.abs(values)
    assert size_quantile(counts, q) == pytest.approx(
        float(np.quantile(sizes, q, method="inverted_cdf")), rel=RELATIVE_ERROR * 1.001
    )


@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30))
def test_adding_is_merging(some: list[float], more: list[float]) -> None:
    together = spread(np.array([*some, *more], dtype=np.float64))
    parts = [spread(np.array(part, dtype=np.float64)) for part in (some, more)]
    assert (together == parts[0] + parts[1]).all()


def test_without_values_there_is_no_quantile_and_beyond_the_ends_the_end_is_said() -> None:
    nothing = spread(np.zeros(0))
    assert quantile(nothing, 0.5) is None and size_quantile(nothing, 0.5) is None
    assert quantile(spread(np.array([1e-9])), 0.5) == 0.0
    assert quantile(spread(np.array([-1e9])), 0.5) == pytest.approx(-HIGHEST, rel=0.1)
