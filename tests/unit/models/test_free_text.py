"""Free text in a baseline: one bin a text, frequent values by name, the others by hash, nothing rare in clear."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import SPECIALS, Baseline, ColumnBaseline, Special, bin_codes
from models.contract import CATEGORIES_MAX, Column, Kind, Privacy
from models.derive import derive
from models.errors import ContractInvalid
from models.free_text import BUCKETS, TOP_MAX, TOP_ROWS_MIN, FreeText, column_of_texts, top_values
from models.private import kept_back
from tests.unit.models.graphs import echo

TEXT = Column(name="merchant", kind=Kind.STRING, nullable=True)
ANY_TEXTS = st.lists(st.text(max_size=3), min_size=1, max_size=40)


def made(texts: list[str], null: list[bool] | None = None) -> ColumnBaseline:
    return column_of_texts(TEXT, np.array(texts, dtype=np.object_), np.array(null or [False] * len(texts)))[0]


def merchants(n: int, seed: int) -> list[str]:
    """A few large ones and thousands that come once or twice."""
    rng = np.random.default_rng(seed)
    rare = [f"shop {number}" for number in rng.integers(0, 5000, n)]
    return [f"chain {place}" if place < 10 else text for place, text in zip(rng.integers(0, 20, n), rare, strict=True)]


@given(ANY_TEXTS, ANY_TEXTS)
def test_every_text_has_one_bin_that_has_a_label(training: list[str], texts: list[str]) -> None:
    column = made(training * TOP_ROWS_MIN)
    free = FreeText.of(column)
    assert free is not None
    index = bin_codes(free.codes(texts))
    assert ((index >= SPECIALS) & (index < column.bins)).all()
    assert len(set(column.labels()[SPECIALS:])) <= column.bins - SPECIALS == len(column.top) + BUCKETS
    for text, place in zip(texts, index, strict=True):
        assert column.labels()[place] == text or text not in column.top


@given(ANY_TEXTS, ANY_TEXTS)
def test_counts_of_two_parts_add_up_to_the_counts_of_the_whole(a: list[str], b: list[str]) -> None:
    free = FreeText({"x": 0}, BUCKETS)
    parts = [np.bincount(free.codes(texts), minlength=BUCKETS + 1) for texts in (a, b, a + b)]
    assert (parts[0] + parts[1] == parts[2]).all()


@given(ANY_TEXTS)
def test_a_baseline_with_free_text_comes_back_from_its_bytes(texts: list[str]) -> None:
    baseline = Baseline(rows=len(texts), features=(made(texts * TOP_ROWS_MIN),), outputs=())
    assert Baseline.decode(baseline.encode()) == baseline


def test_a_value_of_few_rows_stands_nowhere_in_clear() -> None:
    texts = ["often"] * TOP_ROWS_MIN + ["seldom"] * (TOP_ROWS_MIN - 1)
    assert top_values(texts) == ("often",)
    assert b"seldom" not in Baseline(rows=len(texts), features=(made(texts),), outputs=()).encode()


def test_the_most_frequent_values_stand_first_and_no_more_than_fit() -> None:
    texts = [f"v{number:03}" for number in range(TOP_MAX + 9) for _ in range(TOP_ROWS_MIN + number % 2)]
    top = top_values(texts)
    assert len(top) == TOP_MAX
    assert top[:2] == ("v001", "v003")
    assert top == top_values(sorted(texts, reverse=True))


def test_sequential_identifiers_spread_over_the_buckets() -> None:
    counts = np.bincount(FreeText({}, BUCKETS).codes([f"user-{i:06}" for i in range(64_000)]), minlength=BUCKETS)
    assert counts.min() > 900
    assert counts.max() < 1100


def test_a_hash_is_the_same_for_ever() -> None:
    free = FreeText({"known": 0}, BUCKETS)
    crc = 0xCBF43926  # the check value of CRC-32: that of the text 123456789
    texts = ("known", "", "123456789", "münchen", "\ud800")
    assert [free.code(text) for text in texts] == [0, 1, 1 + crc % BUCKETS, 64, 41]


def test_nulls_of_free_text_stay_nulls() -> None:
    column = made(["a", "b", ""], [False, False, True])
    assert (column.counts[Special.NULL], column.counts[Special.UNSEEN], column.n) == (1, 0, 3)


def test_adding_a_model_counts_its_free_text_by_value_and_bucket() -> None:
    frame = pd.DataFrame({"merchant": merchants(20_000, seed=5)})
    assert frame["merchant"].nunique() > CATEGORIES_MAX
    contract, baseline = derive(echo({"merchant": ("BYTES", ["N", 1])}), "test:1", frame)
    assert baseline is not None
    (column,), (answer,) = baseline.features, baseline.outputs
    assert contract.features[0].categories is None
    assert set(column.top) == {f"chain {place}" for place in range(10)}
    assert column.counts[Special.UNSEEN] == 0
    assert column.n == answer.n == 20_000
    assert (answer.top, answer.counts) == (column.top, column.counts)


def test_a_column_with_listed_categories_has_the_bytes_that_it_had() -> None:
    _, baseline = derive(echo({"city": ("BYTES", ["N", 1])}), "test:1", pd.DataFrame({"city": ["a", "b"]}))
    assert baseline is not None
    assert {"top", "buckets"}.isdisjoint(json.loads(baseline.encode())["features"][0])


def test_a_baseline_from_before_free_text_was_counted_is_read() -> None:
    old = {"name": "merchant", "kind": "string", "counts": [0] * Special.UNSEEN + [500, 0]}
    baseline = Baseline.decode(json.dumps({"rows": 500, "features": [old], "outputs": []}).encode())
    (column,) = baseline.features
    assert (column.bins, column.n, FreeText.of(column)) == (SPECIALS, 500, None)


@pytest.mark.parametrize("privacy", [Privacy.HASH, Privacy.BUCKET, Privacy.DROP])
def test_of_private_free_text_no_value_and_no_count_by_value_stays(privacy: Privacy) -> None:
    frame = pd.DataFrame({"merchant": [None, *merchants(20_000, seed=6)]})
    contract, baseline = derive(echo({"merchant": ("BYTES", ["N", 1])}), "test:1", frame)
    _, kept = kept_back(contract, baseline, {"merchant": privacy})
    assert kept is not None
    assert b"chain" not in kept.encode().split(b'"outputs"')[0]
    (column,) = kept.features
    assert (column.top, column.buckets, column.bins) == ((), 0, SPECIALS)
    known = 0 if privacy is Privacy.DROP else 1
    assert (column.counts[Special.NULL], column.counts[Special.UNSEEN]) == (known, known * 20_000)


@pytest.mark.parametrize(
    "odd",
    [
        {"top": ("a",)},  # top values and no place for the others
        {"buckets": -1},
        {"buckets": 2, "categories": ("a",)},
        {"buckets": 2, "top": ("a", "a")},
    ],
)
def test_a_reference_whose_texts_have_no_single_bin_cannot_be_built(odd: dict) -> None:
    bins = max(0, SPECIALS + len(odd.get("categories", odd.get("top", ()))) + odd.get("buckets", 0))
    with pytest.raises(ContractInvalid):
        ColumnBaseline(name="a", kind=Kind.STRING, counts=(0,) * bins, **odd)
    with pytest.raises(ContractInvalid):
        ColumnBaseline(name="a", kind=Kind.FLOAT, counts=(0,) * (SPECIALS + 1), buckets=1)
