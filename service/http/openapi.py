"""What does the service port answer? The OpenAPI 3.1 document of every route.

Made from the tables of paths, operations and errors, so that it cannot say anything else than they do.

Laws
- Every route of `paths.templates` is in it once, with its path and method, and no other.
- Every error that a route can give is declared under the status that `errors.STATUS` has for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.lock import NAME
from service.errors import VersionEvicted, VersionLoading, VersionUnknown
from service.http.errors import STATUS
from service.http.needs import NEEDS, Need
from service.http.operations import (
    BINARY,
    EVERYWHERE,
    HTML,
    JSON,
    KEYED,
    LIMITED,
    OPERATIONS,
    TAGS,
    Body,
    Errors,
    Operation,
)
from service.http.paths import Target, templates

Document = dict[str, Any]

_ABOUT = """ONNX models pinned by digest, behind V1 and V2 predict routes.

Every answer carries `x-request-id`: yours, if it has 1 to 128 of the characters `A-Z a-z 0-9 . _ : / + = @ -`, else a new
one. Answers to predict routes also say which version answered (`x-model-version`) and why (`x-model-arm`). Every error has
one shape, also where there is no such route; `code` is for machines, `error` for people, `details` says where in the body
what was wrong. Query parameters are ignored."""

_TIMEOUT_MS_MAX = 999_999_999
_NAME = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_PARAMETERS: Mapping[str, Document] = {
    "model": {"name": "model", "in": "path", "required": True, "schema": _NAME},
    "version": {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "Asks this version; without it the routes decide.",
        "schema": _NAME,
    },
    "request_id": {
        "name": "x-request-id",
        "in": "header",
        "description": "Name of this request in its answer, in the log and in feedback.",
        "schema": {"type": "string"},
    },
    "timeout": {
        "name": "x-request-timeout-ms",
        "in": "header",
        "description": "How long the answer is of use; it may shorten the deadline that is set, not lengthen it.",
        "schema": {"type": "integer", "minimum": 1, "maximum": _TIMEOUT_MS_MAX},
    },
    "if_match": {
        "name": "If-Match",
        "in": "header",
        "description": "The generation from which the change is made; refused (409) where it is no longer the present one.",
        "schema": {"type": "string", "pattern": '^("[0-9]{1,18}"|\\*)$'},
    },
    "json_length": {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of JSON at the beginning of the body, where binary tensor data follows it.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_TEXT = {"type": "string"}
_HEADERS: Mapping[str, Document] = {
    "x-request-id": {"required": True, "description": "Name of this request.", "schema": _TEXT},
    "x-model-version": {"description": "The version that answered.", "schema": _TEXT},
    "x-model-arm": {
        "description": "Why it did.",
        "schema": {"type": "string", "enum": ["stable", "canary", "pinned"]},
    },
    "retry-after": {
        "required": True,
        "description": "Seconds until it is worth trying again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "etag": {"description": "The generation, in quotes; `If-Match` takes it.", "schema": _TEXT},
    "allow": {"required": True, "description": "Methods of this path.", "schema": _TEXT},
    "www-authenticate": {"required": True, "description": "The scheme wanted.", "schema": _TEXT},
    "content-encoding": {"description": "Of a packed answer.", "schema": {"enum": ["gzip", "deflate"]}},
    "vary": {"description": "Of a packed answer.", "schema": _TEXT},
    "inference-header-content-length": {
        "description": "Bytes of JSON before the binary tensor data.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "content-security-policy": {"required": True, "description": "Nothing but its own style.", "schema": _TEXT},
}


_ADMIN_TOKEN: Document = {"admin": {"type": "http", "scheme": "bearer", "description": "The admin token."}}
_KEYS: Document = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, or the admin token."},
    "key_header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
}


def document(release: str, schemas: Mapping[str, Any], *, keyed: bool = False) -> Document:
    """The whole document; `schemas` are those of the bodies, by name. `keyed`: the service asks for API keys."""
    paths: Document = {}
    for path, target in sorted(templates(), key=lambda route: route[0]):
        paths.setdefault(path, {})[target.method.lower()] = _operation(path, target, keyed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plumbline",
            "version": release,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": what} for name, what in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(schemas),
            "parameters": dict(_PARAMETERS),
            "headers": dict(_HEADERS),
            "securitySchemes": _KEYS if keyed else _ADMIN_TOKEN,
        },
    }


def errors_of(target: Target) -> Errors:
    """Every error that this route can answer with."""
    operation, need = OPERATIONS[target.verb], NEEDS[target.verb]
    found = [*EVERYWHERE, *operation.errors, *(KEYED if need is not Need.NOTHING else ())]
    found += LIMITED if need is Need.PREDICT else ()
    return found if target.version is None else [*found, VersionUnknown, VersionEvicted, VersionLoading]


def _operation(path: str, target: Target, keyed: bool) -> Document:
    operation = OPERATIONS[target.verb]
    described: Document = {
        "operationId": _identifier(target, path),
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _references("parameters", _parameters(target, operation)),
        "responses": {**_answers(operation), **_refusals(target, operation)},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = _request(operation.body)
    if keyed:
        described["security"] = [{name: []} for name in _KEYS] if NEEDS[target.verb] is not Need.NOTHING else []
    elif operation.secured:
        described["security"] = [{"admin": []}]
    return described


def _identifier(target: Target, path: str) -> str:
    """The verb; a version or a second path of the same verb makes it another."""
    if target.version is not None:
        return f"{target.verb}_version"
    return f"{target.verb}_alias" if path == "/healthz" else str(target.verb)


def _parameters(target: Target, operation: Operation) -> Iterable[str]:
    if target.model:
        yield "model"
    if target.version is not None:
        yield "version"
    yield "request_id"
    if operation.predicts:
        yield "timeout"
    if operation.generation and operation.body is not None:
        yield "if_match"
    if operation.body is not None and BINARY in operation.body.media:
        yield "json_length"


def _references(kind: str, names: Iterable[str]) -> list[Document]:
    return [{"$ref": f"#/components/{kind}/{name}"} for name in names]


def _request(body: Body) -> Document:
    schema = _either(body.schemas, many=False)
    if body.many:
        schema = {"oneOf": [schema, {"type": "array", "items": schema}]}
    examples = {name: {"value": value} for name, value in body.examples.items()}
    content: Document = {JSON: {"schema": schema, "examples": examples}}
    return {"required": True, "content": {**content, **{media: {} for media in body.media}}}


def _either(names: Sequence[str], *, many: bool) -> Document:
    references = _references("schemas", names)
    one = references[0] if len(references) == 1 else {"oneOf": references}
    return {"type": "array", "items": one} if many else one


def _answers(operation: Operation) -> Document:
    headers = ["x-request-id", "content-encoding", "vary"] if operation.ours else []
    if operation.predicts:
        headers += ["x-model-version", "x-model-arm"]
    if BINARY in operation.media:
        headers.append("inference-header-content-length")
    if HTML in operation.media:
        headers.append("content-security-policy")
    if operation.generation:
        headers.append("etag")
    content: Document = {media: {} for media in operation.media}
    if operation.schemas:
        content[JSON] = {"schema": _either(operation.schemas, many=operation.many)}
    answers = {str(operation.status): _response("Done.", headers, content)}
    for status, schema in operation.also.items():
        other = {JSON: {"schema": _either((schema,), many=False)}}
        answers[str(status)] = _response("Not now; the body says why.", headers, other)
    return answers


def _refusals(target: Target, operation: Operation) -> Document:
    by_status: dict[int, list[Any]] = {}
    for error in errors_of(target):
        by_status.setdefault(STATUS[error], []).append(error)
    return {str(status): _refusal(status, found, operation) for status, found in sorted(by_status.items())}


def _refusal(status: int, found: Sequence[Any], operation: Operation) -> Document:
    told = "\n".join(f"- `{error.code}`: {_sentence(error.__doc__)}" for error in found)
    headers = ["x-request-id"]
    if operation.predicts:
        headers += ["x-model-version", "x-model-arm"]
    if status not in operation.also and all(error.retry_after_s is not None for error in found):
        headers.append("retry-after")
    headers += {401: ["www-authenticate"], 405: ["allow"]}.get(status, [])
    codes = {"properties": {"code": {"enum": [error.code for error in found]}}}
    schema: Document = {"allOf": [*_references("schemas", ["Error"]), codes]}
    if status in operation.also:  # the route has an answer of its own for this status too
        schema = {"oneOf": [*_references("schemas", [operation.also[status]]), schema]}
    return _response(told, headers, {JSON: {"schema": schema}})


def _response(description: str, headers: Iterable[str], content: Document) -> Document:
    referred = dict(zip(headers, _references("headers", headers), strict=True))
    return {"description": description, "headers": referred, "content": content}


def _sentence(docstring: str | None) -> str:
    return (docstring or "").strip().splitlines()[0]
