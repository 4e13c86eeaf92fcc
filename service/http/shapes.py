"""What do bodies look like? Types that exist for their JSON schemas: the components of the OpenAPI document.

Bodies that a type decodes anyway (V2, feedback) are that type; those that are put together as dictionaries stand here as they
leave. They forbid unknown fields, so that an answer with a field that is not declared fails a test.
"""

from inspect import cleandoc
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.featurelog.commit import Durability
from service.http.feedback import Label
from service.http.v2 import Body
from service.route_changes import RoutesPlan
from service.routes_audit import Via
from service.routes_change import Abort, Promote, ReplaceRoutes, Rollback, SetCanary, SetRoutes
from service.routes_document import ModelRoutes

Parameters = dict[str, Any]
Count = Annotated[int, Meta(ge=0)]


class V1Rows(msgspec.Struct):
    """A row is an object by feature name or a list in the contract's order; for a model of plain tensors, the value of its
    input or an object by input name."""

    instances: Annotated[list[Any], Meta(min_length=1)]
    signature_name: Any = None


class V1Columns(msgspec.Struct):
    """An object of columns by feature or by tensor, or the one tensor of the graph."""

    inputs: Any
    signature_name: Any = None


class NativeRows(V1Rows, kw_only=True):
    """As V1, with the model's name."""

    model: str


class Predictions(msgspec.Struct, forbid_unknown_fields=True):
    """One output: a plain list; several: objects by output name. One element a row."""

    predictions: list[Any]


class Outputs(msgspec.Struct, forbid_unknown_fields=True):
    """The answer in columns: one output as it is, several by name."""

    outputs: Any


class OutputTensor(msgspec.Struct, forbid_unknown_fields=True):
    """`data` is flat and row-major; with `parameters.binary_data_size` it follows the JSON instead."""

    name: str
    datatype: str
    shape: list[Count]
    data: list[Any] | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET


class InferAnswer(msgspec.Struct, forbid_unknown_fields=True):
    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]
    parameters: Parameters | UnsetType = UNSET


class Accepted(msgspec.Struct, forbid_unknown_fields=True):
    """How many labels are in the log."""

    accepted: Count


class Live(msgspec.Struct, forbid_unknown_fields=True):
    live: Literal[True]


class Alive(msgspec.Struct, forbid_unknown_fields=True):
    """KServe's V1 word for it."""

    status: Literal["alive"]


class LogState(msgspec.Struct, forbid_unknown_fields=True):
    """`reserve_held` false: the disk is full, and only the ledger is written."""

    writer: str
    epoch: Count
    writable: bool
    durability: Durability
    reserve_held: bool


class Ready(msgspec.Struct, forbid_unknown_fields=True):
    """`models`: the stable version of each; `problems`: what is wrong, also where it stops no answer. Where keys are asked for,
    who brings none of the scope `read` is told only whether it is ready, and of the problems those of the keys.
    """

    ready: bool
    problems: list[str]
    models: dict[str, str] | UnsetType = UNSET
    generation: Count | UnsetType = UNSET
    log: LogState | UnsetType = UNSET


class ServerMetadata(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """-1 in `shape` is any size."""

    name: str
    datatype: str
    shape: list[int]


class FeatureMetadata(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    datatype: str
    nullable: bool


class ModelParameters(msgspec.Struct, forbid_unknown_fields=True):
    digest: str
    features: list[FeatureMetadata]


class ModelMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """The graph's own tensors; `parameters.features` are the columns that may be sent instead."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: ModelParameters


class ModelReady(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    ready: Literal[True]


class TensorConfig(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    data_type: str
    dims: list[int]


class ModelConfig(msgspec.Struct, forbid_unknown_fields=True):
    """In the words of Triton's model configuration."""

    name: str
    platform: str
    backend: str
    max_batch_size: Count
    input: list[TensorConfig]
    output: list[TensorConfig]
    version_policy: Parameters


class Duration(msgspec.Struct, forbid_unknown_fields=True):
    """A sum over all requests."""

    count: Count
    ns: Count


class FailCount(msgspec.Struct, forbid_unknown_fields=True):
    count: Count


class InferenceStats(msgspec.Struct, forbid_unknown_fields=True):
    success: Duration
    queue: Duration
    compute_infer: Duration
    fail: FailCount


class VersionStats(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: str
    inference_count: Count
    inference_stats: InferenceStats
    execution_count: Count | UnsetType = UNSET


class ModelStats(msgspec.Struct, forbid_unknown_fields=True):
    model_stats: list[VersionStats]


class IndexEntry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class TfStatus(msgspec.Struct, forbid_unknown_fields=True):
    error_code: str
    error_message: str


class TfVersion(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    state: str
    status: TfStatus


class ModelStatus(msgspec.Struct, forbid_unknown_fields=True):
    """As TF Serving answers it; `name` and `ready` as KServe does."""

    name: str
    ready: bool
    model_version_status: list[TfVersion]


class AdminRoutes(msgspec.Struct, forbid_unknown_fields=True):
    """The routes document as it stands on disk, and the generation that this worker uses."""

    generation: Count
    models: dict[str, ModelRoutes]
    entry: str
    applied_generation: Count


class RouteChange(msgspec.Struct, forbid_unknown_fields=True):
    """An entry of the audit log as it concerns one model; `before` and `after` are null where it had no routes."""

    n: Count
    at: str
    via: Via
    by: str
    why: str
    asked: dict[str, Any]
    generation: Count
    before: ModelRoutes | None
    after: ModelRoutes | None
    hash: str


class RoutesHistory(msgspec.Struct, forbid_unknown_fields=True):
    """Who changed the routes of a model, newest last."""

    model: str
    changes: list[RouteChange]


class WorkerVersions(msgspec.Struct, forbid_unknown_fields=True):
    """What a worker says of itself: the generation that it uses, name:version → digest of what it has loaded, and what became
    of each pin: loaded, loading, evicted, or refused or ejected and why.
    """

    pid: Count
    generation: Count
    versions: dict[str, str]
    problems: list[str]
    states: dict[str, str]


class AdminVersions(msgspec.Struct, forbid_unknown_fields=True):
    """What this worker has loaded, the pins that it could not load, and what every worker uses."""

    loaded: list[dict[str, Any]]
    failed: list[dict[str, str]]
    workers: list[WorkerVersions]


class Detail(msgspec.Struct, forbid_unknown_fields=True):
    """`at` is a JSON pointer into the request's body."""

    at: str
    problem: str


class Error(msgspec.Struct, forbid_unknown_fields=True):
    """The one shape of every error."""

    error: str
    code: str
    request_id: str
    details: list[Detail]


_TYPES = (
    *(V1Rows, V1Columns, NativeRows, Predictions, Outputs, Body, InferAnswer, Label, Accepted),
    *(Live, Alive, Ready, ServerMetadata, ModelMetadata, ModelReady, ModelConfig, ModelStats, IndexEntry, ModelStatus),
    *(AdminRoutes, AdminVersions, RoutesHistory, ReplaceRoutes, SetRoutes, SetCanary, Promote, Abort, Rollback),
    *(RoutesPlan, Error),
)


def schemas() -> dict[str, Any]:
    """Name → JSON schema of every body, in the order of their names."""
    _, found = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    text = msgspec.json.encode(found).replace(b'schemas/Body"', b'schemas/InferRequest"')
    named: dict[str, Any] = msgspec.json.decode(text)
    named["InferRequest"] = {**named.pop("Body"), "title": "InferRequest"}  # what it is called outside of v2.py
    for schema in named.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    return dict(sorted(named.items()))
