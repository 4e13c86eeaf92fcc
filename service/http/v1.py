"""TF Serving / KServe V1: `{"instances": […]}` in, `{"predictions": […]}` out.

A row is an object by feature name or a list in the contract's order. For a model of plain tensors an instance is the value of
its one input, or an object by input name.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from models.contract import Column, Contract, Kind
from models.tensors import Array
from service.errors import Fault, InvalidInput, MalformedBody, RuntimeFailed
from service.featurelog.record import Problem, SkewKind
from service.http.wire import Decoded
from service.plain import array_of, fits
from service.rows import INT64, PlainTensors, Table, int_bounds
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
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if instances:
                return Decoded(Table([astuple(row) for row in instances]))
        return Decoded(_examined(version, _loose(body)))

    def encode(self, version: ServedVersion, outputs: Sequence[Array], decoded: Decoded, request_id: str) -> bytes:
        """One output: a plain list; several: objects by output name. Raises RuntimeFailed where an output has no rows."""
        values = [array.tolist() for array in outputs]
        if len(values) == 1:
            return msgspec.json.encode({"predictions": values[0]})
        names = [tensor.name for tensor in version.contract.outputs]
        for name, array in zip(names, outputs, strict=True):
            if not array.shape or len(array) != decoded.inputs.n:
                raise RuntimeFailed(version.pin.ref, f"output {name!r} is not an answer a row; ask by /v2")
        rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        return msgspec.json.encode({"predictions": rows})


def _decoder(contract: Contract, *, array_like: bool) -> msgspec.json.Decoder[Any]:
    bounds = int_bounds(contract)
    fields: list[Any] = [
        (f"f{place}", _type(column, bounds.get(column.name)), msgspec.field(name=column.name))
        for place, column in enumerate(contract.features)
    ]
    row = msgspec.defstruct("Row", fields, array_like=array_like, forbid_unknown_fields=True, gc=False)
    body = msgspec.defstruct("Body", [("instances", list[row])])  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


def _type(column: Column, bounds: tuple[int, int] | None) -> Any:
    typed = Annotated[int, msgspec.Meta(ge=bounds[0], le=bounds[1])] if bounds else _TYPES[column.kind]
    return typed | None if column.nullable else typed


def _loose(body: bytes) -> list[Any]:
    try:
        return msgspec.json.decode(body, type=_Loose).instances
    except msgspec.ValidationError as error:
        raise MalformedBody(str(error), _EXPECTED) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"{found} (NaN and Infinity are not JSON)", _EXPECTED) from error


def _examined(version: ServedVersion, instances: list[Any]) -> Table:
    examined = examine(version.contract, instances, _place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(instances))
    return Table(examined.rows)


def _place(row: int, column: str) -> str:
    escaped = column.replace("~", "~0").replace("/", "~1")  # RFC 6901
    return f"/instances/{row}/{escaped}" if column else f"/instances/{row}"


def _plain(version: ServedVersion, instances: list[Any]) -> PlainTensors:
    tensors = version.contract.inputs
    arrays = {}
    for tensor in tensors:
        try:
            values = (
                instances if len(tensors) == 1 else [_named(given, tensor.name, len(tensors)) for given in instances]
            )
            array = array_of(values, tensor.datatype)
        except ValueError as error:
            raise _unfit(version, SkewKind.WRONG_TYPE, f"input {tensor.name!r}: {error}", instances) from error
        if not instances or not fits(array.shape, tensor.shape):
            problem = f"input {tensor.name!r} has shape {list(array.shape)}, expected {list(tensor.shape)}"
            raise _unfit(version, SkewKind.SHAPE, problem if instances else "no rows, expected at least one", instances)
        arrays[tensor.name] = array
    return PlainTensors(arrays)


def _named(instance: Any, name: str, inputs: int) -> Any:
    if not isinstance(instance, dict) or name not in instance or len(instance) != inputs:
        raise ValueError(f"not in every instance, expected objects with the {inputs} inputs of the graph")
    return instance[name]


def _unfit(version: ServedVersion, kind: SkewKind, problem: str, instances: list[Any]) -> InvalidInput:
    rows = len(instances)
    return InvalidInput(version.pin.ref, [Fault("/instances", problem)], [Problem(kind, "", rows)], rows)


class Native(V1):
    """The same rows through BentoML's own `POST /predict`, `{"model": …, "instances": […]}`."""

    name = "native"


class _Addressed(msgspec.Struct):
    """The part of a native body that says who is asked."""

    model: str


_addressed = msgspec.json.Decoder(_Addressed)


def native_model(body: bytes) -> str:
    """Who a native body asks. Raises MalformedBody."""
    try:
        return _addressed.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(str(error), 'a JSON object {"model": ..., "instances": [...]}') from error
