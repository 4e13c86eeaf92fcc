"""How does a test ask the service without a server: a real worker on a home of its own, driven by plain ASGI dictionaries."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from models.lock_file import LockFile
from models.pool import Pool
from models.registry import Registry
from service.featurelog.record import Record, Request
from service.http.edge import Edge
from service.http.paths import parse
from service.http.v1 import V1, Native
from service.http.v2 import V2
from service.routes_document import ModelRoutes
from service.routes_file import RoutesFile
from service.served import ServedVersion
from service.settings import Settings
from service.wiring import Worker, start_worker
from tests.onnx_models import image, image_contract, install, mixed, mixed_contract
from tests.unit.service.featurelog.writing import read

Message = dict[str, Any]
ROW = {"amount": 1.5, "ratio": 2.5, "count": 3, "flag": True, "city": "oslo"}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Service:
    """A running worker, and its home."""

    home: Path
    worker: Worker

    async def ask(
        self,
        method: str,
        path: str,
        body: object = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        received: Iterable[Message] | None = None,
        edge: Edge | None = None,
    ) -> Reply:
        """One request; `received`: the ASGI messages of its body instead of `body`; `edge`: another than the worker's."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        messages = iter(received or [{"type": "http.request", "body": data, "more_body": False}])
        sent: list[Message] = []

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)

        target = parse(path)
        assert target is not None, f"{path} is BentoML's"
        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        await (edge or self.worker.edge).serve(target, scope, receive, send)
        start, end = sent
        pairs = {name.decode(): value.decode() for name, value in start["headers"]}
        assert int(pairs["content-length"]) == len(end["body"])
        return Reply(start["status"], pairs, end["body"])

    async def predict(self, *instances: object, model: str = "mixed", **given: Any) -> Reply:
        return await self.ask("POST", f"/v1/models/{model}:predict", {"instances": instances}, **given)

    def records(self) -> list[Record]:
        """What is in the log now."""
        return read(self.home / "log")[0]

    def requests(self) -> list[Request]:
        return [record for record in self.records() if isinstance(record, Request)]


def route(home: Path, model: str, **entry: Any) -> None:
    """Sets the routes of one model, as `plumbline routes set` does."""
    file = RoutesFile(home / "routes.toml")
    present = file.read()
    file.swap(present.generation, present.with_model(model, msgspec.convert(entry, ModelRoutes)))


def furnish(home: Path) -> None:
    """`mixed` in two versions, `image` in one; both routed."""
    install(home, "mixed", "1", mixed(), mixed_contract())
    install(home, "mixed", "2", mixed(bias=100), mixed_contract())
    install(home, "image", "1", image(), image_contract())
    route(home, "mixed", stable="1")
    route(home, "image", stable="1")


@asynccontextmanager
async def serving(home: Path, **given: Any) -> AsyncIterator[Service]:
    """A worker on this home, which is furnished when it is empty."""
    if not (home / "routes.toml").exists():
        furnish(home)
    worker = await start_worker(Settings(home=home, **given))
    try:
        yield Service(home, worker)
    finally:
        await worker.stop()
        gc.unfreeze()  # the worker froze what this whole test process held


Test = Callable[[Service], Awaitable[None]]


def run(home: Path, test: Test, **given: Any) -> None:
    """The test with a worker on this home; `given`: settings."""

    async def inside() -> None:
        async with serving(home, **given) as service:
            await test(service)

    asyncio.run(inside())


async def until(condition: Any, what: str, deadline_s: float = 10.0) -> None:
    """Looks again until the condition holds; fails with what did not happen."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + deadline_s
    while not condition():
        assert loop.time() < end_s, f"{what}: not within {deadline_s} s"
        await asyncio.sleep(0.005)


def served(home: Path, name: str = "mixed", version: str = "1") -> ServedVersion:
    """A loaded version of a furnished home, as the request path sees it."""
    pin = LockFile(home / "models.lock.toml").read().find(name, version)
    assert pin is not None
    found = ServedVersion(Pool(Registry(home / "registry"), threads=1).load(pin))
    found.codecs = {wire.name: wire.compile(found) for wire in (V1(), V2(), Native())}
    return found
