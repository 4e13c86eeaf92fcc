"""What does each route take, answer and refuse? A table by verb.

`paths.py` knows their paths, `openapi.py` makes the document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service import errors, keys_errors, routes_errors
from service.errors import RequestError
from service.http import connection_errors, examples
from service.http.examples import Examples
from service.http.paths import Verb
from service.routes_audit import HISTORY_MAX

JSON, BINARY, TEXT, HTML = "application/json", "application/octet-stream", "text/plain", "text/html"
ARROW = "application/vnd.apache.arrow.stream"

Errors = Sequence[type[RequestError]]

EVERYWHERE: Errors = (
    errors.RouteUnknown,
    errors.MethodUnsupported,
    connection_errors.RequestMalformed,
    connection_errors.RequestLate,
    connection_errors.UrlTooLong,
    connection_errors.HeadTooLarge,
    connection_errors.TooManyConnections,
    errors.Internal,
)
_BODY: Errors = (
    errors.MalformedBody,
    errors.BodyTooLarge,
    connection_errors.TooManyUnfinishedBytes,
    errors.UnsupportedEncoding,
)
KEYED: Errors = (
    keys_errors.KeyMissing,
    keys_errors.KeyRefused,
    keys_errors.ScopeMissing,
    keys_errors.KeysUnavailable,
)
LIMITED: Errors = (keys_errors.RateLimited,)
_MODEL: Errors = (errors.ModelUnknown, errors.ModelNotReady, errors.VersionEjected)
_READY: Errors = (errors.Draining,)
_ADMIN: Errors = (errors.NotAuthorised, errors.AdminDisabled)
_CHANGE: Errors = (
    *_ADMIN,
    *_BODY,
    routes_errors.RoutesRefused,
    routes_errors.RoutesConflict,
    routes_errors.VersionsNotLoaded,
    routes_errors.RoutesUnavailable,
)
_CHANGED = (
    "`dry_run` only says what would change: shares, and the keys that move, in per cent. A share rises when all workers have "
    "loaded its version; `wait_s` is how long that is waited for. `by` and `why` go into the audit log. The answer says which "
    "workers use the new generation by then."
)
_PREDICT: Errors = (
    *_BODY,
    *_MODEL,
    errors.InvalidInput,
    errors.TooManyRows,
    errors.TooManyValues,
    errors.Overloaded,
    errors.CutOff,
    errors.DeadlineExceeded,
    errors.LogUnavailable,
    errors.RuntimeFailed,
)
UNSEEN: Errors = (errors.ClientGone,)  # in the log alone: nobody is there to read the answer


@dataclass(frozen=True, slots=True)
class Body:
    """A request body: its JSON is one of `schemas`."""

    schemas: tuple[str, ...]
    examples: Examples
    many: bool = False  # also a list of them
    media: tuple[str, ...] = ()  # beside JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb. `schemas`: of the answer, by status; where there are none, `media` alone says what it is."""

    tag: str
    summary: str
    schemas: tuple[str, ...] = ()
    description: str = ""
    status: int = 200
    media: tuple[str, ...] = (JSON,)
    many: bool = False
    also: Mapping[int, str] = field(default_factory=dict)
    body: Body | None = None
    errors: Errors = ()
    predicts: bool = False
    secured: bool = False
    generation: bool = False  # of the routes: told by `ETag`, and a change may ask for it
    ours: bool = True  # False: BentoML's app answers, without our headers


TAGS: Mapping[str, str] = {
    "predict": "Rows or tensors in, predictions out; every request becomes one record of the feature log.",
    "models": "What is served, and how it is doing.",
    "operation": "For load balancers, Prometheus and the curious.",
    "admin": "With the admin token, or a key of the scope `admin`.",
}
_CONTENT = (
    "Bodies may come in gzip or deflate (`Content-Encoding`); long answers go out so where `Accept-Encoding` names it."
)
_ARROW = "An Arrow IPC stream of a column a feature is answered by one of a column an output, unless `Accept` says otherwise."

OPERATIONS: Mapping[Verb, Operation] = {
    Verb.V1_PREDICT: Operation(
        "predict",
        "Predict, as TF Serving and KServe V1",
        ("Predictions", "Outputs"),
        f"Rows by `instances`, answered by `predictions`; columns by `inputs`, answered by `outputs`. {_ARROW} {_CONTENT}",
        media=(JSON, ARROW),
        body=Body(("V1Rows", "V1Columns"), examples.V1, media=(ARROW,)),
        errors=_PREDICT,
        predicts=True,
    ),
    Verb.V2_INFER: Operation(
        "predict",
        "Infer, as the Open Inference Protocol V2",
        ("InferAnswer",),
        "Inputs are named as the graph names its tensors, or as the contract names its features (one tensor each). With binary "
        "tensor data, either way, the JSON has `Inference-Header-Content-Length` bytes and the data of every tensor that "
        f"has `binary_data_size` follows in order. {_ARROW} {_CONTENT}",
        media=(JSON, BINARY, ARROW),
        body=Body(("InferRequest",), examples.V2, media=(BINARY, ARROW)),
        errors=_PREDICT,
        predicts=True,
    ),
    Verb.NATIVE_PREDICT: Operation(
        "predict",
        "Predict, as BentoML's own client calls it",
        ("Predictions", "Outputs"),
        _CONTENT,
        body=Body(("NativeRows",), examples.NATIVE),
        errors=_PREDICT,
        predicts=True,
    ),
    Verb.FEEDBACK: Operation(
        "predict",
        "Labels that become known later",
        ("Accepted",),
        "Of requests to this model, named by the `x-request-id` of their answers.",
        status=202,
        body=Body(("Label",), examples.FEEDBACK, many=True),
        errors=(*_BODY, *_MODEL, errors.TooManyRows, errors.LogUnavailable),
    ),
    Verb.V1_STATUS: Operation("models", "Versions that are served, as TF Serving", ("ModelStatus",), errors=_MODEL),
    Verb.V2_SERVER: Operation("models", "Name, version and extensions of the server", ("ServerMetadata",)),
    Verb.V2_MODEL: Operation("models", "Tensors and features of a model", ("ModelMetadata",), errors=_MODEL),
    Verb.V2_MODEL_READY: Operation("models", "Is the model ready?", ("ModelReady",), errors=(*_MODEL, *_READY)),
    Verb.V2_CONFIG: Operation(
        "models", "A model in the words of Triton's configuration", ("ModelConfig",), errors=_MODEL
    ),
    Verb.V2_STATS: Operation(
        "models", "Requests, rows, queue and compute of each version", ("ModelStats",), errors=_MODEL
    ),
    Verb.V2_INDEX: Operation("models", "Every pinned version", ("IndexEntry",), many=True, errors=_BODY),
    Verb.LIVEZ: Operation("operation", "Does the process answer?", ("Live",)),
    Verb.V2_LIVE: Operation("operation", "Does the process answer?", ("Live",)),
    Verb.READYZ: Operation("operation", "Is there a model to answer?", ("Ready",), also={503: "Ready"}, errors=_READY),
    Verb.V2_READY: Operation(
        "operation", "Is there a model to answer?", ("Ready",), also={503: "Ready"}, errors=_READY
    ),
    Verb.METRICS: Operation("operation", "Metrics of all workers, for Prometheus", media=(TEXT,)),
    Verb.OPENAPI: Operation("operation", "This document"),
    Verb.DOCS: Operation("operation", "This document as a page", media=(HTML,)),
    Verb.ROOT: Operation(
        "operation",
        "Does the process answer? As KServe's V1 asks; a browser gets the page of /docs",
        ("Alive",),
        media=(JSON, HTML),
    ),
    Verb.NATIVE_SCHEMA: Operation("operation", "The API in BentoML's words, for its own client", ours=False),
    Verb.ADMIN_ROUTES: Operation(
        "admin",
        "The routes document",
        ("AdminRoutes",),
        errors=(*_ADMIN, routes_errors.RoutesUnavailable),
        secured=True,
        generation=True,
    ),
    Verb.ADMIN_ROUTES_REPLACE: Operation(
        "admin",
        "Replace the routes document",
        ("RoutesPlan",),
        f"Takes what `GET` answers. A model that is to go must stand in `remove`. {_CHANGED}",
        body=Body(("ReplaceRoutes",), examples.ROUTES),
        errors=_CHANGE,
        secured=True,
        generation=True,
    ),
    Verb.ADMIN_ROUTES_CHANGE: Operation(
        "admin",
        "Change the routes of one model",
        ("RoutesPlan",),
        "`set` replaces what is named, `canary` gives a version a share, `promote` makes the canary stable, `abort` takes it "
        "out, `rollback` takes it out or, where there is none, goes back to the version that was stable before (or to `to`). "
        f"`abort` and `rollback` wait for nothing. {_CHANGED}",
        body=Body(("SetRoutes", "SetCanary", "Promote", "Abort", "Rollback"), examples.CHANGES),
        errors=_CHANGE,
        secured=True,
        generation=True,
    ),
    Verb.ADMIN_ROUTES_HISTORY: Operation(
        "admin",
        "Who changed the routes of one model, newest last",
        ("RoutesHistory",),
        f"The newest {HISTORY_MAX} entries of the audit log that changed it. `via` says which way a change came; `by` and "
        "`why` are what its author said.",
        errors=(*_ADMIN, routes_errors.RoutesUnavailable),
        secured=True,
    ),
    Verb.ADMIN_VERSIONS: Operation(
        "admin", "Loaded versions, and what each worker uses", ("AdminVersions",), errors=_ADMIN, secured=True
    ),
}
