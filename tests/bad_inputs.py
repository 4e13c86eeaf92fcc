"""What does the service answer to what is wrong? The table that a test sends and that docs/reference.md shows.

Every row is one request to a service with both demo models, SETTINGS and an admin token, and the whole answer: status, code,
sentence, details. A row with status 200 is there because one might think otherwise.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from models.demo.simulator import Row
from service.http.examples import V1 as EXAMPLES

TOKEN = "secret"  # of the service under test
BODY_BYTES_MAX, ROWS_MAX = 1 << 20, 100
SETTINGS = {"PLUMBLINE_MAX_BODY_BYTES": str(BODY_BYTES_MAX), "PLUMBLINE_MAX_ROWS": str(ROWS_MAX)}

V1, V1_TUMOURS = "/v1/models/payments:predict", "/v1/models/tumours:predict"
V2, V2_TUMOURS = "/v2/models/payments/infer", "/v2/models/tumours/infer"
NATIVE, FEEDBACK = "/predict", "/v1/models/payments:feedback"
JSON_LENGTH = "Inference-Header-Content-Length"
PAYMENT: Row = EXAMPLES["payments"]["instances"][0]
TUMOUR: Sequence[float] = EXAMPLES["tumours"]["instances"][0]

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
    shown = _json(value)
    return shown if len(shown) <= 60 else f"[{len(value)} values]"


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


_V1 = 'a JSON object {"instances": [...]}, or {"inputs": ...} in columns'
_V2 = 'a JSON object {"inputs": [{"name", "shape", "datatype", "data"}]}'
_NATIVE = 'a JSON object {"model": ..., "instances": [...]}'
_LABELS = '{"request_id", "row", "label", "observed_at"} or a list of them; observed_at in seconds since 1970'
_BINARY = "JSON of Inference-Header-Content-Length bytes, then the tensors' data"
_INT64 = "an integer from -9223372036854775808 to 9223372036854775807"
_TYPES = "FP16, FP32, FP64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, BOOL, BYTES"
_FEATURES = (
    "amount, customer_age, account_age_days, payments_last_24h, minutes_since_last, merchant_category, country, channel"
)
_COLUMNS = "an object of columns by the name of a feature or a tensor"
_MEDIA = "application/json, or application/octet-stream with Inference-Header-Content-Length"
_MILLISECONDS = "whole milliseconds, 1 to 999999999"
_TOO_LARGE = f"body: larger than {BODY_BYTES_MAX} bytes; split it"
_GOOD = payment(amount=42.5)

UNREADABLE = (
    malformed("no body", V1, EMPTY, f"found nothing, expected {_V1}"),
    malformed("JSON that ends too early", V1, text('{"instances": ['), f"ends too early, expected {_V1}"),
    malformed(
        "more after the JSON", V1, text('{"instances": []} x'), f"found more after its end, at byte 19, expected {_V1}"
    ),
    malformed(
        "not UTF-8",
        V1,
        text(b'{"instances": ["\xff"]}', '{"instances": ["0xff"]}'),
        f"found text that is not UTF-8, expected {_V1}",
    ),
    malformed(
        "`NaN`, `Infinity`",
        V1,
        text('{"instances": [{"amount": NaN}]}'),
        "found NaN at byte 26, which is not JSON, expected a number or null",
    ),
    malformed(
        "a number that no float holds",
        V1,
        text('{"instances": [{"amount": 1e999}]}'),
        "found a number out of range, expected one that 64 bits hold",
        "/instances/0",
    ),
    malformed(
        "nested 5 000 deep",
        V1,
        text('{"instances": ' + "[" * 5000 + "]" * 5000 + "}", '{"instances": [[[…]]]}'),
        f"nested too deeply, expected {_V1}",
    ),
    malformed("another JSON value", V1, text("[1]"), f"found a list, expected {_V1}"),
    malformed("neither rows nor columns", V1, text("{}"), f"found neither instances nor inputs, expected {_V1}"),
    malformed(
        "both rows and columns",
        V1,
        text('{"instances": [], "inputs": {}}'),
        f"found both instances and inputs, expected {_V1}",
    ),
    malformed("no list of rows", V1, text('{"instances": 5}'), "found an integer, expected a list", "/instances"),
    Bad(
        "a name twice: the last counts",
        V1,
        text('{"instances": [1], ' + _GOOD.sent.decode()[1:], '{"instances": [1], "instances": [{…}]}'),
        200,
        "",
    ),
)
ROWS = (
    invalid("no rows", V1, text('{"instances": []}'), "/instances", "no rows, expected at least one"),
    invalid("no row", V1, text('{"instances": [5]}'), "/instances/0", "found an integer, expected an object or a list"),
    invalid(
        "null for a row", V1, text('{"instances": [null]}'), "/instances/0", "found null, expected an object or a list"
    ),
    invalid(
        "a string for a number", V1, payment(amount="42"), "/instances/0/amount", "found a string, expected a number"
    ),
    invalid(
        "a boolean for a number", V1, payment(amount=True), "/instances/0/amount", "found a boolean, expected a number"
    ),
    invalid("a list for a number", V1, payment(amount=[1]), "/instances/0/amount", "found a list, expected a number"),
    invalid(
        "a number for a string", V1, payment(country=5), "/instances/0/country", "found an integer, expected a string"
    ),
    invalid(
        "a fraction for an integer",
        V1,
        payment(account_age_days=1.5),
        "/instances/0/account_age_days",
        "found a number, expected an integer",
    ),
    invalid(
        "an integer beyond 64 bits",
        V1,
        payment(account_age_days=1e19),
        "/instances/0/account_age_days",
        f"found an integer out of range, expected {_INT64}",
    ),
    invalid(
        "null where none may be",
        V1,
        payment(amount=None),
        "/instances/0/amount",
        "null, expected a number (not nullable)",
    ),
    invalid("a feature missing", V1, payment(amount=...), "/instances/0/amount", "missing, expected a number"),
    invalid(
        "a feature unknown",
        V1,
        payment(colour="red"),
        "/instances/0/colour",
        f"unknown feature, expected {_FEATURES}",
    ),
    invalid(
        "too few values",
        V1,
        text('{"instances": [[1, 2]]}'),
        "/instances/0",
        "2 values, expected 8 in the contract's order",
    ),
    invalid(
        "rows of different lengths",
        V1_TUMOURS,
        Body(msgspec.json.encode({"instances": [TUMOUR, TUMOUR[:29]]}), '{"instances": [[30 values], [29 values]]}'),
        "/instances/1",
        "29 values, expected 30 in the contract's order",
    ),
    Bad(
        "several things wrong",
        V1,
        payment(amount=None, country=1),
        400,
        "invalid_input",
        "/instances/0/amount: null, expected a number (not nullable) (and 1 more); payments:1 predicted nothing",
        (
            ("/instances/0/amount", "null, expected a number (not nullable)"),
            ("/instances/0/country", "found an integer, expected a string"),
        ),
    ),
    invalid("no columns", V1, text('{"inputs": 5}'), "/inputs", f"found an integer, expected {_COLUMNS}"),
    invalid("a column missing", V1, columns(amount=...), "/inputs/amount", "missing, expected a number"),
    invalid("no column", V1, columns(amount=1), "/inputs/amount", "found an integer, expected a list of values"),
    invalid(
        "columns of different lengths",
        V1,
        columns(amount=[1, 2]),
        "/inputs",
        "ragged: [1, 2] rows, expected one number",
    ),
    Bad(
        "more rows than `max_rows`",
        V1_TUMOURS,
        Body(msgspec.json.encode({"instances": [TUMOUR] * (ROWS_MAX + 1)}), f"{ROWS_MAX + 1} rows"),
        413,
        "too_many_rows",
        f"request: {ROWS_MAX + 1} rows, expected at most {ROWS_MAX}; split it",
    ),
)
_SIZED: Mapping[str, Any] = {"data": ..., "parameters": {"binary_data_size": 120}}
_WHOLE, _SHORT = tensor(after=bytes(120), **_SIZED), tensor(after=bytes(100), **_SIZED)
_OTHER = tensor(after=bytes(100), data=..., parameters={"binary_data_size": 100})
_NEGATIVE = tensor(data=..., parameters={"binary_data_size": -1})
_BOTH = tensor(parameters={"binary_data_size": 0})
_AMONG = f"expected the bytes of JSON among the {len(_WHOLE.sent)} of the body"
_NOT_SERVED = "not an extension of this server"
TENSORS = (
    malformed("JSON that ends too early", V2, text("{"), f"ends too early, expected {_V2}"),
    malformed("no inputs", V2, text("{}"), f"found no `inputs`, expected {_V2}"),
    malformed("no name", V2_TUMOURS, tensor(name=...), f"found no `name`, expected {_V2}", "/inputs/0"),
    malformed(
        "a shape of strings",
        V2_TUMOURS,
        tensor(shape=["1"]),
        "found a string, expected an integer",
        "/inputs/0/shape/0",
    ),
    invalid(
        "a datatype that is none",
        V2_TUMOURS,
        tensor(datatype="FLOAT"),
        "/inputs/0/datatype",
        f"found 'FLOAT', expected one of {_TYPES}",
    ),
    invalid(
        "another datatype",
        V2_TUMOURS,
        tensor(datatype="BYTES", data=["a"] * 30),
        "/inputs/0/datatype",
        "found BYTES, expected FP32",
    ),
    invalid(
        "values of another type",
        V2_TUMOURS,
        tensor(data=["a", *TUMOUR[1:]]),
        "/inputs/0/data/0",
        "found a string, expected a number",
    ),
    invalid(
        "null where none may be",
        V2_TUMOURS,
        tensor(data=[None, *TUMOUR[1:]]),
        "/inputs/0/data/0",
        "null, expected a number (not nullable)",
    ),
    invalid(
        "fewer values than the shape says",
        V2_TUMOURS,
        tensor(shape=[2, 30]),
        "/inputs/0/data",
        "30 values, expected 60 for shape [2, 30]",
    ),
    invalid(
        "a size below 1",
        V2_TUMOURS,
        tensor(shape=[-1, 30]),
        "/inputs/0/shape",
        "found [-1, 30], expected the batch first and every size at least 1",
    ),
    invalid("another shape", V2_TUMOURS, tensor(shape=[30]), "/inputs/0/shape", "found [30], expected [n, 30]"),
    invalid(
        "a shape beyond all memory",
        V2_TUMOURS,
        tensor(shape=[2**40, 2**40]),
        "/inputs/0/data",
        f"30 values, expected {2**80} for shape [{2**40}, {2**40}]",
    ),
    invalid(
        "nested otherwise than the shape says",
        V2_TUMOURS,
        tensor(data=[TUMOUR[:29]]),
        "/inputs/0/data",
        "nested otherwise than shape [1, 30] says, or ragged",
    ),
    invalid(
        "an output that is none",
        V2_TUMOURS,
        tensor({"outputs": [{"name": "score"}]}),
        "/outputs/0/name",
        "found 'score', expected each of ['label', 'probabilities'] at most once",
    ),
    invalid(
        "no data",
        V2_TUMOURS,
        tensor(data=...),
        "/inputs/0/data",
        "found neither, expected data or parameters.binary_data_size",
    ),
    invalid(
        "data twice", V2_TUMOURS, _BOTH, "/inputs/0/data", "found both, expected data or parameters.binary_data_size"
    ),
    invalid(
        "shared memory",
        V2_TUMOURS,
        tensor(parameters={"shared_memory_region": "a"}),
        "/inputs/0/parameters/shared_memory_region",
        _NOT_SERVED,
    ),
    invalid(
        "a flag that is none",
        V2_TUMOURS,
        tensor({"parameters": {"binary_data_output": "yes"}}),
        "/parameters/binary_data_output",
        "found a string, expected true or false",
    ),
    Bad(
        "a length of the JSON that is none",
        V2_TUMOURS,
        _WHOLE,
        400,
        "malformed_body",
        f"header inference-header-content-length: found 'ten', {_AMONG}; nothing was done",
        headers={JSON_LENGTH: "ten"},
    ),
    Bad(
        "a length of the JSON beyond the body",
        V2_TUMOURS,
        _WHOLE,
        400,
        "malformed_body",
        f"header inference-header-content-length: found '9999', {_AMONG}; nothing was done",
        headers={JSON_LENGTH: "9999"},
    ),
    malformed(
        "binary data without the header",
        V2_TUMOURS,
        _WHOLE,
        f"found more after its end, at byte {len(_WHOLE.sent) - 120 + 1}, expected {_V2}",
    ),
    malformed(
        "less binary data than told",
        V2_TUMOURS,
        _SHORT,
        f"found 100 bytes after the JSON, 120 by its binary_data_size, expected {_BINARY}",
        headers=beside_json(_SHORT, 100),
    ),
    invalid(
        "binary data of another size",
        V2_TUMOURS,
        _OTHER,
        "/inputs/0/data",
        "100 bytes, expected 120 for FP32 of shape [1, 30]",
        headers=beside_json(_OTHER, 100),
    ),
    invalid(
        "a size that is none",
        V2_TUMOURS,
        _NEGATIVE,
        "/inputs/0/parameters/binary_data_size",
        "found -1, expected a number of bytes, 0 or more",
        headers=beside_json(_NEGATIVE, 0),
    ),
)
HEADERS = (
    Bad(
        "a deadline of 0",
        V1,
        _GOOD,
        400,
        "malformed_body",
        f"header x-request-timeout-ms: found '0', expected {_MILLISECONDS}; nothing was done",
        headers={"x-request-timeout-ms": "0"},
    ),
    Bad(
        "a deadline that is none",
        V1,
        _GOOD,
        400,
        "malformed_body",
        f"header x-request-timeout-ms: found 'soon', expected {_MILLISECONDS}; nothing was done",
        headers={"x-request-timeout-ms": "soon"},
    ),
    media("another media type", text("amount\n1", "amount⏎1"), "text/csv", _MEDIA, {"content-type": "text/csv"}),
    Bad("another media type, but JSON", V1, _GOOD, 200, "", headers={"content-type": "text/plain"}),
    media("another coding", text("x"), "br", "gzip, deflate or none", {"content-encoding": "br"}),
    media("no gzip", text("{}"), "damaged gzip", "a whole compressed body", {"content-encoding": "gzip"}),
    media(
        "half a gzip",
        text(gzip.compress(_GOOD.sent)[:-4], "without its last 4 bytes"),
        "truncated gzip",
        "one whole compressed body",
        {"content-encoding": "gzip"},
    ),
    media(
        "two gzips",
        text(gzip.compress(b"a") + gzip.compress(b"b"), "one after the other"),
        "bytes after the end of gzip",
        "one whole compressed body",
        {"content-encoding": "gzip"},
    ),
    Bad(
        "a gzip that unpacks to more than `max_body_bytes`",
        V1,
        text(gzip.compress(bytes(BODY_BYTES_MAX + 1)), f"{BODY_BYTES_MAX + 1} zeros"),
        413,
        "body_too_large",
        _TOO_LARGE,
        headers={"content-encoding": "gzip"},
    ),
    Bad(
        "more than `max_body_bytes`",
        V1,
        text(b" " * (BODY_BYTES_MAX + 1), f"{BODY_BYTES_MAX + 1} bytes"),
        413,
        "body_too_large",
        _TOO_LARGE,
    ),
    Bad("a request id that is none: another is given", V1, _GOOD, 200, "", headers={"x-request-id": "x" * 129}),
)
_NO_MODEL = "model 'nothing': not served here; GET /v2/repository/index lists what is"
_NO_VERSION = "version '9' of 'payments': not served here, expected one of 1, 2"
_NO_TOKEN = "authorization: expected 'Bearer <admin token>'; nothing was changed"  # a sentence
ROUTES = (
    Bad("a model unknown", "/v1/models/nothing:predict", _GOOD, 404, "model_unknown", _NO_MODEL),
    Bad("a model unknown", "/v2/models/nothing/infer", EMPTY, 404, "model_unknown", _NO_MODEL),
    Bad("a model unknown", "/v2/models/nothing", EMPTY, 404, "model_unknown", _NO_MODEL, method="GET"),
    Bad("a model unknown", NATIVE, text('{"model": "nothing"}'), 404, "model_unknown", _NO_MODEL),
    Bad("a version unknown", "/v1/models/payments/versions/9:predict", _GOOD, 404, "version_unknown", _NO_VERSION),
    Bad(
        "a version unknown",
        "/v2/models/payments/versions/9/config",
        EMPTY,
        404,
        "version_unknown",
        _NO_VERSION,
        method="GET",
    ),
    Bad(
        "a version that can be none",
        "/v1/models/payments/versions/UP:predict",
        _GOOD,
        404,
        "route_unknown",
        "path '/v1/models/payments/versions/UP:predict': no such route; GET /docs lists them",
    ),
    Bad(
        "a path that is none",
        "/v3/models",
        EMPTY,
        404,
        "route_unknown",
        "path '/v3/models': no such route; GET /docs lists them",
        method="GET",
    ),
    Bad(
        "a path that is none",
        "/nothing",
        text("x"),
        404,
        "route_unknown",
        "path '/nothing': no such route; GET /docs lists them",
    ),
    Bad("another method", V1, EMPTY, 405, "method_unsupported", "method GET: expected POST", method="GET"),
    Bad("another method", "/readyz", EMPTY, 405, "method_unsupported", "method POST: expected GET"),
    Bad("another method", "/docs", EMPTY, 405, "method_unsupported", "method DELETE: expected GET", method="DELETE"),
    Bad("another method", "/schema.json", EMPTY, 405, "method_unsupported", "method POST: expected GET"),
    Bad("no token", "/admin/routes", EMPTY, 401, "not_authorised", _NO_TOKEN, method="GET"),
    Bad(
        "another token",
        "/admin/versions",
        EMPTY,
        401,
        "not_authorised",
        _NO_TOKEN,
        method="GET",
        headers={"authorization": "Bearer guess"},
    ),
)
OTHERS = (
    malformed("no model", NATIVE, text('{"instances": []}'), f"found no `model`, expected {_NATIVE}"),
    malformed("no name", NATIVE, text('{"model": 5}'), "found an integer, expected a string", "/model"),
    malformed("JSON that ends too early", FEEDBACK, text("{"), f"ends too early, expected {_LABELS}"),
    malformed("no request", FEEDBACK, text('{"label": 1}'), f"found no `request_id`, expected {_LABELS}"),
    malformed(
        "a label missing in a list",
        FEEDBACK,
        text('[{"request_id": "a", "label": 1}, {"request_id": "b"}]'),
        f"found no `label`, expected {_LABELS}",
        "/1",
    ),
    malformed(
        "a field unknown",
        FEEDBACK,
        text('{"request_id": "a", "label": 1, "at": 2}'),
        f"found the unknown field `at`, expected {_LABELS}",
    ),
    malformed(
        "a row below 0",
        FEEDBACK,
        text('{"request_id": "a", "label": 1, "row": -1}'),
        "found one outside its bounds, expected an integer >= 0",
        "/row",
    ),
    malformed(
        "a time that is none",
        FEEDBACK,
        text('{"request_id": "a", "label": 1, "observed_at": "now"}'),
        "found a string, expected a number or null",
        "/observed_at",
    ),
    Bad("a model unknown", "/v1/models/nothing:feedback", text("{}"), 404, "model_unknown", _NO_MODEL),
)
TABLES: Mapping[str, Sequence[Bad]] = {
    "Bodies that cannot be read": UNREADABLE,
    "Rows, by V1": ROWS,
    "Tensors, by V2": TENSORS,
    "Headers, codings, sizes": HEADERS,
    "Routes": ROUTES,
    "BentoML's route, feedback": OTHERS,
}
WITHOUT_TOKEN = Bad(
    "admin, where no token is set",
    "/admin/routes",
    EMPTY,
    403,
    "admin_disabled",
    "admin API: disabled, set PLUMBLINE_ADMIN_TOKEN to enable it; nothing was changed",
    method="GET",
)
