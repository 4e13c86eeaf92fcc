"""Open Inference Protocol V2: tensors in, tensors out, as JSON or as binary data beside it.

`v2_inputs` says what the input tensors mean, `v2_binary` where binary data lies.

Of a request's parameters `timeout` (µs, never longer than the setting `timeout_ms`) and `binary_data_output` are obeyed. Others
(`priority`, `sequence_…`) change no answer of a model without state and are ignored; `classification` and
`shared_memory_region` would, and are refused.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Annotated, Any

import msgspec

from models.tensors import Array
from service.errors import Fault, InvalidInput
from service.http import unreadable, v2_binary
from service.http.answer import JSON, Answer, Headers
from service.http.v2_inputs import NOT_SERVED, UNSERVED, InputTensor, TensorOfNumbers, inputs_of
from service.http.values import SMALL_BYTES, values_within
from service.http.wire import ROWS_MAX, Decoded
from service.served import ServedVersion
from service.validation import kind_of

TIMEOUT = "timeout"
TIMEOUT_US_MAX = 2**63 - 1  # the parameter is an int64
_EXPECTED = 'a JSON object {"inputs": [{"name", "shape", "datatype", "data"}]}'

ID_CHARS_MAX = 1024  # it is echoed


class RequestedOutput(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class Body(msgspec.Struct):
    inputs: list[InputTensor]
    id: Annotated[str, msgspec.Meta(max_length=ID_CHARS_MAX)] | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


class BodyOfNumbers(Body):
    """What most bodies to a model of nothing but floats are; 1 024 rows of 20: 0.6 ms with the array, not 0.95."""

    inputs: list[TensorOfNumbers]  # type: ignore[assignment]


_decoder = msgspec.json.Decoder(Body)
_numbers_decoder = msgspec.json.Decoder(BodyOfNumbers)


class V2:
    """The protocol; `id` is echoed, `outputs` selects and orders what comes back."""

    name = "v2"

    def __init__(self, max_rows: int = ROWS_MAX) -> None:
        self._max_rows = max_rows

    def compile(self, version: ServedVersion) -> None:
        """Nothing is precomputed."""

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """Raises TooManyValues, MalformedBody, InvalidInput with every fault."""
        head, beside = v2_binary.split(body, headers)
        if len(head) > SMALL_BYTES:
            values_within(version.contract, head, self._max_rows)
        asked = _parse(head, numbers=version.numbers)
        wanted = _wanted(version, asked)
        timeout_ms = _timeout_ms(version, asked.parameters)
        return Decoded(inputs_of(version, asked.inputs, beside), {"id": asked.id, "outputs": wanted}, timeout_ms)

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """Data is flattened in row-major order, as the specification prefers; binary data follows in the order of `outputs`."""
        by_name = dict(zip((tensor.name for tensor in version.contract.outputs), outputs, strict=True))
        types = {tensor.name: tensor.datatype for tensor in version.contract.outputs}
        written: list[dict[str, Any]] = []
        parts: list[bytes] = []
        wanted: Mapping[str, bool] = decoded.echo.get("outputs") or dict.fromkeys(by_name, False)
        for name, binary in wanted.items():
            array, datatype = by_name[name], types[name]
            tensor = {"name": name, "datatype": datatype, "shape": array.shape}
            if binary:
                parts.append(v2_binary.packed(array, datatype))
                written.append({**tensor, "parameters": {"binary_data_size": len(parts[-1])}})
            else:
                written.append({**tensor, "data": array.ravel().tolist()})
        given_id = decoded.echo.get("id")
        head = msgspec.json.encode(
            {
                "model_name": version.pin.name,
                "model_version": version.pin.version,
                "id": request_id if given_id is None else given_id,
                "outputs": written,
            }
        )
        if not parts:
            return Answer(200, head, headers, JSON)
        length = (v2_binary.HEADER, str(len(head)).encode())
        return Answer(200, b"".join([head, *parts]), [*headers, length], v2_binary.CONTENT_TYPE)


def _parse(body: bytes, *, numbers: bool) -> Body:
    """`numbers`: nothing else is expected, and what else is found is still read. Raises MalformedBody."""
    if numbers:
        with suppress(*unreadable.Errors):
            return _numbers_decoder.decode(body)
    try:
        return _decoder.decode(body)
    except unreadable.Errors as error:
        raise unreadable.malformed(error, body, _EXPECTED) from error


def _wanted(version: ServedVersion, asked: Body) -> Mapping[str, bool]:
    """The outputs in the order asked for, and whether each comes as binary data. Raises InvalidInput."""
    names = [tensor.name for tensor in version.contract.outputs]
    usual = _flag(version, asked.parameters, "binary_data_output", "/parameters", default=False)
    wanted: dict[str, bool] = {}
    for place, output in enumerate(asked.outputs or ()):
        at, name = f"/outputs/{place}", output.name
        if name not in names or name in wanted:  # so never more than there are names
            problem = f"found {name[:64]!r}, expected each of {names} at most once"
            raise InvalidInput(version.pin.ref, [Fault(f"{at}/name", problem)])
        for unserved in UNSERVED & (output.parameters or {}).keys():
            raise InvalidInput(version.pin.ref, [Fault(f"{at}/parameters/{unserved}", NOT_SERVED)])
        wanted[name] = _flag(version, output.parameters, "binary_data", f"{at}/parameters", default=usual)
    return wanted or dict.fromkeys(names, usual)


def _timeout_ms(version: ServedVersion, parameters: Mapping[str, Any] | None) -> float:
    """How long the client says it will wait. Raises InvalidInput."""
    if not parameters or TIMEOUT not in parameters:
        return inf
    timeout_us = parameters[TIMEOUT]
    if type(timeout_us) is not int or not 1 <= timeout_us <= TIMEOUT_US_MAX:
        problem = f"expected whole microseconds, 1 to {TIMEOUT_US_MAX}"
        raise InvalidInput(version.pin.ref, [Fault(f"/parameters/{TIMEOUT}", problem)])
    return timeout_us / 1000


def _flag(version: ServedVersion, parameters: Mapping[str, Any] | None, name: str, at: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(version.pin.ref, [Fault(f"{at}/{name}", f"found {kind_of(value)}, expected true or false")])
    return value
