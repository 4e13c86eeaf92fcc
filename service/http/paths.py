"""What a path asks for; a pure table, so that unknown paths cost nothing and never become metric labels.

Decides on the ASGI `path` alone (CVE-2026-48710: never on a URL put together from headers).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from models.lock import NAME

PATHS_REMEMBERED = 4096  # parsed paths; models × versions × verbs in real use, a bound against scans
PATH_CHARS_MAX = 256  # the longest real one has 160; longer ones would fill what is remembered with megabytes


class Verb(StrEnum):
    """Everything that can be asked of the data plane; also the `route` label of the metrics."""

    V1_PREDICT = "v1_predict"
    V1_STATUS = "v1_status"
    FEEDBACK = "feedback"
    V2_INFER = "v2_infer"
    V2_SERVER = "v2_server"
    V2_LIVE = "v2_live"
    V2_READY = "v2_ready"
    V2_MODEL = "v2_model"
    V2_MODEL_READY = "v2_model_ready"
    V2_CONFIG = "v2_config"
    V2_STATS = "v2_stats"
    V2_INDEX = "v2_index"
    NATIVE_PREDICT = "native_predict"
    NATIVE_SCHEMA = "native_schema"
    LIVEZ = "livez"
    READYZ = "readyz"
    METRICS = "metrics"
    ADMIN_ROUTES = "admin_routes"
    ADMIN_ROUTES_REPLACE = "admin_routes_replace"
    ADMIN_ROUTES_CHANGE = "admin_routes_change"
    ADMIN_ROUTES_HISTORY = "admin_routes_history"
    ADMIN_VERSIONS = "admin_versions"
    OPENAPI = "openapi"
    DOCS = "docs"
    ROOT = "root"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed path; `other` is what another method of it asks for."""

    verb: Verb
    method: str
    model: str = ""
    version: str | None = None
    other: "Target | None" = None

    def asked(self, method: str) -> "Target | None":
        """What this method asks for; None where it may not."""
        if method == self.method or (method == "HEAD" and self.method == "GET"):
            return self
        return self.other.asked(method) if self.other is not None else None

    @property
    def methods(self) -> str:
        """Of this path; HEAD goes with GET."""
        return self.method if self.other is None else f"{self.method}, {self.other.methods}"


_FIXED = {
    "/v2": Target(Verb.V2_SERVER, "GET"),
    "/v2/": Target(Verb.V2_SERVER, "GET"),
    "/v2/health/live": Target(Verb.V2_LIVE, "GET"),
    "/v2/health/ready": Target(Verb.V2_READY, "GET"),
    "/v2/repository/index": Target(Verb.V2_INDEX, "POST"),
    "/predict": Target(Verb.NATIVE_PREDICT, "POST"),
    "/livez": Target(Verb.LIVEZ, "GET"),
    "/healthz": Target(Verb.LIVEZ, "GET"),
    "/readyz": Target(Verb.READYZ, "GET"),
    "/metrics": Target(Verb.METRICS, "GET"),
    "/admin/routes": Target(Verb.ADMIN_ROUTES, "GET", other=Target(Verb.ADMIN_ROUTES_REPLACE, "PUT")),
    "/admin/versions": Target(Verb.ADMIN_VERSIONS, "GET"),
    "/openapi.json": Target(Verb.OPENAPI, "GET"),
    "/docs": Target(Verb.DOCS, "GET"),
    "/": Target(Verb.ROOT, "GET"),
}
BENTOML: Mapping[str, Target] = {"/schema.json": Target(Verb.NATIVE_SCHEMA, "GET")}
"""What BentoML's app still answers: its own client asks for this before it calls."""
_ALIASES = frozenset({"/v2/"})  # answered, but not told twice
_V2_VERBS = {
    "infer": (Verb.V2_INFER, "POST"),
    "ready": (Verb.V2_MODEL_READY, "GET"),
    "config": (Verb.V2_CONFIG, "GET"),
    "stats": (Verb.V2_STATS, "GET"),
    "": (Verb.V2_MODEL, "GET"),
}
_V1_VERBS = {"predict": (Verb.V1_PREDICT, "POST"), "feedback": (Verb.FEEDBACK, "POST"), "": (Verb.V1_STATUS, "GET")}
_MODELS = ("/v1/models/", "/v2/models/")
_CHANGE, _HISTORY = "/admin/routes/", "/history"
_UNVERSIONED = frozenset({Verb.FEEDBACK})  # a label belongs to a request, which had its version
_VERSION = "/versions/{version}"
_UNKNOWN = Target(Verb.UNKNOWN, "")


def templates() -> list[tuple[str, Target]]:
    """Every route, a method each, as OpenAPI writes its path; `{model}` and `{version}` stand for names."""
    found = [(path, target) for path, target in {**_FIXED, **BENTOML}.items() if path not in _ALIASES]
    found += [(path, target.other) for path, target in found if target.other is not None]
    found.append((f"{_CHANGE}{{model}}", Target(Verb.ADMIN_ROUTES_CHANGE, "POST", "{model}")))
    found.append((f"{_CHANGE}{{model}}{_HISTORY}", Target(Verb.ADMIN_ROUTES_HISTORY, "GET", "{model}")))
    for verbs, protocol, separator in ((_V1_VERBS, "v1", ":"), (_V2_VERBS, "v2", "/")):
        for word, (verb, method) in verbs.items():
            for version in ("",) if verb in _UNVERSIONED else ("", _VERSION):
                path = f"/{protocol}/models/{{model}}{version}{separator if word else ''}{word}"
                found.append((path, Target(verb, method, "{model}", "{version}" if version else None)))
    return found


def parse(path: str) -> Target | None:
    """The target of a path; None for a path that is BentoML's to answer."""
    return _parse(path) if len(path) <= PATH_CHARS_MAX else _UNKNOWN


@lru_cache(PATHS_REMEMBERED)
def _parse(path: str) -> Target | None:
    if (fixed := _FIXED.get(path)) is not None:
        return fixed
    if path in BENTOML:
        return None
    if path.startswith(_CHANGE):
        return _change_path(path.removeprefix(_CHANGE))
    return (_model_path(path) if path.startswith(_MODELS) else None) or _UNKNOWN


def _change_path(rest: str) -> Target:
    model = rest.removesuffix(_HISTORY)
    if not NAME.fullmatch(model):
        return _UNKNOWN
    verb, method = (Verb.ADMIN_ROUTES_CHANGE, "POST") if model == rest else (Verb.ADMIN_ROUTES_HISTORY, "GET")
    return Target(verb, method, model)


def _model_path(path: str) -> Target | None:
    protocol, _, *rest = path[1:].split("/")
    if protocol == "v1":
        rest[-1], _, verb = rest[-1].partition(":")
        found = _V1_VERBS.get(verb)
    else:
        verb = rest.pop() if len(rest) in (2, 4) else ""
        found = _V2_VERBS.get(verb)
    if found is None or len(rest) not in (1, 3) or (len(rest) == 3 and rest[1] != "versions"):
        return None
    version = rest[2] if len(rest) == 3 else None
    if version is not None and (found[0] in _UNVERSIONED or not NAME.fullmatch(version)):
        return None
    return Target(*found, rest[0], version)
