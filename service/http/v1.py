"""TF Serving / KServe V1: `{"instances": […]}` in, `{"predictions": […]}` out.

A row is an object by feature name or a list in the contract's order. For a model of plain tensors an instance is the value of
its one input, or an object by input name.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import astuple

from models.contract import Column, Contract, Kind
from models.tensors import DTYPES, Array
from service.errors import Fault, InvalidInput, MalformedBody
from service.http.wire import Decoded
from service.rows import INT64, PlainTensors, Table
from service.served import ServedVersion
from service.validation import examine

_TYPES: Mapping[Kind, Any] = {Kind.FLOAT: float, Kind.INT: Annotated[int, INT64], Kind.BOOL: bool, Kind.STRING: str}
_EXPECTED = 'a JSON object {"instances": [...]}'


class _Loose(msgspec.Struct):
    """The body before anything is known of its rows."""

    instances: list[Any]


class Decoders(NamedTuple):
    """Typed decoders of one version: they validate while they parse, at about 1 µs a row."""

    objects: msgspec.json.Decoder[Any]
    lists: msgspec.json.Decoder[Any]


class V1:
    """The protocol; rows are validated by the decoder, and by `examine` only when that refuses."""

    name = "v1"

    def compile(self, version: ServedVersion) -> Decoders | None:
        """Decoders typed by the contract; None for plain tensors."""
        if not version.contract.tabular:
            return None
        return Decoders(*(_decoder(version.contract, array_like=array_like) for array_like in (False, True)))

    def decode(self, version: ServedVersion, body: bytes) -> Decoded:
        """Raises MalformedBody, InvalidInput with every fault."""
        decoders: Decoders | None = version.codecs[self.name]
        if decoders is None:
            return Decoded(_plain(version, _loose(body)))
        for decoder in decoders:
            try:
                instances = decoder.decode(body).instances
            except (msgspec.DecodeError, RecursionError):
                continue
            if instances:
                return Decoded(Table([astuple(row) for row in instances]))
        return Decoded(_examined(version, _loose(body)))

    def encode(self, version: ServedVersion, outputs: Sequence[Array], decoded: Decoded, request_id: str) -> bytes:
        """One output: a plain list; several: objects by output name."""
        values = [array.tolist() for array in outputs]
        if len(values) == 1:
            return msgspec.json.encode({"predictions": values[0]})
        names = [tensor.name for tensor in version.contract.outputs]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        return msgspec.json.encode({"predictions": rows})


def _decoder(contract: Contract, *, array_like: bool) -> msgspec.json.Decoder[Any]:
    fields: list[Any] = [
        (f"f{place}", _type(column), msgspec.field(name=column.name)) for place, column in enumerate(contract.features)
    ]
    row = msgspec.defstruct("Row", fields, array_like=array_like, forbid_unknown_fields=True, gc=False)
    body = msgspec.defstruct("Body", [("instances", list[row])])  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


def _type(column: Column) -> Any:
    typed = _TYPES[column.kind]
    return typed | None if column.nullable else typed


def _loose(body: bytes) -> list[Any]:
    try:
        return msgspec.json.decode(body, type=_Loose).instances
    except msgspec.ValidationError as error:
        raise MalformedBody(str(error), _EXPECTED) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"{found} (NaN and Infinity are not JSON)", _EXPECTED) from error


def _examined(version: ServedVersion, instances: list[Any]) -> Table:
    examined = examine(version.contract, instances, _place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(instances))
    return Table(examined.rows)


def _place(row: int, column: str) -> str:
    return f"/instances/{row}/{column}" if column else f"/instances/{row}"


def _plain(version: ServedVersion, instances: list[Any]) -> PlainTensors:
    if not instances:
        raise InvalidInput(version.pin.ref, [Fault("/instances", "no rows, expected at least one")])
    tensors = version.contract.inputs
    arrays = {}
    for tensor in tensors:
        try:
            values = instances if len(tensors) == 1 else [instance[tensor.name] for instance in instances]
            array: Array = np.array(values, dtype=DTYPES[tensor.datatype])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(version.pin.ref, [Fault("/instances", f"input {tensor.name!r}: {error}")]) from error
        if array.ndim != len(tensor.shape) or any(
            a != b for a, b in zip(array.shape, tensor.shape, strict=True) if b >= 0
        ):
            problem = f"input {tensor.name!r} has shape {list(array.shape)}, expected {list(tensor.shape)}"
            raise InvalidInput(version.pin.ref, [Fault("/instances", problem)])
        arrays[tensor.name] = array
    return PlainTensors(arrays)


class Native(V1):
    """The same rows through BentoML's own `POST /predict`; only the record names it apart."""

    name = "native"
