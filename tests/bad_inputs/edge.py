"""What is wrong around a body: headers, codings, sizes, paths, methods, tokens; and with the small routes' bodies."""

import gzip

from tests.bad_inputs.limits import BODY_BYTES_MAX
from tests.bad_inputs.row import EMPTY, FEEDBACK, GOOD, NATIVE, V1, Bad, malformed, media, text

_NATIVE = 'a JSON object {"model": ..., "instances": [...]}'
_LABELS = '{"request_id", "row", "label", "observed_at"} or a list of them; observed_at in seconds since 1970'
_MEDIA = (
    "application/json, application/octet-stream with Inference-Header-Content-Length, "
    "or application/vnd.apache.arrow.stream"
)
_MILLISECONDS = "whole milliseconds, 1 to 999999999"
_TOO_LARGE = f"body: larger than {BODY_BYTES_MAX} bytes; split it"
HEADERS = (
    Bad(
        "a deadline of 0",
        V1,
        GOOD,
        400,
        "malformed_body",
        f"header x-request-timeout-ms: found '0', expected {_MILLISECONDS}; nothing was done",
        headers={"x-request-timeout-ms": "0"},
    ),
    Bad(
        "a deadline that is none",
        V1,
        GOOD,
        400,
        "malformed_body",
        f"header x-request-timeout-ms: found 'soon', expected {_MILLISECONDS}; nothing was done",
        headers={"x-request-timeout-ms": "soon"},
    ),
    media("another media type", text("amount\n1", "amount⏎1"), "text/csv", _MEDIA, {"content-type": "text/csv"}),
    Bad("another media type, but JSON", V1, GOOD, 200, "", headers={"content-type": "text/plain"}),
    media("another coding", text("x"), "br", "gzip, deflate or none", {"content-encoding": "br"}),
    media("no gzip", text("{}"), "damaged gzip", "a whole compressed body", {"content-encoding": "gzip"}),
    media(
        "half a gzip",
        text(gzip.compress(GOOD.sent)[:-4], "without its last 4 bytes"),
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
    Bad("a request id that is none: another is given", V1, GOOD, 200, "", headers={"x-request-id": "x" * 129}),
)
_NO_MODEL = "model 'nothing': not served here; GET /v2/repository/index lists what is"
_NO_VERSION = "version '9' of 'payments': not served here, expected one of 1, 2"
_NO_TOKEN = "authorization: expected 'Bearer <admin token>'; nothing was changed"  # a sentence
ROUTES = (
    Bad("a model unknown", "/v1/models/nothing:predict", GOOD, 404, "model_unknown", _NO_MODEL),
    Bad("a model unknown", "/v2/models/nothing/infer", EMPTY, 404, "model_unknown", _NO_MODEL),
    Bad("a model unknown", "/v2/models/nothing", EMPTY, 404, "model_unknown", _NO_MODEL, method="GET"),
    Bad("a model unknown", NATIVE, text('{"model": "nothing"}'), 404, "model_unknown", _NO_MODEL),
    Bad("a version unknown", "/v1/models/payments/versions/9:predict", GOOD, 404, "version_unknown", _NO_VERSION),
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
        GOOD,
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
WITHOUT_TOKEN = Bad(
    "admin, where no token is set",
    "/admin/routes",
    EMPTY,
    403,
    "admin_disabled",
    "admin API: disabled, set PLUMBLINE_ADMIN_TOKEN to enable it; nothing was changed",
    method="GET",
)
