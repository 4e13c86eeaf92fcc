"""A row of any model by its metadata: by feature where there are some, else by tensor, and always of the size that it says."""

from math import prod
from typing import Any

import numpy as np
import pytest

from loadtests.load.any_model import ELEMENTS_MAX, question

DATATYPES = ("BOOL", "INT8", "INT64", "UINT8", "FP16", "FP32", "FP64", "BYTES")


def asked(metadata: dict[str, Any], seed: int = 1) -> tuple[list[dict[str, Any]], int]:
    found = question(metadata, np.random.default_rng(seed))
    return list(found.body["inputs"]), found.rows  # type: ignore[call-overload]


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("shape", [[-1, 3], [-1], [2, 3, 4], [-1, -1, 5]])
def test_a_plain_tensor_is_asked_with_as_many_elements_as_its_shape_has(datatype: str, shape: list[int]) -> None:
    (tensor,), rows = asked({"inputs": [{"name": "x", "datatype": datatype, "shape": shape}]})
    assert len(tensor["data"]) == prod(tensor["shape"])
    assert tensor["shape"] == [size if size > 0 else 1 for size in shape]
    assert rows == tensor["shape"][0]


def test_features_are_sent_one_a_column_and_not_as_the_graphs_tensors() -> None:
    features = [{"name": name, "datatype": "FP64", "nullable": False} for name in "ab"]
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    tensors, rows = asked({"inputs": inputs, "parameters": {"features": features}})
    assert [(one["name"], one["shape"]) for one in tensors] == [("a", [1, 1]), ("b", [1, 1])]
    assert rows == 1


def test_the_same_seed_asks_the_same() -> None:
    metadata = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 9]}]}
    assert asked(metadata) == asked(metadata)
    assert asked(metadata) != asked(metadata, seed=2)


def test_what_is_too_large_for_json_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most"):
        asked({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, ELEMENTS_MAX + 1]}]})
