"""TF Serving / KServe V1: `{"instances": […]}` in, `{"predictions": […]}` out; in columns `{"inputs": …}`, `{"outputs": …}`.

A row is an object by feature name or a list in the contract's order. For a model of plain tensors an instance is the value of
its one input, or an object by input name. `signature_name` may stand beside them: a model has one signature.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from models.contract import Column, Contract, Kind, Tensor
from models.tensors import Array
from service.errors import Fault, InvalidInput, MalformedBody, RuntimeFailed
from service.featurelog.record import Problem, SkewKind
from service.http.answer import Answer, Headers
from service.http.v1_columns import pointer, table_of
from service.http.wire import Decoded
from service.plain import array_of, fits
from service.rows import INT64, PlainTensors, Table, int_bounds
from service.served import ServedVersion
from service.validation import examine

_TYPES: Mapping[Kind, Any] = {Kind.FLOAT: float, Kind.INT: Annotated[int, INT64], Kind.BOOL: bool, Kind.STRING: str}
_EXPECTED = 'a JSON object {"instances": [...]}, or {"inputs": ...} in columns'
_encode = msgspec.json.Encoder().encode
_COLUMNAR: Mapping[str, Any] = {"columnar": True}


class _Loose(msgspec.Struct):
    """The body before anything is known of its rows; one of the two is there."""

    instances: list[Any] | UnsetType = UNSET
    inputs: Any = UNSET


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

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """Raises MalformedBody, InvalidInput with every fault."""
        decoders: Decoders | None = version.codecs[self.name]
        if decoders is None:
            return _plain(version, _loose(body))
        for decoder in decoders:
            try:
                instances = decoder.decode(body).instances
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if instances:
                return Decoded(Table([astuple(row) for row in instances]))
        loose = _loose(body)
        if isinstance(loose.instances, UnsetType):
            return Decoded(table_of(version, loose.inputs), _COLUMNAR)
        return Decoded(_examined(version, loose.instances))

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """One output: a plain list; several: objects by output name. Raises RuntimeFailed where an output has no rows."""
        values, names = [array.tolist() for array in outputs], version.outputs.names
        if decoded.echo:
            columns = values[0] if len(values) == 1 else dict(zip(names, values, strict=True))
            return Answer(200, _encode({"outputs": columns}), headers)
        if len(values) == 1:
            return Answer(200, _encode({"predictions": values[0]}), headers)
        for name, array in zip(names, outputs, strict=True):
            if not array.shape or len(array) != decoded.inputs.n:
                raise RuntimeFailed(version.pin.ref, f"output {name!r} is not an answer a row; ask by /v2")
        rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        return Answer(200, _encode({"predictions": rows}), headers)


def _decoder(contract: Contract, *, array_like: bool) -> msgspec.json.Decoder[Any]:
    bounds = int_bounds(contract)
    fields: list[Any] = [
        (f"f{place}", _type(column, bounds.get(column.name)), msgspec.field(name=column.name))
        for place, column in enumerate(contract.features)
    ]
    row = msgspec.defstruct("Row", fields, array_like=array_like, forbid_unknown_fields=True, gc=False)
    other = ("inputs", UnsetType, UNSET)  # beside instances it is refused, by the slow path
    body = msgspec.defstruct("Body", [("instances", list[row]), other])  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


def _type(column: Column, bounds: tuple[int, int] | None) -> Any:
    typed = Annotated[int, msgspec.Meta(ge=bounds[0], le=bounds[1])] if bounds else _TYPES[column.kind]
    return typed | None if column.nullable else typed


def _loose(body: bytes) -> _Loose:
    try:
        loose = msgspec.json.decode(body, type=_Loose)
    except msgspec.ValidationError as error:
        raise MalformedBody(str(error), _EXPECTED) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"{found} (NaN and Infinity are not JSON)", _EXPECTED) from error
    if (loose.instances is UNSET) == (loose.inputs is UNSET):
        found = "neither instances nor inputs" if loose.inputs is UNSET else "both instances and inputs"
        raise MalformedBody(found, _EXPECTED)
    return loose


def _examined(version: ServedVersion, instances: list[Any]) -> Table:
    examined = examine(version.contract, instances, _place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(instances))
    return Table(examined.rows)


def _place(row: int, column: str) -> str:
    return f"/instances/{row}/{pointer(column)}" if column else f"/instances/{row}"


def _plain(version: ServedVersion, loose: _Loose) -> Decoded:
    tensors = version.contract.inputs
    if isinstance(loose.instances, UnsetType):
        given, at, echo = loose.inputs, "/inputs", _COLUMNAR
        if len(tensors) == 1 and not isinstance(given, dict):
            given = {tensors[0].name: given}
        if not isinstance(given, dict) or given.keys() != {tensor.name for tensor in tensors}:
            problem = f"expected an object with the {len(tensors)} inputs of the graph"
            raise _unfit(version, SkewKind.SHAPE, problem, at, 0)
    else:
        given, at, echo = _by_tensor(version, loose.instances), "/instances", {}
    arrays = {tensor.name: _array(version, tensor, given[tensor.name], at) for tensor in tensors}
    return Decoded(PlainTensors(arrays), echo)


def _by_tensor(version: ServedVersion, instances: list[Any]) -> dict[str, list[Any]]:
    names = [tensor.name for tensor in version.contract.inputs]
    if len(names) == 1:
        return {names[0]: instances}
    for name in names:
        if not all(isinstance(one, dict) and name in one and len(one) == len(names) for one in instances):
            problem = (
                f"input {name!r}: not in every instance, expected objects with the {len(names)} inputs of the graph"
            )
            raise _unfit(version, SkewKind.WRONG_TYPE, problem, "/instances", len(instances))
    return {name: [one[name] for one in instances] for name in names}


def _array(version: ServedVersion, tensor: Tensor, values: Any, at: str) -> Array:
    rows = len(values) if isinstance(values, list) else 0
    try:
        array = array_of(values, tensor.datatype)
    except ValueError as error:
        raise _unfit(version, SkewKind.WRONG_TYPE, f"input {tensor.name!r}: {error}", at, rows) from error
    if values == []:
        raise _unfit(version, SkewKind.SHAPE, "no rows, expected at least one", at, 0)
    if not fits(array.shape, tensor.shape):
        problem = f"input {tensor.name!r} has shape {list(array.shape)}, expected {list(tensor.shape)}"
        raise _unfit(version, SkewKind.SHAPE, problem, at, rows)
    return array


def _unfit(version: ServedVersion, kind: SkewKind, problem: str, at: str, rows: int) -> InvalidInput:
    return InvalidInput(version.pin.ref, [Fault(at, problem)], [Problem(kind, "", rows)], rows)


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
