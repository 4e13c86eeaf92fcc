"""The BentoML service: its configuration, its start and stop hooks, and the BentoML-native `predict` API."""

from typing import Any

import bentoml
import msgspec
import structlog

from service.lane import LaneService
from service.seeding import seed
from service.settings import read_settings
from service.wiring import Worker, start_worker

_log = structlog.get_logger()

# Access log, metrics and tracing of BentoML are off because the lane's requests never pass its middleware: they would speak of
# nothing. Workers, host and port come from the settings through `plumbline serve`.
CONFIG: dict[str, Any] = {
    "workers": 1,
    "traffic": {"timeout": 60},
    "http": {"host": "127.0.0.1", "port": 3000},
    "logging": {"access": {"enabled": False}},
    "metrics": {"enabled": False},
    "tracing": {"excluded_urls": ".*"},
}


@bentoml.service(name="plumbline", service_class=LaneService, **CONFIG)
class Plumbline:
    """Serves pinned ONNX models and writes one record of every request."""

    bento_service: LaneService
    worker: Worker

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def prepare() -> None:
        """Once, before the workers start: the home gets its pins, their bytes and a route a model."""
        for error in seed(read_settings()):
            _log.error("seeding.failed", reason=str(error))

    @bentoml.on_startup  # type: ignore[untyped-decorator]  # BentoML ships no types
    async def start(self) -> None:
        """Loads and warms every pinned version; the worker accepts connections when this returns."""
        self.worker = await start_worker(read_settings())
        self.bento_service.lane.edge, self.bento_service.lane.admission = self.worker.edge, self.worker.admission

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Finishes what was admitted, seals the log."""
        await self.worker.stop()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, ctx: bentoml.Context, model: str, instances: list[Any]) -> dict[str, Any]:
        """`POST /predict` with `{"model": …, "instances": […]}`: the same path, record and errors as V1."""
        body = msgspec.json.encode({"instances": instances})
        answer = await self.worker.predict_native(model, body, list(ctx.request.headers.raw))
        ctx.response.status_code = answer.status
        for name, value in answer.headers:
            ctx.response.headers[name.decode()] = value.decode()
        decoded: dict[str, Any] = msgspec.json.decode(answer.body)
        return decoded
