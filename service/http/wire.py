"""What a protocol does: a body to inputs, outputs to a body."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from models.tensors import Array
from service.http.answer import Answer, Headers
from service.rows import Inputs
from service.served import ServedVersion

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What a body asked for; `echo` is what the protocol wants back when it writes the answer."""

    inputs: Inputs
    echo: Mapping[str, Any] = NOTHING


class Wire(Protocol):
    """One protocol; stateless, so one value serves every request."""

    name: str

    def compile(self, version: ServedVersion) -> Any:
        """What this protocol wants precomputed for a version; kept in `version.codecs[name]`."""
        ...

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """Raises MalformedBody, InvalidInput; `headers` are the request's, for what of a body they describe."""
        ...

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """The 200 answer: these headers, and those that describe its body. Raises RuntimeFailed."""
        ...
