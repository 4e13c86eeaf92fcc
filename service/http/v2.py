"""Open Inference Protocol V2, JSON: tensors in, tensors out.

Inputs are named either as the graph names its tensors or as the contract names its features (one tensor a feature, shape [n] or
[n, 1]); the two are not mixed.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from models.contract import Column, Tensor
from models.tensors import DTYPES, Array
from service.errors import Fault, InvalidInput, MalformedBody
from service.featurelog.record import Problem, SkewKind
from service.http.wire import Decoded
from service.rows import Inputs, PlainTensors, Table
from service.served import ServedVersion
from service.validation import examine

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
            if name not in names:
                raise InvalidInput(
                    version.pin.ref, [Fault(f"/outputs/{place}/name", f"{name!r}, expected one of {names}")]
                )
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
    except (msgspec.DecodeError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"{found} (NaN and Infinity are not JSON)", _EXPECTED) from error


def _inputs(version: ServedVersion, given: list[InputTensor]) -> Inputs:
    faults = [fault for place, tensor in enumerate(given) for fault in _shape_faults(place, tensor)]
    names = [tensor.name for tensor in given]
    faults += [Fault("/inputs", f"input {name!r} twice") for name in sorted({n for n in names if names.count(n) > 1})]
    if faults:
        raise InvalidInput(version.pin.ref, faults)
    contract = version.contract
    if not contract.tabular:
        return PlainTensors(_plain(version, given))
    by_tensor = {tensor.name for tensor in contract.inputs}
    if set(names) == by_tensor and by_tensor != {column.name for column in contract.features}:
        return _rows(version, _columns_of_tensors(version, given))
    return _rows(version, _columns_of_features(version, given))


def _shape_faults(place: int, tensor: InputTensor) -> list[Fault]:
    at = f"/inputs/{place}"
    if tensor.datatype not in DTYPES:
        return [Fault(f"{at}/datatype", f"found {tensor.datatype[:32]!r}, expected one of {', '.join(DTYPES)}")]
    if not tensor.shape or any(size < 0 for size in tensor.shape):
        return [Fault(f"{at}/shape", f"found {tensor.shape}, expected the batch first and no negative size")]
    while tensor.data and isinstance(
        tensor.data[0], list
    ):  # nested data is allowed: the specification's own examples use it
        if not all(isinstance(part, list) for part in tensor.data):
            return [Fault(f"{at}/data", "ragged, expected lists of one depth")]
        tensor.data = [value for part in tensor.data for value in part]
    if len(tensor.data) != prod(tensor.shape):
        return [
            Fault(f"{at}/data", f"{len(tensor.data)} values, expected {prod(tensor.shape)} for shape {tensor.shape}")
        ]
    return []


Columns = dict[str, tuple[int, list[Any], int, int]]
"""Feature name → (place of its tensor, flat data, offset, stride)."""


def _columns_of_tensors(version: ServedVersion, given: list[InputTensor]) -> Columns:
    columns: Columns = {}
    declared = {tensor.name: tensor for tensor in version.contract.inputs}
    faults = []
    for place, tensor in enumerate(given):
        names = declared[tensor.name].columns
        faults += _tensor_faults(place, tensor, declared[tensor.name])
        columns |= {name: (place, tensor.data, i, len(names)) for i, name in enumerate(names)}
    if faults:
        raise InvalidInput(version.pin.ref, faults)
    return columns


def _tensor_faults(place: int, tensor: InputTensor, declared: Tensor) -> list[Fault]:
    width = len(declared.columns)
    shapes = [[tensor.shape[0], width]] + ([[tensor.shape[0]]] if width == 1 else [])
    if tensor.shape not in shapes:
        return [Fault(f"/inputs/{place}/shape", f"found {tensor.shape}, expected [n, {width}]")]
    allowed = ("BYTES",) if declared.datatype == "BYTES" else (*_KIND_TYPES["float"], "BOOL")
    if tensor.datatype not in allowed:
        return [Fault(f"/inputs/{place}/datatype", f"found {tensor.datatype}, expected {declared.datatype}")]
    return []


def _columns_of_features(version: ServedVersion, given: list[InputTensor]) -> Columns:
    columns: Columns = {}
    features = {column.name: column for column in version.contract.features}
    rows = max((tensor.shape[0] for tensor in given), default=0)
    faults: list[Fault] = []
    problems: list[Problem] = []
    for place, tensor in enumerate(given):
        columns[tensor.name] = (place, tensor.data, 0, 1)
        if (found := _feature_fault(place, tensor, features.get(tensor.name))) is not None:
            faults.append(found[0])
            problems.append(Problem(found[1], tensor.name if tensor.name in features else "", rows))
    for name in features.keys() - columns.keys():
        faults.append(Fault("/inputs", f"missing input {name!r}"))
        problems.append(Problem(SkewKind.ABSENT, name, rows))
    if faults:
        raise InvalidInput(version.pin.ref, faults, problems, rows)
    return columns


def _feature_fault(place: int, tensor: InputTensor, column: Column | None) -> tuple[Fault, SkewKind] | None:
    at = f"/inputs/{place}"
    if column is None:
        return Fault(f"{at}/name", f"unknown input {tensor.name[:64]!r}"), SkewKind.UNKNOWN
    if tensor.shape not in ([tensor.shape[0]], [tensor.shape[0], 1]):
        return Fault(f"{at}/shape", f"found {tensor.shape}, expected [n] or [n, 1]"), SkewKind.SHAPE
    if tensor.datatype not in (allowed := _KIND_TYPES[column.kind]):
        return Fault(
            f"{at}/datatype", f"found {tensor.datatype}, expected {' or '.join(allowed[:2])}"
        ), SkewKind.WRONG_TYPE
    return None


def _rows(version: ServedVersion, columns: Columns) -> Table:
    order = [columns[column.name] for column in version.contract.features]
    sizes = {len(data) // stride for _, data, _, stride in order}
    if len(sizes) > 1:
        raise InvalidInput(version.pin.ref, [Fault("/inputs", f"ragged: {sorted(sizes)} rows, expected one number")])
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
    faults = [Fault("/inputs", f"missing input {name!r}") for name in declared.keys() - {t.name for t in given}]
    arrays: dict[str, Array] = {}
    for place, tensor in enumerate(given):
        known = declared.get(tensor.name)
        if known is None:
            faults.append(
                Fault(f"/inputs/{place}/name", f"unknown input {tensor.name[:64]!r}, expected {list(declared)}")
            )
        elif tensor.datatype != known.datatype:
            faults.append(Fault(f"/inputs/{place}/datatype", f"found {tensor.datatype}, expected {known.datatype}"))
        elif not _fits(tensor.shape, known.shape):
            faults.append(Fault(f"/inputs/{place}/shape", f"found {tensor.shape}, expected {list(known.shape)}"))
        else:
            try:
                arrays[tensor.name] = np.array(tensor.data, dtype=DTYPES[tensor.datatype]).reshape(tensor.shape)
            except (TypeError, ValueError, OverflowError) as error:
                faults.append(Fault(f"/inputs/{place}/data", str(error)))
    if faults:
        raise InvalidInput(version.pin.ref, faults)
    return arrays


def _fits(shape: list[int], declared: tuple[int, ...]) -> bool:
    return len(shape) == len(declared) and all(b < 0 or a == b for a, b in zip(shape, declared, strict=True))
