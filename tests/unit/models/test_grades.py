import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.grades import (
    MICRO,
    SCORE_BINS,
    Loss,
    Part,
    bin_numbers,
    bins_of,
    graded,
    hits_of,
    losses,
    predicted,
)
from models.task import TaskKind

BINARY, CLASSES, NUMBER = TaskKind.BINARY, TaskKind.CLASSES, TaskKind.NUMBER


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 30))
def test_grades_of_two_parts_add_up_to_those_of_the_whole(scores: list[float], cut: int) -> None:
    p = np.array(scores)
    hits = (np.arange(len(p)) % 3 == 0).astype(np.float64)

    def of(part: slice) -> np.ndarray:
        bins = bin_numbers(BINARY, (), p[part])
        found = losses(BINARY, p[part], hits[part], 1.0)
        return predicted(bins, SCORE_BINS) + graded(BINARY, bins, SCORE_BINS, p[part], hits[part], found, 1.0)

    assert (of(slice(0, cut)) + of(slice(cut, None)) == of(slice(None))).all()


def test_half_is_the_border_of_a_bin_and_the_ends_are_bins() -> None:
    p = np.array([0.0, 0.4999, 0.5, 1.0])
    assert bin_numbers(BINARY, (), p).tolist() == [0, SCORE_BINS // 2 - 1, SCORE_BINS // 2, SCORE_BINS - 1]
    assert bin_numbers(NUMBER, (1.0, 2.0), np.array([0.0, 1.0, 5.0])).tolist() == [0, 1, 2]
    assert bins_of(NUMBER, (1.0, 2.0)) == 3


def test_losses_are_those_that_people_know() -> None:
    found = losses(BINARY, np.array([0.8, 0.8]), np.array([1.0, 0.0]), 1.0)
    assert np.allclose(found[Loss.MAIN], [-np.log(0.8), -np.log(0.2)])
    assert np.allclose(found[Loss.SQUARED], [0.04, 0.64])
    assert np.allclose(found[Loss.SIGNED], [-0.2, 0.8])
    found = losses(NUMBER, np.array([3.0, -100.0]), np.array([1.0, 1.0]), 2.0)
    assert found[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert found[Loss.MAIN, 1] == 32.0  # an outlier counts so much and no more
    assert losses(CLASSES, np.array([0.9]), np.array([0.0]), 1.0)[Loss.MAIN].tolist() == [1.0]
    assert hits_of(CLASSES, np.array([2.0, 1.0]), np.array([2.0, -1.0])).tolist() == [1.0, 0.0]


def test_sums_of_small_losses_are_kept_to_the_millionth() -> None:
    p, hits = np.full(1000, 0.001), np.zeros(1000)
    bins = bin_numbers(BINARY, (), p)
    grades = graded(BINARY, bins, SCORE_BINS, p, hits, losses(BINARY, p, hits, 1.0), 1.0)
    assert abs(grades[Part.LOSS].sum() / MICRO / 1000 - -np.log(0.999)) < 1e-6
    assert grades[Part.SCORE].sum() == 1000 * 1000
