"""What a private feature's values become, and that they become it before the first byte is written."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import bin_codes, bin_numbers, column_of_numbers
from models.contract import Column, Contract, Kind, Privacy, Tensor
from models.errors import ContractInvalid
from service.featurelog.errors import KeyInvalid
from service.featurelog.key import deployment_key
from service.featurelog.privacy import (
    OTHER,
    Buckets,
    PrivateBlocks,
    canonical,
    hashed,
    private_features,
    private_tensors,
)
from service.featurelog.readable import rows as rows_of

KEY = b"k" * 32
FLOATS = st.floats(allow_nan=False) | st.floats(-10, 10)
INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-10, 10)


def bucketed(kind: Kind, training: list[float]) -> tuple[Column, object] | None:
    """A column of this training data and its baseline; None where it has one value only."""
    reference = column_of_numbers(
        Column(name="x", kind=kind), np.array(training, dtype=np.float64), np.zeros(len(training), dtype=np.bool_)
    )
    if not reference.edges:
        return None
    low, high = (None, None) if kind is Kind.BOOL else (reference.low, reference.high)
    column = Column(name="x", kind=kind, low=low, high=high, privacy=Privacy.BUCKET, edges=reference.edges)
    return column, reference


@given(st.lists(FLOATS, min_size=2, max_size=60), st.lists(FLOATS | st.just(math.nan), min_size=1))
def test_a_bucketed_number_falls_into_the_bin_of_the_number(training: list[float], values: list[float]) -> None:
    if (made := bucketed(Kind.FLOAT, training)) is None:
        return
    column, reference = made
    buckets = Buckets(column)
    given_, shown = np.array(values), np.array([buckets.of(value) for value in values])
    assert bin_numbers(reference, shown).tolist() == bin_numbers(reference, given_).tolist()
    assert np.array_equal(buckets.each(given_), shown, equal_nan=True)


@given(st.lists(INTS, min_size=2, max_size=60), st.lists(INTS, min_size=1))
def test_a_bucketed_whole_number_stays_whole_and_in_its_bin(training: list[int], values: list[int]) -> None:
    if (made := bucketed(Kind.INT, [float(value) for value in training])) is None:
        return
    column, reference = made
    shown = [Buckets(column).of(value) for value in values]
    assert all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in shown)
    as_counted = [bin_numbers(reference, np.array(some, dtype=np.int64).astype(np.float64)) for some in (shown, values)]
    assert as_counted[0].tolist() == as_counted[1].tolist()


def test_a_bucketed_truth_stays_a_truth() -> None:
    made = bucketed(Kind.BOOL, [0.0, 1.0])
    assert made is not None
    assert [Buckets(made[0]).of(value) for value in (False, True)] == [0, 1]


@given(st.lists(FLOATS, min_size=1, max_size=5, unique=True), st.lists(FLOATS, min_size=1))
def test_a_bucket_says_no_more_than_its_bin(edges: list[float], values: list[float]) -> None:
    finite = sorted({edge + 0.0 for edge in edges if math.isfinite(edge)})
    if not finite:
        return
    column = Column(name="x", kind=Kind.FLOAT, privacy=Privacy.BUCKET, edges=tuple(finite))
    shown = {Buckets(column).of(value) for value in values if math.isfinite(value)}
    assert len(shown) <= len(finite) + 1
    assert shown <= {math.nextafter(finite[0], -math.inf), *finite}


FEATURES = (
    Column(name="kept", kind=Kind.FLOAT, nullable=True),
    Column(name="name", kind=Kind.STRING, privacy=Privacy.DROP),
    Column(name="account", kind=Kind.INT, privacy=Privacy.HASH),
    Column(name="city", kind=Kind.STRING, categories=("oslo", "rome"), privacy=Privacy.HASH, nullable=True),
    Column(name="job", kind=Kind.STRING, categories=("baker", "smith"), privacy=Privacy.BUCKET),
    Column(name="age", kind=Kind.INT, low=0, high=90, privacy=Privacy.BUCKET, edges=(18.0, 65.5)),
)


def test_each_word_does_what_it_says() -> None:
    blocks = PrivateBlocks(FEATURES, KEY)
    block = blocks.block([(None, "Ann", 17, "rome", "smith", 40), (2.5, "Bob", 17, "Ulm", "spy", 91)])
    first, second = rows_of(block, blocks.schema())
    assert first == {
        "kept": None,
        "account": hashed(KEY, 17),
        "city": hashed(KEY, "rome"),
        "job": "smith",
        "age": 18,
    }
    assert second == {"kept": 2.5, "account": hashed(KEY, 17), "city": hashed(KEY, "Ulm"), "job": OTHER, "age": 91}
    assert [column.kind for column in blocks.schema()] == [Kind.FLOAT, *[Kind.STRING] * 3, Kind.INT]


def test_a_hashed_category_keeps_its_code() -> None:
    block = PrivateBlocks((FEATURES[3],), KEY).block([("oslo",), ("rome",), ("Ulm",), (None,)])
    codes = np.frombuffer(block.cells, dtype="<i8")
    null = np.frombuffer(block.nulls or b"", dtype=np.bool_)
    assert codes.tolist() == [0, 1, -1, 0]
    assert bin_codes(codes, null).tolist() == bin_codes(np.array([0, 1, -1, 0]), np.array([0, 0, 0, 1], bool)).tolist()


@given(st.lists(st.tuples(*[FLOATS] * 4), min_size=1))
def test_a_matrix_is_written_as_its_rows(rows: list[tuple[float, ...]]) -> None:
    features = (
        Column(name="a", kind=Kind.FLOAT, privacy=Privacy.DROP),
        Column(name="b", kind=Kind.FLOAT, privacy=Privacy.HASH),
        Column(name="c", kind=Kind.FLOAT, low=-5, high=5, privacy=Privacy.BUCKET, edges=(0.0, 1.0)),
        Column(name="d", kind=Kind.FLOAT),
    )
    blocks = PrivateBlocks(features, KEY)
    assert blocks.matrix(np.array(rows)) == blocks.block(rows)


def test_a_version_whose_features_are_all_dropped_has_rows_without_columns() -> None:
    blocks = PrivateBlocks((FEATURES[1],), b"")
    block = blocks.block([("Ann",), ("Bob",)])
    assert (block.n, block.cells, blocks.schema()) == (2, b"", ())
    assert rows_of(block, blocks.schema()) == [{}, {}]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (3.0, "3"), (-0.0, "0"), (0.1, "0.1"), (math.inf, "inf"), (math.nan, "nan"), ("3", "3")],
)
def test_a_value_has_one_text_whatever_wrote_it(value: object, text: str) -> None:
    assert canonical(value) == text


def test_another_key_is_another_hash_and_none_is_an_error() -> None:
    assert hashed(KEY, "Ann") != hashed(b"another key 0123", "Ann")
    assert len(hashed(KEY, "Ann")) == 32
    with pytest.raises(ContractInvalid, match="hash without a key"):
        PrivateBlocks(FEATURES, b"")


def test_what_is_private_is_named() -> None:
    tensors = (
        Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("kept",)),
        Tensor(name="who", datatype="BYTES", shape=(-1, 1), columns=("name",)),
        Tensor(name="image", datatype="FP32", shape=(-1, 2, 2)),
    )
    contract = Contract(features=FEATURES[:2], inputs=tensors, outputs=tensors[2:], output_columns=())
    assert private_features(contract.features) == {"name": Privacy.DROP}
    assert private_features(FEATURES[:1]) is None
    assert private_tensors(contract) == {"who"}


@pytest.mark.parametrize(
    ("privacy", "given", "found"),
    [
        (Privacy.BUCKET, None, "no edges"),
        (Privacy.BUCKET, (), "no edge"),
        (Privacy.BUCKET, (2.0, 1.0), "edges"),
        (Privacy.BUCKET, (math.inf,), "edges"),
        (Privacy.KEEP, (1.0,), "edges"),
    ],
)
def test_edges_are_where_a_number_is_bucketed_and_nowhere_else(
    privacy: Privacy, given: tuple[float, ...] | None, found: str
) -> None:
    with pytest.raises(ContractInvalid, match=found):
        Column(name="x", kind=Kind.FLOAT, privacy=privacy, edges=given)


def test_an_output_has_no_privacy() -> None:
    x = Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",))
    with pytest.raises(ContractInvalid, match="privacy is of features"):
        Contract(
            features=(Column(name="x", kind=Kind.FLOAT),),
            inputs=(x,),
            outputs=(x,),
            output_columns=(Column(name="x", kind=Kind.FLOAT, privacy=Privacy.DROP),),
        )


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "privacy.key"
    key = deployment_key(path, make=True)
    assert deployment_key(path, make=True) == key
    assert len(key) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["privacy.key"]


@pytest.mark.parametrize("content", [None, b"", b"short\n"])
def test_a_key_that_is_missing_or_too_short_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyInvalid, match="expected a file of at least 16 bytes"):
        deployment_key(tmp_path / "key", make=False)


def test_cells_of_a_bucketed_column_are_as_wide_as_any() -> None:
    column = Column(name="x", kind=Kind.FLOAT, privacy=Privacy.BUCKET, edges=(18.0,))
    block = PrivateBlocks((column,), b"").matrix(np.array([[17.0], [18.0]], dtype=np.float32))
    assert len(block.cells) == 2 * struct.calcsize("<d")
