"""The rows of a trial are rows that the model knows, and always the same."""

from pathlib import Path

import numpy as np
import pytest

from models.baseline import SPECIALS, Baseline, bin_numbers
from models.contract import Column, Contract, Kind, Tensor
from models.errors import ContractInvalid
from models.manifest import BASELINE, CONTRACT
from models.sample import inputs
from tests.onnx_models import image_contract, mixed_contract
from tests.processes import ROOT

DEMO = [path for path in (ROOT / "models" / "demo" / "artefacts").glob("*/*") if path.is_dir()]


@pytest.mark.parametrize("place", DEMO, ids=lambda place: f"{place.parent.name}-{place.name}")
def test_rows_of_a_baseline_lie_in_its_bins_about_as_often_as_its_data(place: Path) -> None:
    contract = Contract.decode((place / CONTRACT).read_bytes())
    baseline = Baseline.decode((place / BASELINE).read_bytes())
    given = inputs(contract, baseline, 1_000)
    references = {reference.name: reference for reference in baseline.features}
    for tensor in contract.inputs:
        array = given[tensor.name].reshape(1_000, -1)
        for number, name in enumerate(tensor.columns):
            reference = references[name]
            share = np.array(reference.counts[SPECIALS:]) / sum(reference.counts[SPECIALS:])
            if reference.kind is Kind.STRING:
                found = np.array([list(reference.categories or ()).index(text) for text in array[:, number]])
            else:
                found = bin_numbers(reference, array[:, number].astype(np.float64)) - SPECIALS
                assert found.min() >= -1, name  # a whole number may be rounded to the edge of its range
            seen = np.bincount(found.clip(0), minlength=len(share)) / 1_000
            if reference.kind in (Kind.STRING, Kind.FLOAT):
                assert np.abs(seen - share).max() < 0.02, name


def test_the_same_contract_gives_the_same_rows_of_the_kinds_that_it_declares() -> None:
    first, again = inputs(mixed_contract(), None, 16), inputs(mixed_contract(), None, 16)
    assert {name: (array.shape, array.dtype.kind) for name, array in first.items()} == {
        "x": ((16, 2), "f"),
        "count": ((16, 1), "i"),
        "flag": ((16, 1), "b"),
        "city": ((16, 1), "O"),
    }
    assert all((first[name] == again[name]).all() for name in first)
    assert 0 <= first["x"][:, 0].min() < 10 < 90 < first["x"][:, 0].max() <= 100
    assert set(first["city"].ravel()) == {"oslo", "rome"}
    assert set(first["flag"].ravel()) == {False, True}


def test_a_plain_tensor_is_small_numbers_and_a_fixed_batch_stays() -> None:
    assert inputs(image_contract(), None, 3)["image"].shape == (3, 2, 2)
    plain = Contract(
        features=(),
        inputs=(
            Tensor(name="ids", datatype="INT64", shape=(4, -1)),
            Tensor(name="text", datatype="BYTES", shape=(-1,)),
            Tensor(name="switch", datatype="BOOL", shape=()),
        ),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1,)),),
        output_columns=(),
    )
    given = inputs(plain, None, 3)
    assert given["ids"].shape == (4, 1) and set(given["ids"].ravel()) <= {0, 1}
    assert given["text"].tolist() == [""] * 3
    assert given["switch"].shape == ()


@pytest.mark.parametrize(("datatype", "most"), [("INT8", 127), ("UINT32", 2**32 - 1)])
def test_what_is_out_of_a_tensors_range_becomes_its_end(datatype: str, most: int) -> None:
    contract = Contract(
        features=(Column(name="n", kind=Kind.INT, low=-1e30, high=1e30),),
        inputs=(Tensor(name="n", datatype=datatype, shape=(-1, 1), columns=("n",)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1,)),),
        output_columns=(),
    )
    assert inputs(contract, None, 9)["n"].max() == most


def test_an_absurd_input_is_refused_and_not_made() -> None:
    contract = Contract(
        features=(),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 10**12)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1,)),),
        output_columns=(),
    )
    with pytest.raises(ContractInvalid, match="input 'x'"):
        inputs(contract, None, 1)
