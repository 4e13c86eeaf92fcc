import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.baseline import (
    DISTINCT_VALUES_MAX,
    SPECIALS,
    VALUE_BINS,
    Baseline,
    ColumnBaseline,
    Special,
    bin_codes,
    bin_numbers,
    category_codes,
    column_of_codes,
    column_of_numbers,
    count,
    matches,
)
from models.contract import Column, Contract, Kind, Tensor
from models.errors import ContractInvalid

ANY_FLOATS = arrays(np.float64, st.integers(0, 60), elements=st.floats())
AMOUNT = Column(name="amount", kind=Kind.FLOAT)
CATEGORIES = ("a", "b", "c")
TEXT = Column(name="text", kind=Kind.STRING, categories=CATEGORIES)


def reference(values: np.ndarray) -> ColumnBaseline:
    return column_of_numbers(AMOUNT, values, np.zeros(values.size, bool))


@given(ANY_FLOATS, ANY_FLOATS, st.data())
def test_every_cell_falls_into_exactly_one_bin(training: np.ndarray, cells: np.ndarray, data: st.DataObject) -> None:
    column = reference(training)
    null = data.draw(arrays(np.bool_, cells.size))
    index = bin_numbers(column, cells, null)
    assert index.shape == cells.shape
    assert ((index >= 0) & (index < column.bins)).all()
    assert count(column, index).sum() == cells.size
    assert (index[null] == Special.NULL).all()
    assert (index[np.isnan(cells) & ~null] == Special.NAN).all()


@given(ANY_FLOATS, ANY_FLOATS, ANY_FLOATS)
def test_counts_of_two_parts_add_up_to_the_counts_of_the_whole(
    training: np.ndarray, a: np.ndarray, b: np.ndarray
) -> None:
    column = reference(training)
    parts = count(column, bin_numbers(column, a)) + count(column, bin_numbers(column, b))
    assert (parts == count(column, bin_numbers(column, np.concatenate([a, b])))).all()


@given(ANY_FLOATS)
def test_training_values_lie_in_value_bins_and_come_back_from_bytes(training: np.ndarray) -> None:
    column = reference(training)
    finite = training[np.isfinite(training)]
    assert (bin_numbers(column, finite) >= SPECIALS).all()
    assert column.n == training.size
    baseline = Baseline(rows=training.size, features=(column,), outputs=())
    assert Baseline.decode(baseline.encode()) == baseline


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=DISTINCT_VALUES_MAX, unique=True)
)
def test_few_distinct_values_have_a_bin_each(values: list[float]) -> None:
    training = np.unique(np.array(values))
    index = bin_numbers(reference(training), training)
    assert len(set(index.tolist())) == training.size


@pytest.mark.parametrize("low", [0.0, 1.0, -1.0, 1.6e308, -1.7e308])
def test_neighbouring_and_huge_values_have_a_bin_each_and_edges_that_json_can_hold(low: float) -> None:
    pair = np.array([low, np.nextafter(low, np.inf)])
    column = reference(pair)
    assert np.isfinite(column.edges).all()
    assert (bin_numbers(column, pair) == [SPECIALS, SPECIALS + 1]).all()


def test_many_distinct_values_are_cut_into_equal_shares() -> None:
    column = reference(np.arange(1000.0))
    assert column.counts[SPECIALS:] == pytest.approx([100] * VALUE_BINS, abs=1)


@pytest.mark.parametrize(
    ("cell", "special"),
    [
        (-1.0, Special.BELOW),
        (100.0, Special.ABOVE),
        (np.nan, Special.NAN),
        (np.inf, Special.POS_INF),
        (-np.inf, Special.NEG_INF),
    ],
)
def test_a_cell_outside_the_training_range_has_a_bin_of_its_own(cell: float, special: Special) -> None:
    assert bin_numbers(reference(np.arange(50.0)), np.array([cell]))[0] == special


@given(st.lists(st.text(max_size=2)), st.data())
def test_every_text_falls_into_exactly_one_bin(texts: list[str], data: st.DataObject) -> None:
    known = category_codes(CATEGORIES)
    codes = np.array([known.get(text, -1) for text in texts], dtype=np.int64)
    null = data.draw(arrays(np.bool_, len(texts)))
    column = column_of_codes(TEXT, codes, null)
    assert column.n == len(texts)
    index = bin_codes(codes, null)
    assert [column.labels()[i] for i in index] == [
        "null" if gone else text if text in known else "unseen" for text, gone in zip(texts, null, strict=True)
    ]


@given(ANY_FLOATS)
def test_every_bin_has_one_label(training: np.ndarray) -> None:
    column = reference(training)
    assert len(column.labels()) == column.bins


def test_moments_that_overflow_are_unknown_instead_of_infinite() -> None:
    column = reference(np.array([1.6e308, 1.7e308, 1.7e308]))
    assert (column.mean, column.std) == (None, None)
    assert len(column.edges) == 1


def test_a_reference_with_a_count_too_few_or_unordered_edges_cannot_be_built() -> None:
    with pytest.raises(ContractInvalid):
        ColumnBaseline(name="a", kind=Kind.FLOAT, counts=(0,) * SPECIALS)
    with pytest.raises(ContractInvalid):
        ColumnBaseline(name="a", kind=Kind.FLOAT, counts=(0,) * (SPECIALS + 3), edges=(2.0, 1.0))


@given(st.binary(max_size=64))
def test_bytes_that_are_no_baseline_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(ContractInvalid):
        Baseline.decode(data)


def contract_of(*features: Column) -> Contract:
    tensors = tuple(
        Tensor(name=c.name, datatype="BYTES" if c.kind is Kind.STRING else "FP32", shape=(-1,), columns=(c.name,))
        for c in features
    )
    plain = Tensor(name="y", datatype="FP32", shape=(-1, 2, 2))
    return Contract(features=features, inputs=tensors, outputs=(plain,), output_columns=())


def test_a_baseline_matches_the_contract_of_its_columns_and_no_other() -> None:
    text = column_of_codes(TEXT, np.array([0, 1]), np.zeros(2, bool))
    baseline = Baseline(rows=2, features=(reference(np.arange(2.0)), text), outputs=())
    matches(contract_of(AMOUNT, TEXT), baseline)
    for other in (
        contract_of(TEXT, AMOUNT),
        contract_of(AMOUNT),
        contract_of(msgspec.structs.replace(AMOUNT, kind=Kind.INT), TEXT),
        contract_of(AMOUNT, msgspec.structs.replace(TEXT, categories=("a", "b", "d"))),
    ):
        with pytest.raises(ContractInvalid):
            matches(other, baseline)


@pytest.mark.parametrize(
    ("training", "names"),
    [([0.0, 1.0], ("false", "true")), ([1.0, 1.0], ("false", "true")), ([0.0, 0.0], ("false", "true"))],
)
def test_both_values_of_a_bool_are_named_also_where_training_had_one(
    training: list[float], names: tuple[str, str]
) -> None:
    values = np.array(training)
    column = column_of_numbers(Column(name="x", kind=Kind.BOOL), values, np.zeros(values.size, dtype=np.bool_))
    assert tuple(column.labels()[i] for i in bin_numbers(column, np.array([0.0, 1.0]))) == names
