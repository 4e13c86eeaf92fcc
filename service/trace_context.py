"""In whose trace does a request stand, and is it followed? (W3C Trace Context, https://www.w3.org/TR/trace-context/)

Laws
- A `traceparent` that is not valid, or comes twice, is as good as none: a request never fails for it.
- A `tracestate` that is not valid, too, is as good as none: nothing that goes on from here is a client's text of another form.
- Where the caller has decided, its decision holds; where nobody has, `trace_sample` of the requests are followed.
- The same request is decided on in the same way, and has the same ids, however often it is asked.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
TRACESTATE_BYTES_MAX = 512  # what the specification asks us to keep; a longer one is not kept at all
TRACESTATE_MEMBERS_MAX = 32
SAMPLED = 0x01
KEY_BYTES = 16
_LOTS = 1 << 64  # OpenTelemetry's ratio too is held against the last 64 bits of the trace's id
_FIELDS = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)

_KEY = rb"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rb"(%b)=%b" % (_KEY, _VALUE))

Headers = Sequence[tuple[bytes, bytes]]


class Parent(NamedTuple):
    """What the caller says: its trace, its own span, and whether it is followed."""

    trace_id: int
    span_id: int
    sampled: bool


class Trace(NamedTuple):
    """A request that is followed; `parent_id` 0: nobody has called it, `state` is the caller's, for who reads the trace."""

    trace_id: int
    span_id: int
    parent_id: int = 0
    state: str = ""


def parent_of(headers: Headers) -> Parent | None:
    """What these headers, with names in lower case, say; None where they say nothing, or nothing valid."""
    found = [value for name, value in headers if name == TRACEPARENT]
    return parsed(found[0]) if len(found) == 1 else None


def parsed(value: bytes) -> Parent | None:
    """A `traceparent`. Of versions to come it reads what the present one has, as the specification asks."""
    fields = _FIELDS.fullmatch(value)
    if fields is None:
        return None
    version, trace_id, span_id, flags, more = fields.groups()
    if version == b"00" and more is not None:
        return None
    return Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & SAMPLED))


def said(headers: Headers) -> dict[str, str]:
    """For a line of the log: the id of the trace in which the caller has put the request."""
    parent = parent_of(headers)
    return {} if parent is None else {"trace_id": f"{parent.trace_id:032x}"}


class Following:
    """Which requests are followed, and under which ids: one a worker, whose `key` nobody else has."""

    def __init__(self, share: float, key: bytes) -> None:
        self._below, self._key = round(share * _LOTS), key

    def trace_of(self, headers: Headers, request_id: str, arrived_ns: int) -> Trace | None:
        """None: it is not followed. What makes one request of a worker another one are its id and its arrival together."""
        parent = parent_of(headers)
        if parent is not None and not parent.sampled:
            return None
        drawn = blake2b(b"%d %b" % (arrived_ns, request_id.encode()), digest_size=24, key=self._key).digest()
        own_id = int.from_bytes(drawn[16:], "big") or 1
        if parent is not None:
            return Trace(parent.trace_id, own_id, parent.span_id, _state(headers))
        trace_id = int.from_bytes(drawn[:16], "big") or 1
        return Trace(trace_id, own_id) if trace_id % _LOTS < self._below else None


def _state(headers: Headers) -> str:
    """Of several the parts are one list, of which empty members are no part; "" where it is not valid."""
    whole = b",".join(value for name, value in headers if name == TRACESTATE)
    if len(whole) > TRACESTATE_BYTES_MAX:
        return ""
    members = [member for part in whole.split(b",") if (member := part.strip(b" \t"))]
    keys = {found[1] for member in members if (found := _MEMBER.fullmatch(member))}
    if len(keys) != len(members) or len(members) > TRACESTATE_MEMBERS_MAX:
        return ""
    return b",".join(members).decode("ascii")
