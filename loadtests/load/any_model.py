"""What may a model be asked? One row of any model, by its V2 metadata alone: by feature where it has some, else by tensor.

Law: the same metadata and generator state give the same body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

FREE_DIMENSION = 1  # size of a free dimension beside the batch: metadata does not say what the graph takes there
ELEMENTS_MAX = 1 << 20  # of one tensor in a body of JSON; larger ones are not for this client
PLAIN_BELOW = 7  # whole numbers of plain tensors are small, as indices and pixels are


@dataclass(frozen=True, slots=True)
class Question:
    """A body for `/v2/models/{m}/infer`, and the rows that the answer must have."""

    body: dict[str, object]
    rows: int


def question(metadata: Mapping[str, Any], rng: np.random.Generator) -> Question:
    """Raises ValueError where a tensor is too large to ask for in JSON."""
    if features := metadata.get("parameters", {}).get("features"):
        return Question({"inputs": [_tensor(one["name"], one["datatype"], [1, 1], rng) for one in features]}, 1)
    tensors = metadata["inputs"]
    shapes = [[1 if not place and size < 0 else _size(size) for place, size in enumerate(t["shape"])] for t in tensors]
    parts = [_tensor(one["name"], one["datatype"], shape, rng) for one, shape in zip(tensors, shapes, strict=True)]
    return Question({"inputs": parts}, shapes[0][0] if shapes and shapes[0] else 1)


def _size(size: int) -> int:
    return size if size > 0 else FREE_DIMENSION


def _tensor(name: str, datatype: str, shape: list[int], rng: np.random.Generator) -> dict[str, object]:
    n = prod(shape)
    if n > ELEMENTS_MAX:
        raise ValueError(f"{name}: found {n} elements, expected at most {ELEMENTS_MAX}")
    return {"name": name, "datatype": datatype, "shape": shape, "data": _data(datatype, n, rng)}


def _data(datatype: str, n: int, rng: np.random.Generator) -> list[Any]:
    match datatype:
        case "BYTES":
            return [f"text{number}" for number in rng.integers(PLAIN_BELOW, size=n).tolist()]
        case "BOOL":
            return [bool(bit) for bit in rng.integers(2, size=n).tolist()]
        case "FP16" | "FP32" | "FP64" | "BF16":
            numbers: list[float] = np.round(np.abs(rng.normal(size=n)), 3).tolist()
            return numbers
        case _:
            whole: list[int] = rng.integers(PLAIN_BELOW, size=n).tolist()
            return whole
