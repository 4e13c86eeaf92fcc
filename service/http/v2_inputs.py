"""Open Inference Protocol V2: the input tensors of a request as rows of the contract, or as plain tensors.

Inputs are named either as the graph names its tensors or as the contract names its features (one tensor a feature, shape [n] or
[n, 1]); the two are not mixed. JSON and binary data are, tensor by tensor: a null is JSON's alone, binary data has none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from struct import pack
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.contract import Column, Tensor
from models.tensors import DTYPES, Array
from service.errors import Fault, InvalidInput
from service.featurelog.record import Problem, SkewKind
from service.http import v2_binary
from service.http.v2_binary import Flat
from service.plain import array_of, fits
from service.rows import Inputs, Matrix, PlainTensors, Table
from service.served import ServedVersion
from service.validation import examine

DIMENSIONS_MAX = 32  # what an array of numpy may have; a client's list of a million sizes is a fault of one line
UNSERVED = frozenset(
    {"classification", "shared_memory_region"}
)  # ignoring them would give another answer than asked for
_SIZE = "expected a number of bytes, 0 or more"
_KNOWN = "expected the tensors of the graph or the features of the contract"
NOT_SERVED = "not an extension of this server"
_KIND_TYPES: Mapping[str, tuple[str, ...]] = {
    "float": ("FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"),
    "int": ("INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"),
    "bool": ("BOOL",),
    "string": ("BYTES",),
}


class InputTensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class TensorOfNumbers(InputTensor):
    """One whose data in JSON is flat and has no value but numbers."""

    data: list[float] | None = None


class Found(NamedTuple):
    """A fault, and what the log says of it: kind, column of the contract or "", rows."""

    fault: Fault
    kind: SkewKind
    column: str = ""


def _refuse(version: ServedVersion, found: Sequence[Found], rows: int) -> None:
    """Raises InvalidInput when anything was found."""
    if found:
        kinds = dict.fromkeys((one.kind, one.column) for one in found)
        problems = [Problem(kind, column, max(1, rows)) for kind, column in kinds]
        raise InvalidInput(version.pin.ref, [one.fault for one in found], problems, rows)


@dataclass(slots=True)
class Sent:
    """One input tensor as it came: `data` is flat, and as long as its shape says."""

    name: str
    shape: list[int]
    datatype: str
    data: Flat


def inputs_of(version: ServedVersion, asked: list[InputTensor], beside: memoryview) -> Inputs:
    """`beside`: the binary data after the JSON. Raises MalformedBody, InvalidInput with every fault."""
    given: list[Sent] = []
    found: list[Found] = []
    for place, (tensor, data) in enumerate(zip(asked, _binary(version, asked, beside), strict=True)):
        one = _sent(place, tensor, data, scalars=not version.contract.tabular)
        found.append(one) if isinstance(one, Found) else given.append(one)
    names = Counter(tensor.name for tensor in asked)
    twice = sorted(name for name, times in names.items() if times > 1)
    found += [Found(Fault("/inputs", f"input {name[:64]!r} twice, expected once"), SkewKind.SHAPE) for name in twice]
    _refuse(version, found, 0)  # how many rows it has is what is in doubt
    contract = version.contract
    if not contract.tabular:
        return PlainTensors(_plain(version, given))
    if len(given) == 1 and (matrix := _whole(version, given[0])) is not None:
        return matrix
    by_tensor = {tensor.name for tensor in contract.inputs}
    if set(names) == by_tensor and by_tensor != {column.name for column in contract.features}:
        return _rows(version, _columns_of_tensors(version, given))
    return _rows(version, _columns_of_features(version, given))


def _binary(version: ServedVersion, asked: Sequence[InputTensor], beside: memoryview) -> list[memoryview | None]:
    """The binary data of each tensor, None for one whose data is JSON. Raises MalformedBody, InvalidInput."""
    sizes: list[int | None] = []
    found: list[Found] = []
    for place, tensor in enumerate(asked):
        at, parameters = f"/inputs/{place}/parameters", tensor.parameters or {}
        size = parameters.get("binary_data_size")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            found.append(Found(Fault(f"{at}/binary_data_size", f"found {size!r:.32}, {_SIZE}"), SkewKind.SHAPE))
        found += [Found(Fault(f"{at}/{name}", NOT_SERVED), SkewKind.SHAPE) for name in UNSERVED & parameters.keys()]
        sizes.append(size)
    _refuse(version, found, 0)
    return v2_binary.pieces(beside, sizes)


def _sent(place: int, tensor: InputTensor, binary: memoryview | None, *, scalars: bool) -> Sent | Found:
    at, shape, datatype, given = f"/inputs/{place}", tensor.shape, tensor.datatype, tensor.data
    if datatype not in DTYPES:
        problem = f"found {datatype[:32]!r}, expected one of {', '.join(DTYPES)}"
        return Found(Fault(f"{at}/datatype", problem), SkewKind.WRONG_TYPE)
    if len(shape) > DIMENSIONS_MAX or not (shape or scalars) or any(size < 1 for size in shape):
        problem = f"found {shape[:DIMENSIONS_MAX]}, expected the batch first and every size at least 1"
        return Found(Fault(f"{at}/shape", problem), SkewKind.SHAPE)
    try:
        if binary is not None and given is None:
            return Sent(tensor.name, shape, datatype, v2_binary.flat(binary, datatype, shape))
        if given is not None and binary is None:
            values = _flat(given, shape)
            numbers = isinstance(tensor, TensorOfNumbers)
            return Sent(tensor.name, shape, datatype, _packed(values) if numbers else values)
    except ValueError as error:
        return Found(Fault(f"{at}/data", str(error)), SkewKind.SHAPE)
    problem = f"found {'both' if given is not None else 'neither'}, expected data or parameters.binary_data_size"
    return Found(Fault(f"{at}/data", problem), SkewKind.SHAPE)


def _flat(data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Nested data made flat: the specification's own examples use it. Raises ValueError."""
    depth = 1
    while data and isinstance(data[0], list):
        sizes = {len(part) if isinstance(part, list) else -1 for part in data}
        if depth >= len(shape) or sizes != {shape[depth]} or len(data) != prod(shape[:depth]):
            raise ValueError(f"nested otherwise than shape {list(shape)} says, or ragged")
        data, depth = [value for part in data for value in part], depth + 1
    if len(data) != prod(shape):
        raise ValueError(f"{len(data)} values, expected {prod(shape)} for shape {list(shape)}")
    return data


def _packed(numbers: list[float]) -> Array:
    """`np.array(numbers)`, in less than half of its time."""
    return np.frombuffer(pack(f"={len(numbers)}d", *numbers))


_NUMBERS = frozenset({float, int})  # as JSON gives them; a boolean is an int to Python, not to `type`


def _whole(version: ServedVersion, tensor: Sent) -> Matrix | None:
    """The rows of a tensor that has all columns in order, without a look at each; None where something is to be explained."""
    declared = version.whole
    if declared is None or tensor.name != declared.name or not version.floats or _tensor_faults(0, tensor, declared):
        return None
    numbers = _numbers(tensor.data)
    return None if numbers is None else _unless_nan(numbers.reshape(-1, len(declared.columns)))


def _unless_nan(values: Array) -> Matrix | None:
    return None if np.count_nonzero(np.isnan(values)) else Matrix(values)


Columns = dict[str, tuple[int, Flat, int, int]]
"""Feature name → (place of its tensor, flat data, offset, stride)."""


def _columns_of_tensors(version: ServedVersion, given: list[Sent]) -> Columns:
    columns: Columns = {}
    declared = {tensor.name: tensor for tensor in version.contract.inputs}
    found: list[Found] = []
    for place, tensor in enumerate(given):
        names = declared[tensor.name].columns
        found += _tensor_faults(place, tensor, declared[tensor.name])
        columns |= {name: (place, tensor.data, i, len(names)) for i, name in enumerate(names)}
    _refuse(version, found, max(tensor.shape[0] for tensor in given))
    return columns


def _tensor_faults(place: int, tensor: Sent, declared: Tensor) -> list[Found]:
    width = len(declared.columns)
    shapes = [[tensor.shape[0], width]] + ([[tensor.shape[0]]] if width == 1 else [])
    if tensor.shape not in shapes:
        fault = Fault(f"/inputs/{place}/shape", f"found {tensor.shape}, expected [n, {width}]")
        return [Found(fault, SkewKind.SHAPE)]
    allowed = ("BYTES",) if declared.datatype == "BYTES" else (*_KIND_TYPES["float"], "BOOL")
    if tensor.datatype not in allowed:
        fault = Fault(f"/inputs/{place}/datatype", f"found {tensor.datatype}, expected {declared.datatype}")
        return [Found(fault, SkewKind.WRONG_TYPE)]
    return []


def _columns_of_features(version: ServedVersion, given: list[Sent]) -> Columns:
    columns: Columns = {}
    features = {column.name: column for column in version.contract.features}
    found: list[Found] = []
    for place, tensor in enumerate(given):
        columns[tensor.name] = (place, tensor.data, 0, 1)
        found += _feature_faults(place, tensor, features.get(tensor.name))
    for name, column in features.items():
        if name not in columns:
            problem = f"missing input {name!r}, expected {' or '.join(_KIND_TYPES[column.kind][:2])}"
            found.append(Found(Fault("/inputs", problem), SkewKind.ABSENT, name))
    _refuse(version, found, max((tensor.shape[0] for tensor in given), default=0))
    return columns


def _feature_faults(place: int, tensor: Sent, column: Column | None) -> list[Found]:
    at = f"/inputs/{place}"
    if column is None:
        return [Found(Fault(f"{at}/name", f"unknown input {tensor.name[:64]!r}, {_KNOWN}"), SkewKind.UNKNOWN)]
    if tensor.shape not in ([tensor.shape[0]], [tensor.shape[0], 1]):
        fault = Fault(f"{at}/shape", f"found {tensor.shape}, expected [n] or [n, 1]")
        return [Found(fault, SkewKind.SHAPE, column.name)]
    if tensor.datatype not in (allowed := _KIND_TYPES[column.kind]):
        fault = Fault(f"{at}/datatype", f"found {tensor.datatype}, expected {' or '.join(allowed[:2])}")
        return [Found(fault, SkewKind.WRONG_TYPE, column.name)]
    return []


def _rows(version: ServedVersion, columns: Columns) -> Table | Matrix:
    order = [columns[column.name] for column in version.contract.features]
    sizes = {len(data) // stride for _, data, _, stride in order}
    if len(sizes) > 1:
        fault = Fault("/inputs", f"ragged: {sorted(sizes)} rows, expected one number")
        _refuse(version, [Found(fault, SkewKind.SHAPE)], max(sizes))
    if version.floats and (matrix := _matrix(order)) is not None:
        return matrix
    rows = list(zip(*(_values(data[offset::stride]) for _, data, offset, stride in order), strict=True))

    def place(row: int, column: str) -> str:
        if column not in columns:
            return "/inputs"
        tensor, _, offset, stride = columns[column]
        return f"/inputs/{tensor}/data/{row * stride + offset}"

    examined = examine(version.contract, rows, place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(rows))
    return Table(examined.rows)


def _values(data: Flat) -> list[Any]:
    return data if isinstance(data, list) else data.tolist()


def _matrix(order: Sequence[tuple[int, Flat, int, int]]) -> Matrix | None:
    """The columns side by side without a detour by rows, where all are numbers for floats; None where something is to be
    explained."""
    arrays: dict[int, Array] = {}
    for place, data, _, _ in order:
        if place not in arrays:
            if (numbers := _numbers(data)) is None:
                return None
            arrays[place] = numbers
    stride = order[0][3]
    whole = [offset for _, _, offset, _ in order] == list(range(stride))  # a tensor so wide has all columns
    if whole:
        values = arrays[order[0][0]].reshape(-1, stride)
    else:
        values = np.column_stack([arrays[place][offset::stride] for place, _, offset, stride in order])
    return _unless_nan(values)


def _numbers(data: Flat) -> Array | None:
    """None for what holds anything else: a boolean is no number, and a null is judged by its column."""
    if not isinstance(data, list):
        return data if data.dtype != np.bool_ else None
    if not _NUMBERS.issuperset(map(type, data)):
        return None
    try:
        return np.array(data, np.float64)
    except OverflowError:  # an integer that no float holds
        return None


def _plain(version: ServedVersion, given: list[Sent]) -> dict[str, Array]:
    declared = {tensor.name: tensor for tensor in version.contract.inputs}
    sent = {tensor.name for tensor in given}
    found = [Found(Fault("/inputs", f"missing input {n!r}"), SkewKind.ABSENT) for n in declared if n not in sent]
    arrays: dict[str, Array] = {}
    for place, tensor in enumerate(given):
        at, known = f"/inputs/{place}", declared.get(tensor.name)
        if known is None:
            fault = Fault(f"{at}/name", f"unknown input {tensor.name[:64]!r}, expected {list(declared)}")
            found.append(Found(fault, SkewKind.UNKNOWN))
        elif tensor.datatype != known.datatype:
            fault = Fault(f"{at}/datatype", f"found {tensor.datatype}, expected {known.datatype}")
            found.append(Found(fault, SkewKind.WRONG_TYPE))
        elif not fits(tensor.shape, known.shape):
            fault = Fault(f"{at}/shape", f"found {tensor.shape}, expected {list(known.shape)}")
            found.append(Found(fault, SkewKind.SHAPE))
        else:
            try:
                data = tensor.data
                array = array_of(data, tensor.datatype) if isinstance(data, list) else data
                arrays[tensor.name] = array.reshape(tensor.shape)
            except ValueError as error:
                found.append(Found(Fault(f"{at}/data", str(error)), SkewKind.WRONG_TYPE))
    _refuse(version, found, max((tensor.shape[0] for tensor in given if tensor.shape), default=0))
    return {name: arrays[name] for name in declared}
