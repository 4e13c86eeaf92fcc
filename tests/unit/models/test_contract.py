import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Column, Contract, Kind, Tensor
from models.errors import ContractInvalid

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from(Kind))
    low, high = sorted((draw(FLOATS), draw(FLOATS)))
    if kind is Kind.STRING:
        categories = draw(st.none() | st.lists(st.text(), unique=True).map(lambda texts: tuple(sorted(texts))))
        return Column(name=name, kind=kind, nullable=draw(st.booleans()), categories=categories)
    ranged = draw(st.booleans())
    return Column(name=name, kind=kind, low=low if ranged else None, high=high if ranged else None)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
    features = tuple(draw(columns(name)) for name in names)
    inputs = tuple(
        Tensor(name=f"t{i}", datatype="BYTES" if c.kind is Kind.STRING else "FP32", shape=(-1, 1), columns=(c.name,))
        for i, c in enumerate(features)
    )
    output = Tensor(name="y", datatype="FP32", shape=(-1, 2), columns=("y[0]", "y[1]"))
    answers = tuple(Column(name=name, kind=Kind.FLOAT) for name in output.columns)
    label = draw(st.none() | st.text())
    return Contract(features=features, inputs=inputs, outputs=(output,), output_columns=answers, label=label)


@given(contracts())
def test_a_contract_comes_back_from_its_bytes_as_it_was(contract: Contract) -> None:
    assert Contract.decode(contract.encode()) == contract
    assert Contract.decode(contract.encode()).encode() == contract.encode()


@given(st.binary(max_size=64))
def test_bytes_that_are_no_contract_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(ContractInvalid):
        Contract.decode(data)


def plain(*, features: tuple[Column, ...], inputs: tuple[Tensor, ...]) -> Contract:
    output = Tensor(name="y", datatype="FP32", shape=(-1, 64, 64))
    return Contract(features=features, inputs=inputs, outputs=(output,), output_columns=())


FLOAT_A = Column(name="a", kind=Kind.FLOAT)
ONE_PLACE = Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("a",))


@pytest.mark.parametrize(
    ("features", "inputs", "says"),
    [
        ((FLOAT_A, FLOAT_A), (ONE_PLACE,), "'a' twice"),
        ((FLOAT_A,), (ONE_PLACE, Tensor(name="z", datatype="FP32", shape=(-1,), columns=("a",))), "'a' twice"),
        ((FLOAT_A, Column(name="b", kind=Kind.FLOAT)), (ONE_PLACE,), "'b' only on one side"),
        ((), (ONE_PLACE,), "'a' only on one side"),
        ((Column(name="a", kind=Kind.STRING),), (ONE_PLACE,), "a kind that fits FP32"),
        ((FLOAT_A,), (Tensor(name="x", datatype="BYTES", shape=(-1,), columns=("a",)),), "a kind that fits BYTES"),
        (
            (Column(name="a", kind=Kind.INT, nullable=True),),
            (Tensor(name="x", datatype="INT64", shape=(-1, 1), columns=("a",)),),
            "nullable in INT64",
        ),
        ((), (), "no tensor"),
    ],
)
def test_columns_that_do_not_lie_in_the_tensors_are_refused(
    features: tuple[Column, ...], inputs: tuple[Tensor, ...], says: str
) -> None:
    with pytest.raises(ContractInvalid) as refused:
        plain(features=features, inputs=inputs)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "columns", "says"),
    [
        ((-1, 3), ("a", "b"), "2 columns in shape [-1, 3]"),
        ((-1,), ("a", "b"), "2 columns"),
        ((-1, 2, 2), ("a",), "1 columns"),
    ],
)
def test_a_tensor_has_as_many_columns_as_places(shape: tuple[int, ...], columns: tuple[str, ...], says: str) -> None:
    with pytest.raises(ContractInvalid) as refused:
        Tensor(name="x", datatype="FP32", shape=shape, columns=columns)
    assert says in str(refused.value)


def test_a_free_width_takes_any_number_of_columns() -> None:
    assert Tensor(name="x", datatype="FP32", shape=(-1, -1), columns=("a", "b")).columns == ("a", "b")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Column(name="a", kind=Kind.FLOAT, low=2.0, high=1.0),
        lambda: Column(name="a", kind=Kind.INT, categories=("x",)),
        lambda: Column(name="a", kind=Kind.STRING, categories=("b", "a")),
        lambda: Column(name="a", kind=Kind.STRING, categories=("a", "a")),
    ],
)
def test_a_column_that_contradicts_itself_cannot_be_built(make: object) -> None:
    with pytest.raises(ContractInvalid):
        make()  # type: ignore[operator]


def test_only_a_contract_without_plain_tensors_is_tabular() -> None:
    image = Tensor(name="i", datatype="FP32", shape=(-1, 3, 8, 8))
    assert plain(features=(FLOAT_A,), inputs=(ONE_PLACE,)).tabular
    assert not plain(features=(FLOAT_A,), inputs=(ONE_PLACE, image)).tabular
