"""In which language does a body come, and in which is the answer wanted?

The route names the protocol; on V1 `:predict` and V2 `infer` the content-type may say Arrow instead of JSON, and Accept may ask
for the other of the two. Without a preference the answer comes in the language of the body.
"""

from collections.abc import Mapping, Sequence

from models.tensors import Array
from service.http.answer import ARROW, Answer, Headers
from service.http.paths import Verb
from service.http.wire import Decoded, Wire
from service.served import ServedVersion

_JSON = b"application/json"
_CHARS = len(ARROW)
_RANGES_MAX = 16  # what a real client lists at most; the rest of a longer header is not read


class Translated:
    """Reads one wire and writes another; in the log it is the one that was read."""

    def __init__(self, read: Wire, written: Wire) -> None:
        self._read, self._written = read, written
        self.name = read.name

    def compile(self, version: ServedVersion) -> None:
        """Nothing of its own."""

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """As the wire that is read."""
        return self._read.decode(version, body, headers)

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """As the wire that is written."""
        return self._written.encode(version, outputs, decoded, request_id, headers)


class Languages:
    """The wire of a request; one value a worker."""

    def __init__(self, routes: Mapping[Verb, Wire], arrow: Wire, columnar: Sequence[Verb]) -> None:
        self.wires = (*routes.values(), arrow)
        self._routes = routes
        self._columnar = {
            verb: {
                (True, True): arrow,
                (True, False): Translated(arrow, routes[verb]),
                (False, True): Translated(routes[verb], arrow),
                (False, False): routes[verb],
            }
            for verb in columnar
        }

    def wire(self, verb: Verb, headers: Headers) -> Wire | None:
        """None for a route that predicts nothing."""
        wire = self._routes.get(verb)
        for _, value in headers:
            # 0.09 µs a request, 0.05 more for a long header, since media types
            # have no case; looking for the two names takes 0.30
            if len(value) >= _CHARS and b"arrow" in value.lower():
                return self._chosen(verb, headers)
        return wire

    def _chosen(self, verb: Verb, headers: Headers) -> Wire | None:
        found = self._columnar.get(verb)
        if found is None:
            return self._routes.get(verb)
        given = dict(reversed(headers))  # the first of two counts
        read = _media(given.get(b"content-type", b"")) == ARROW
        return found[read, _wanted(given.get(b"accept", b""), read)]


def _media(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def _wanted(accept: bytes, read: bool) -> bool:
    """Is the answer wanted in Arrow? (RFC 9110 §12.5.1; what cannot be met is answered as if nothing had been asked.)"""
    weights = dict(_weighed(part) for part in accept.split(b",", _RANGES_MAX)[:_RANGES_MAX])
    others = weights.get(b"application/*", weights.get(b"*/*", 0.0))
    arrow, json = weights.get(ARROW, others), weights.get(_JSON, others)
    return read if arrow == json else arrow > json


def _weighed(part: bytes) -> tuple[bytes, float]:
    for parameter in part.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"q":
            try:
                return _media(part), float(value)
            except ValueError:
                return _media(part), 0.0
    return _media(part), 1.0
