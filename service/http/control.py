"""Health, metadata and metrics: what is asked about the service, not of a model."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from service.catalogue import Catalogue, Snapshot
from service.errors import Draining
from service.featurelog.writer import FeatureLog
from service.http import v2_metadata, v2_stats
from service.http.answer import Answer, Headers
from service.http.edge import Handler
from service.http.gate import Gate
from service.http.paths import Target, Verb
from service.http.shared import Shared
from service.served import ServedVersion
from service.telemetry import CONTENT_TYPE, Telemetry

DISK_FULL = (
    "the log's disk is full: records are dropped and counted as no_space; only the ledger is written, from the reserve"
)


class Control:
    """Handlers over the present snapshot; none of them changes anything."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        log: FeatureLog,
        telemetry: Telemetry,
        publish: Callable[[], None],
        release: str,
        stopping: Callable[[], bool],
        gate: Gate | None = None,
    ) -> None:
        """`gate`: where keys are asked for; whoever brings none is not told the detail of `/readyz`."""
        self._catalogue, self._featurelog, self._gate = catalogue, log, gate
        self._publish, self._release, self._stopping = publish, release, stopping
        self._page, self._totals = Shared(telemetry.exposition), Shared(telemetry.totals)

    def handlers(self) -> Mapping[Verb, Handler]:
        """One handler a verb."""
        return {
            Verb.LIVEZ: self.live,
            Verb.READYZ: self.ready,
            Verb.V2_LIVE: self.live,
            Verb.V2_READY: self.ready,
            Verb.V2_SERVER: self.server,
            Verb.V2_MODEL: self.model,
            Verb.V2_MODEL_READY: self.model_ready,
            Verb.V2_CONFIG: self.config,
            Verb.V2_STATS: self.stats,
            Verb.V2_INDEX: self.index,
            Verb.V1_STATUS: self.v1_status,
            Verb.METRICS: self.metrics,
        }

    async def live(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The event loop runs, or this would not be answered."""
        return Answer(200, b'{"live":true}')

    async def ready(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """Every routed model answers; what is wrong but does not stop answers stands in the detail. Raises Draining."""
        self._refuse_new()
        snapshot, gate = self._catalogue.current, self._gate
        keys = [gate.problem] if gate is not None and gate.problem else []
        ready = bool(snapshot.policies) and not (gate is not None and gate.shut)
        if gate is not None and not gate.reads(headers):
            return Answer(200 if ready else 503, msgspec.json.encode({"ready": ready, "problems": keys}))
        return Answer(200 if ready else 503, msgspec.json.encode(self._detail(snapshot, ready, keys)))

    def _detail(self, snapshot: Snapshot, ready: bool, keys: Sequence[str]) -> dict[str, object]:
        error = self._featurelog.last_error
        reserve_spent = self._featurelog.reserve.spent
        told = [*([str(error)] if error else []), *([DISK_FULL] if reserve_spent else [])]
        problems = [*keys, *snapshot.problems, *told]
        if not snapshot.policies:
            problems.append("no model is routed: `plumbline models add` or `plumbline routes set`")
        return {
            "ready": ready,
            "models": {model: policy.stable for model, policy in snapshot.policies.items()},
            "generation": snapshot.generation,
            "log": {
                "writer": self._featurelog.writer,
                "epoch": self._featurelog.epoch,
                "writable": error is None and not reserve_spent,
                "durability": self._featurelog.durability,
                "reserve_held": not reserve_spent,
            },
            "problems": problems,
        }

    async def server(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v2`."""
        return Answer(200, v2_metadata.server_metadata(self._release))

    async def model(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v2/models/{m}[/versions/{v}]`."""
        return Answer(200, v2_metadata.model_metadata(self._versions(target)))

    async def model_ready(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v2/models/{m}[/versions/{v}]/ready`. Raises Draining."""
        self._refuse_new()
        version = self._versions(target)[0]
        return Answer(200, msgspec.json.encode({"name": version.pin.name, "ready": True}))

    async def config(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v2/models/{m}[/versions/{v}]/config`."""
        return Answer(200, v2_metadata.model_config(self._versions(target)[0]))

    async def stats(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v2/models/{m}[/versions/{v}]/stats`: of all workers together; added up in a thread."""
        versions = [(version.pin.name, version.pin.version) for version in self._versions(target)]
        return Answer(200, v2_stats.model_stats(versions, await self._totals.get()))

    async def index(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`POST /v2/repository/index`."""
        snapshot = self._catalogue.current
        return Answer(200, v2_metadata.repository_index(list(snapshot.versions.values()), snapshot.failed))

    async def v1_status(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /v1/models/{m}`, as TF Serving answers it, and KServe beside it."""
        status = [
            {"version": v.pin.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            for v in self._versions(target)
        ]
        told = {"name": target.model, "ready": True, "model_version_status": status}
        return Answer(200, msgspec.json.encode(told))

    async def metrics(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """All workers together, this one up to now; formatted in a thread, for all who ask meanwhile."""
        self._publish()
        return Answer(200, await self._page.get(), (), CONTENT_TYPE)

    def _refuse_new(self) -> None:
        if self._stopping():
            raise Draining

    def _versions(self, target: Target) -> list[ServedVersion]:
        snapshot = self._catalogue.current
        versions = snapshot.versions_of(target.model)
        if target.version is None:
            return versions
        return [snapshot.version(target.model, target.version)]
