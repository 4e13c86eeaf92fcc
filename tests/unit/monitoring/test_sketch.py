from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.sketch import BUCKETS, LONGEST_US, RELATIVE_ERROR, quantile, sketch

DURATIONS = st.lists(st.integers(1, LONGEST_US), min_size=1, max_size=200)
SHARES = st.floats(0.001, 1.0)


@given(DURATIONS, SHARES)
def test_a_quantile_is_within_the_stated_error_of_the_true_one(durations_us: list[int], q: float) -> None:
    true = sorted(durations_us)[max(1, ceil(q * len(durations_us))) - 1]
    found = quantile(sketch(np.array(durations_us)), q)
    assert found is not None
    assert abs(found - true) <= RELATIVE_ERROR * true * (1 + 1e-9)


@given(DURATIONS, DURATIONS)
def test_sketches_of_two_parts_add_up_to_the_sketch_of_the_whole(a: list[int], b: list[int]) -> None:
    assert (sketch(np.array(a)) + sketch(np.array(b)) == sketch(np.array(a + b))).all()


def test_durations_outside_the_range_count_as_the_nearest_inside_it() -> None:
    counts = sketch(np.array([-5, 0, 1, LONGEST_US, 10 * LONGEST_US]))
    assert counts.shape == (BUCKETS,)
    assert counts[0] == 3
    assert counts[-1] == 2


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile(sketch(np.array([], dtype=np.int64)), 0.5) is None
