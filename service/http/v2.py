"""Open Inference Protocol V2, JSON: tensors in, tensors out.

Inputs are named either as the graph names its tensors or as the contract names its features (one tensor a feature, shape [n] or
[n, 1]); the two are not mixed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import msgspec

from models.contract import Column, Tensor
from models.tensors import DTYPES, Array
from service.errors import Fault, InvalidInput, MalformedBody
from service.featurelog.record import Problem, SkewKind
from service.http.wire import Decoded
from service.plain import array_of, fits
from service.rows import Inputs, PlainTensors, Table
from service.served import ServedVersion
from service.validation import examine

DIMENSIONS_MAX = 32  # what an array of numpy may have; a client's list of a million sizes is a fault of one line
_EXPECTED = 'a JSON object {"inputs": [{"name", "shape", "datatype", "data"}]}'
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
    data: list[Any]
    parameters: dict[str, Any] | None = None


class RequestedOutput(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class Body(msgspec.Struct):
    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


_decoder = msgspec.json.Decoder(Body)


class V2:
    """The protocol; `id` is echoed, `outputs` selects and orders what comes back."""

    name = "v2"

    def compile(self, version: ServedVersion) -> None:
        """Nothing is precomputed."""

    def decode(self, version: ServedVersion, body: bytes) -> Decoded:
        """Raises MalformedBody, InvalidInput with every fault."""
        asked = _parse(body)
        names = [tensor.name for tensor in version.contract.outputs]
        wanted = [output.name for output in asked.outputs] if asked.outputs else names
        for place, name in enumerate(wanted):
            if name not in names or name in wanted[:place]:  # so never more than there are names
                problem = f"{name[:64]!r}, expected each of {names} at most once"
                raise InvalidInput(version.pin.ref, [Fault(f"/outputs/{place}/name", problem)])
        return Decoded(_inputs(version, asked.inputs), {"id": asked.id, "outputs": wanted})

    def encode(self, version: ServedVersion, outputs: Sequence[Array], decoded: Decoded, request_id: str) -> bytes:
        """Data is flattened in row-major order, as the specification prefers."""
        by_name = dict(zip((tensor.name for tensor in version.contract.outputs), outputs, strict=True))
        types = {tensor.name: tensor.datatype for tensor in version.contract.outputs}
        return msgspec.json.encode(
            {
                "model_name": version.pin.name,
                "model_version": version.pin.version,
                "id": decoded.echo["id"] or request_id,
                "outputs": [
                    {
                        "name": name,
                        "datatype": types[name],
                        "shape": by_name[name].shape,
                        "data": by_name[name].ravel().tolist(),
                    }
                    for name in decoded.echo["outputs"]
                ],
            }
        )


def _parse(body: bytes) -> Body:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedBody(str(error), _EXPECTED) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"{found} (NaN and Infinity are not JSON)", _EXPECTED) from error


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


def _inputs(version: ServedVersion, given: list[InputTensor]) -> Inputs:
    found = [
        one
        for place, tensor in enumerate(given)
        for one in _shape_faults(place, tensor, scalars=not version.contract.tabular)
    ]
    names = Counter(tensor.name for tensor in given)
    twice = sorted(name for name, times in names.items() if times > 1)
    found += [Found(Fault("/inputs", f"input {name[:64]!r} twice"), SkewKind.SHAPE) for name in twice]
    _refuse(version, found, 0)  # how many rows it has is what is in doubt
    contract = version.contract
    if not contract.tabular:
        return PlainTensors(_plain(version, given))
    by_tensor = {tensor.name for tensor in contract.inputs}
    if set(names) == by_tensor and by_tensor != {column.name for column in contract.features}:
        return _rows(version, _columns_of_tensors(version, given))
    return _rows(version, _columns_of_features(version, given))


def _shape_faults(place: int, tensor: InputTensor, *, scalars: bool) -> list[Found]:
    at, shape = f"/inputs/{place}", tensor.shape
    if tensor.datatype not in DTYPES:
        problem = f"found {tensor.datatype[:32]!r}, expected one of {', '.join(DTYPES)}"
        return [Found(Fault(f"{at}/datatype", problem), SkewKind.WRONG_TYPE)]
    if len(shape) > DIMENSIONS_MAX or not (shape or scalars) or any(size < 1 for size in shape):
        problem = f"found {shape[:DIMENSIONS_MAX]}, expected the batch first and every size at least 1"
        return [Found(Fault(f"{at}/shape", problem), SkewKind.SHAPE)]
    data, depth = tensor.data, 1
    while data and isinstance(data[0], list):  # nested data is allowed: the specification's own examples use it
        sizes = {len(part) if isinstance(part, list) else -1 for part in data}
        if depth >= len(shape) or sizes != {shape[depth]} or len(data) != prod(shape[:depth]):
            return [Found(Fault(f"{at}/data", f"nested otherwise than shape {shape} says, or ragged"), SkewKind.SHAPE)]
        data, depth = [value for part in data for value in part], depth + 1
    if len(data) != prod(shape):
        problem = f"{len(data)} values, expected {prod(shape)} for shape {shape}"
        return [Found(Fault(f"{at}/data", problem), SkewKind.SHAPE)]
    tensor.data = data
    return []


Columns = dict[str, tuple[int, list[Any], int, int]]
"""Feature name → (place of its tensor, flat data, offset, stride)."""


def _columns_of_tensors(version: ServedVersion, given: list[InputTensor]) -> Columns:
    columns: Columns = {}
    declared = {tensor.name: tensor for tensor in version.contract.inputs}
    found: list[Found] = []
    for place, tensor in enumerate(given):
        names = declared[tensor.name].columns
        found += _tensor_faults(place, tensor, declared[tensor.name])
        columns |= {name: (place, tensor.data, i, len(names)) for i, name in enumerate(names)}
    _refuse(version, found, max(tensor.shape[0] for tensor in given))
    return columns


def _tensor_faults(place: int, tensor: InputTensor, declared: Tensor) -> list[Found]:
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


def _columns_of_features(version: ServedVersion, given: list[InputTensor]) -> Columns:
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


def _feature_faults(place: int, tensor: InputTensor, column: Column | None) -> list[Found]:
    at = f"/inputs/{place}"
    if column is None:
        return [Found(Fault(f"{at}/name", f"unknown input {tensor.name[:64]!r}"), SkewKind.UNKNOWN)]
    if tensor.shape not in ([tensor.shape[0]], [tensor.shape[0], 1]):
        fault = Fault(f"{at}/shape", f"found {tensor.shape}, expected [n] or [n, 1]")
        return [Found(fault, SkewKind.SHAPE, column.name)]
    if tensor.datatype not in (allowed := _KIND_TYPES[column.kind]):
        fault = Fault(f"{at}/datatype", f"found {tensor.datatype}, expected {' or '.join(allowed[:2])}")
        return [Found(fault, SkewKind.WRONG_TYPE, column.name)]
    return []


def _rows(version: ServedVersion, columns: Columns) -> Table:
    order = [columns[column.name] for column in version.contract.features]
    sizes = {len(data) // stride for _, data, _, stride in order}
    if len(sizes) > 1:
        fault = Fault("/inputs", f"ragged: {sorted(sizes)} rows, expected one number")
        _refuse(version, [Found(fault, SkewKind.SHAPE)], max(sizes))
    rows = list(zip(*(data[offset::stride] for _, data, offset, stride in order), strict=True))

    def place(row: int, column: str) -> str:
        if column not in columns:
            return "/inputs"
        tensor, _, offset, stride = columns[column]
        return f"/inputs/{tensor}/data/{row * stride + offset}"

    examined = examine(version.contract, rows, place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(rows))
    return Table(examined.rows)


def _plain(version: ServedVersion, given: list[InputTensor]) -> dict[str, Array]:
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
                arrays[tensor.name] = array_of(tensor.data, tensor.datatype).reshape(tensor.shape)
            except ValueError as error:
                found.append(Found(Fault(f"{at}/data", str(error)), SkewKind.WRONG_TYPE))
    _refuse(version, found, max((tensor.shape[0] for tensor in given if tensor.shape), default=0))
    return {name: arrays[name] for name in declared}
