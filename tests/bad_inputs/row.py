"""How is a bad request and its answer written down? One row of the table, the bodies, and what most rows have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from models.demo.simulator import Row
from service.http.examples import V1 as EXAMPLES

V1, V1_TUMOURS = "/v1/models/payments:predict", "/v1/models/tumours:predict"
V2, V2_TUMOURS = "/v2/models/payments/infer", "/v2/models/tumours/infer"
NATIVE, FEEDBACK = "/predict", "/v1/models/payments:feedback"
JSON_LENGTH = "Inference-Header-Content-Length"
PAYMENT: Row = EXAMPLES["payments"]["instances"][0]
TUMOUR: Sequence[float] = EXAMPLES["tumours"]["instances"][0]

_SHOWN_CHARS = 60

Headers = Mapping[str, str]


class Body(NamedTuple):
    """What is sent, and how the page shows it."""

    sent: bytes
    shown: str


@dataclass(frozen=True, slots=True)
class Bad:
    """One request and its answer; `details` are (at, problem)."""

    what: str
    path: str
    body: Body
    status: int
    code: str
    error: str = ""
    details: tuple[tuple[str, str], ...] = ()
    method: str = "POST"
    headers: Headers = field(default_factory=dict)


def text(sent: str | bytes, shown: str = "") -> Body:
    raw = sent.encode() if isinstance(sent, str) else sent
    return Body(raw, shown or raw.decode())


EMPTY = text(b"")


def payment(**changes: Any) -> Body:
    """A V1 body of one payment with these changes; `None` as `...` leaves a feature out."""
    row = {name: value for name, value in {**PAYMENT, **changes}.items() if value is not ...}
    shown = ", ".join(f'"{name}": {_json(value)}' for name, value in changes.items() if value is not ...)
    left_out = [f"no {name}" for name, value in changes.items() if value is ...]
    return Body(
        msgspec.json.encode({"instances": [row]}),
        f'{{"instances": [{{{", ".join([shown, *left_out]).strip(", ")}, …}}]}}',
    )


def columns(**changes: Any) -> Body:
    """A V1 body of one payment in columns."""
    given = {**{name: [value] for name, value in PAYMENT.items()}, **changes}
    inputs = {name: value for name, value in given.items() if value is not ...}
    shown = ", ".join(f'"{n}": {_json(v)}' if v is not ... else f"no {n}" for n, v in changes.items())
    return Body(msgspec.json.encode({"inputs": inputs}), f'{{"inputs": {{{shown}, …}}}}')


def tensor(more: Mapping[str, Any] | None = None, after: bytes = b"", **changes: Any) -> Body:
    """A V2 body of one tumour; `more` stands beside `inputs`, `after` is binary data."""
    usual = {"name": "measurements", "shape": [1, 30], "datatype": "FP32", "data": TUMOUR}
    given = {name: value for name, value in {**usual, **changes}.items() if value is not ...}
    shown = [f'"{n}": {_short(v)}' if v is not ... else f"no {n}" for n, v in changes.items()]
    beside = "".join(f', "{n}": {_json(v)}' for n, v in (more or {}).items())
    told = f'{{"inputs": [{{{", ".join([*shown, "…"])}}}]{beside}}}{f" and {len(after)} bytes" if after else ""}'
    return Body(msgspec.json.encode({"inputs": [given], **(more or {})}) + after, told)


def beside_json(body: Body, after: int) -> Headers:
    """The header that says where the JSON of this body ends."""
    return {JSON_LENGTH: str(len(body.sent) - after)}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _short(value: Any) -> str:
    """A long list by its first value."""
    if isinstance(value, list | tuple) and len(_json(value)) > _SHOWN_CHARS:
        return f"[{_short(value[0])}{', …' if len(value) > 1 else ''}]"
    return _json(value)


def malformed(what: str, path: str, body: Body, error: str, at: str = "", **given: Any) -> Bad:
    """`error`: `found …, expected …`; the sentence puts the place before it."""
    place = f"body at {at}" if at else "body"
    details = ((at, error),) if at else ()
    return Bad(what, path, body, 400, "malformed_body", f"{place}: {error}; nothing was done", details, **given)


def invalid(what: str, path: str, body: Body, at: str, problem: str, **given: Any) -> Bad:
    ref = "payments:1" if "payments" in path else "tumours:1"
    error = f"{at}: {problem}; {ref} predicted nothing"
    return Bad(what, path, body, 400, "invalid_input", error, ((at, problem),), **given)


def media(what: str, body: Body, found: str, expected: str, headers: Headers) -> Bad:
    error = f"content: found {found!r}, expected {expected}; nothing was read"
    return Bad(what, V1, body, 415, "unsupported_media", error, headers=headers)


GOOD = payment(amount=42.5)
