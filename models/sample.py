"""Rows on which a version is tried: drawn from its baseline, or made of its contract where it has none.

Laws
- The same contract and baseline give the same rows: places in (0, 1) are spread evenly (golden ratio), not drawn at random.
- With a baseline every value lies in a bin of its column, as often as the training data did; nulls are left out.
"""

from itertools import pairwise
from math import isfinite, prod

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Baseline, ColumnBaseline
from models.contract import Column, Contract, Kind, Tensor
from models.errors import ContractInvalid
from models.tensors import DTYPES, Array

FREE_DIMENSION = 1  # size of a free dimension beside the batch: nobody says what the graph takes there
ELEMENTS_MAX = 1 << 28  # of an input in all rows of a trial: 1 GiB of numbers, more than any body may have
_GOLDEN = 0.6180339887498949
_PLAIN_PERIOD = 7  # numbers of a plain tensor repeat after so many: small ones, as indices and pixels are

Places = npt.NDArray[np.float64]


def inputs(contract: Contract, baseline: Baseline | None, rows: int) -> dict[str, Array]:
    """One array a tensor, the batch first; a tensor with a fixed batch keeps it."""
    references = {reference.name: reference for reference in baseline.features} if baseline is not None else {}
    columns = {column.name: column for column in contract.features}
    order = {column.name: number for number, column in enumerate(contract.features)}
    arrays: dict[str, Array] = {}
    for tensor in contract.inputs:
        n = rows if not tensor.shape or tensor.shape[0] < 0 else tensor.shape[0]
        if tensor.columns:
            parts = [_cells(columns[name], references.get(name), _places(n, order[name])) for name in tensor.columns]
            arrays[tensor.name] = _tensor(tensor, parts, n)
        else:
            arrays[tensor.name] = _plain(tensor, n)
    return arrays


def _places(n: int, column: int) -> Places:
    """Evenly spread over (0, 1), each column beginning elsewhere."""
    places: Places = np.mod(0.5 + np.arange(n) * _GOLDEN + column * _GOLDEN**2, 1.0)
    return places


def _cells(column: Column, reference: ColumnBaseline | None, places: Places) -> list[float] | list[str]:
    if column.kind is Kind.STRING:
        return _texts(column, reference, places)
    counts = np.asarray(reference.counts[SPECIALS:] if reference is not None else (), dtype=np.float64)
    if reference is None or not counts.sum():
        low = column.low if column.low is not None else 0.0
        high = column.high if column.high is not None else max(low, 1.0)
        return _whole(column, low + places * (high - low))
    low = reference.low if reference.low is not None else 0.0
    high = reference.high if reference.high is not None else low
    bounds = list(pairwise((low, *reference.edges, high)))
    bins = np.searchsorted(np.cumsum(counts) / counts.sum(), places, side="right").clip(0, len(bounds) - 1)
    return _whole(column, np.array([bounds[number][0] / 2 + bounds[number][1] / 2 for number in bins]))


def _whole(column: Column, values: npt.NDArray[np.float64]) -> list[float]:
    finite = [float(value) if isfinite(value) else 0.0 for value in values]
    match column.kind:
        case Kind.BOOL:
            return [float(value >= 0.5) for value in finite]
        case Kind.INT:
            return [float(round(value)) for value in finite]
    return finite


def _texts(column: Column, reference: ColumnBaseline | None, places: Places) -> list[str]:
    if not column.categories:
        return [""] * len(places)
    counts = np.asarray(reference.counts[SPECIALS:] if reference is not None else (), dtype=np.float64)
    if counts.size != len(column.categories) or not counts.sum():
        counts = np.ones(len(column.categories))
    found = np.searchsorted(np.cumsum(counts) / counts.sum(), places, side="right").clip(0, counts.size - 1)
    return [column.categories[code] for code in found]


def _tensor(tensor: Tensor, parts: "list[list[float] | list[str]]", n: int) -> Array:
    shape = (n,) if len(tensor.shape) == 1 else (n, len(parts))
    array: Array = np.empty((n, len(parts)), dtype=DTYPES[tensor.datatype])
    for place, part in enumerate(parts):
        array[:, place] = _fitting(part, tensor.datatype)
    return array.reshape(shape)


def _fitting(part: "list[float] | list[str]", datatype: str) -> Array:
    """In the tensor's datatype; what is out of its range becomes its end."""
    dtype = DTYPES[datatype]
    if datatype.lstrip("U").startswith("INT"):
        limits = np.iinfo(dtype)
        return np.array([min(max(int(value), int(limits.min)), int(limits.max)) for value in part], dtype=dtype)
    with np.errstate(over="ignore"):
        return np.array(part, dtype=dtype)


def _plain(tensor: Tensor, n: int) -> Array:
    shape = tuple(FREE_DIMENSION if size < 0 else size for size in (tensor.shape and (n, *tensor.shape[1:])))
    if prod(shape) > ELEMENTS_MAX:
        where = f"input {tensor.name!r}"
        raise ContractInvalid(where, f"shape {list(tensor.shape)}", f"at most {ELEMENTS_MAX} elements in {n} rows")
    if tensor.datatype == "BYTES":
        return np.full(shape, "", dtype=object)
    numbers = np.arange(prod(shape)) % _PLAIN_PERIOD
    if tensor.datatype == "BOOL":
        numbers = numbers % 2
    elif tensor.datatype.startswith("FP"):
        return (numbers / _PLAIN_PERIOD).astype(DTYPES[tensor.datatype]).reshape(shape)
    else:
        numbers = numbers % 2  # an index of anything has 0 and 1
    return numbers.astype(DTYPES[tensor.datatype]).reshape(shape)
