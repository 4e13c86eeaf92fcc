from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from monitoring.labels.ranks import BINS_MAX, Ranks

ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=600)


def ranks(scores: np.ndarray, hits: np.ndarray) -> Ranks:
    made = Ranks()
    made.add(scores, hits.astype(np.float64))
    return made


def seen(made: Ranks) -> tuple[int, list[int], list[list[int]]]:
    return made.shift, made.places.tolist(), made.counts.tolist()


@given(ROWS, st.integers(0, 600), st.randoms(use_true_random=False))
def test_neither_order_nor_chunks_of_rows_show(rows: list[tuple[float, bool]], border: int, dice: Random) -> None:
    scores, hits = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    order = np.array(dice.sample(range(len(rows)), len(rows)), dtype=np.intp)
    cut = Ranks()
    for part in (order[:border], order[border:]):
        cut.add(scores[part], hits[part])
    assert seen(cut) == seen(ranks(scores, hits))
    assert cut.rows == len(rows)
    assert len(cut.places) <= BINS_MAX


@given(ROWS)
def test_bins_are_in_the_order_of_the_scores(rows: list[tuple[float, bool]]) -> None:
    scores = np.array(sorted(score for score, _ in rows))
    one_by_one = [ranks(scores[place : place + 1], np.ones(1)).places[0] for place in range(len(scores))]
    assert one_by_one == sorted(one_by_one)
    assert [a == b for a, b in pairwise(one_by_one)] == (np.diff(scores) == 0).tolist()


@pytest.mark.parametrize("levels", [2, 20, BINS_MAX])
def test_so_many_distinct_scores_as_there_are_bins_have_one_each(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.uniform(size=levels)[rng.integers(0, levels, 5000)]
    made = ranks(scores, rng.uniform(size=5000) < scores)
    assert made.shift == 0
    assert len(made.places) == len(np.unique(scores))


def test_slices_come_together_on_the_bins_of_the_coarsest() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(centre, spread, 2000) for centre, spread in ((-2, 0.01), (-2, 2.0), (4, 0.1))]
    scores = [1 / (1 + np.exp(-odds)) for odds in parts]
    hits = [(rng.uniform(size=2000) < one).astype(np.float64) for one in scores]
    held = [ranks(one, came) for one, came in zip(scores, hits, strict=True)]
    whole = Ranks.together(held)
    assert (whole.shift, whole.rows) == (max(one.shift for one in held), 6000)
    assert seen(Ranks.together(reversed(held))) == seen(whole)
    p, n = whole.hits.sum(), whole.misses.sum()
    area = whole.hits @ (np.cumsum(whole.misses) - whole.misses / 2) / p / n
    ties = whole.hits @ whole.misses / 2 / p / n
    assert abs(roc_auc_score(np.concatenate(hits), np.concatenate(scores)) - area) <= ties < 0.05
    assert Ranks.together([]).rows == 0
