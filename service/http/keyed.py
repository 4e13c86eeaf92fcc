"""The request edge of a service that asks for keys: looks at the key before anything else of the request is read.

Laws
- A request that is refused has an answer of the one shape and, where it asks for a prediction, a record like every other.
- A service that asks for no keys does not have this edge, and pays nothing for it.
"""

from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from models.keys import Holder
from models.tensors import Array
from service.caller import Caller
from service.errors import RequestError
from service.http.answer import Answer, Headers
from service.http.edge import Edge, Receive
from service.http.errors import error_answer
from service.http.gate import Gate
from service.http.paths import Target, Verb
from service.http.wire import Decoded, Wire
from service.served import ServedVersion


class KeyedEdge(Edge):
    """An edge with a gate before it."""

    def __init__(self, *, gate: Gate, **given: Any) -> None:
        super().__init__(**given)
        self._gate = gate

    async def _predict(
        self,
        wire: Wire,
        target: Target,
        headers: Headers,
        request_id: str,
        receive: Receive,
        caller: Caller | None,
    ) -> Answer:
        caller = caller or Caller()
        if caller.refusal is None:
            try:
                holder = self._gate.enter(target, headers)
            except RequestError as error:  # as one that was turned away at the door: on record, its body unread
                caller.arrived_ns, caller.refusal = caller.arrived_ns or monotonic_ns(), error
            else:
                if holder is not None and (holder.rows_per_s or target.verb is Verb.NATIVE_PREDICT):
                    wire = KeyedWire(self._gate, holder, wire)
        return await super()._predict(wire, target, headers, request_id, receive, caller)

    def _named(self, wire: Wire, body: bytes) -> str:
        model = super()._named(wire, body)
        if isinstance(wire, KeyedWire):
            wire.open(model)
        return model

    async def _control(
        self, target: Target, method: str, path: str, headers: Headers, request_id: str, receive: Receive
    ) -> Answer:
        if (asked := target.asked(method)) is not None:
            try:
                self._gate.enter(asked, headers)
            except RequestError as error:
                return error_answer(error, request_id, [(b"x-request-id", request_id.encode())])
        return await super()._control(target, method, path, headers, request_id, receive)


class KeyedWire:
    """A wire that reads one request of a key: when its model and rows are known, they are held against what the key opens.

    What cannot be read costs one row: it was work too.
    """

    __slots__ = ("_charged", "_gate", "_holder", "_wire", "name")

    def __init__(self, gate: Gate, holder: Holder, wire: Wire) -> None:
        self._gate, self._holder, self._wire, self.name = gate, holder, wire, wire.name
        self._charged = False  # a body is read twice where a feature decides on the route

    def compile(self, version: ServedVersion) -> None:
        """Nothing of its own."""

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """As the wire; also raises RateLimited, TooManyRows."""
        try:
            decoded = self._wire.decode(version, body, headers)
        except RequestError:
            self._charge(1)
            raise
        self._charge(decoded.inputs.n)
        return decoded

    def open(self, model: str) -> None:
        """The body named this model. Raises ScopeMissing."""
        self._gate.predicts(self._holder, model)

    def _charge(self, rows: int) -> None:
        if not self._charged:
            self._gate.charge(self._holder, rows)
            self._charged = True

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """As the wire."""
        return self._wire.encode(version, outputs, decoded, request_id, headers)
