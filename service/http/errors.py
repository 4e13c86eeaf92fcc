"""From error to answer: the one table of status codes, and the one shape of every error body."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service import errors, keys_errors, routes_errors
from service.http import connection_errors
from service.http.answer import JSON, Answer, Headers

STATUS: Mapping[type[errors.RequestError], int] = {
    errors.MalformedBody: 400,
    errors.InvalidInput: 400,
    routes_errors.RoutesRefused: 400,
    errors.NotAuthorised: 401,
    keys_errors.KeyMissing: 401,
    keys_errors.KeyRefused: 401,
    errors.AdminDisabled: 403,
    keys_errors.ScopeMissing: 403,
    errors.ModelUnknown: 404,
    errors.VersionUnknown: 404,
    errors.RouteUnknown: 404,
    errors.MethodUnsupported: 405,
    connection_errors.RequestMalformed: 400,
    connection_errors.RequestLate: 408,
    routes_errors.RoutesConflict: 409,
    errors.BodyTooLarge: 413,
    errors.TooManyRows: 413,
    errors.TooManyValues: 413,
    connection_errors.UrlTooLong: 414,
    errors.UnsupportedEncoding: 415,
    keys_errors.RateLimited: 429,
    connection_errors.HeadTooLarge: 431,
    errors.ClientGone: 499,
    errors.Internal: 500,
    errors.RuntimeFailed: 500,
    errors.Overloaded: 503,
    errors.Draining: 503,
    errors.CutOff: 503,
    connection_errors.TooManyConnections: 503,
    connection_errors.TooManyUnfinishedBytes: 503,
    errors.ModelNotReady: 503,
    errors.VersionEjected: 503,
    errors.VersionEvicted: 503,
    errors.VersionLoading: 503,
    errors.LogUnavailable: 503,
    keys_errors.KeysUnavailable: 503,
    routes_errors.VersionsNotLoaded: 503,
    routes_errors.RoutesUnavailable: 503,
    errors.DeadlineExceeded: 504,
}

_UNREAD = (
    errors.BodyTooLarge,
    connection_errors.HeadTooLarge,
    connection_errors.RequestLate,
    connection_errors.RequestMalformed,
    connection_errors.TooManyConnections,
    connection_errors.TooManyUnfinishedBytes,
    connection_errors.UrlTooLong,
)


def status_of(error: errors.RequestError) -> int:
    """The status of this error's answer."""
    return STATUS[type(error)]


def error_answer(error: errors.RequestError, request_id: str, headers: Headers = ()) -> Answer:
    """The body that every route gives for an error."""
    body: dict[str, Any] = {
        "error": str(error),
        "code": error.code,
        "request_id": request_id,
        "details": _details(error.details),
    }
    retry = [(b"retry-after", str(error.retry_after_s).encode())] if error.retry_after_s is not None else []
    return Answer(status_of(error), msgspec.json.encode(body), [*headers, *retry, *_told(error)], JSON)


def _told(error: errors.RequestError) -> Headers:
    """What HTTP itself wants beside an error."""
    if isinstance(error, _UNREAD):
        return [(b"connection", b"close")]  # the rest of it is not read
    match error:
        case errors.MethodUnsupported():
            return [(b"allow", error.expected.replace("GET", "GET, HEAD").encode())]
        case errors.NotAuthorised() | keys_errors.KeyMissing() | keys_errors.KeyRefused():
            return [(b"www-authenticate", b'Bearer realm="plumbline"')]
    return []


def _details(faults: Sequence[errors.Fault]) -> list[dict[str, str]]:
    return [{"at": fault.at, "problem": fault.problem} for fault in faults]
