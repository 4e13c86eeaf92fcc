"""A version whose runs a test holds back, counts and makes fail; with it no test of the batcher needs to guess a time."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from models.contract import Contract, Tensor
from models.errors import RunFailed
from models.lock import Pin
from models.tensors import Array
from service.batch_plan import BatchRules
from service.batching import Batcher
from service.caller import Caller
from service.telemetry import Telemetry

FAR_NS = 1 << 62
POISON = -1.0
Test = Callable[[Batcher], Awaitable[None]]


def plain(shape: tuple[int, ...]) -> Contract:
    """One plain tensor in, one out."""
    inputs = (Tensor(name="x", datatype="FP64", shape=shape),)
    return Contract(
        features=(), inputs=inputs, outputs=(Tensor(name="y", datatype="FP64", shape=shape),), output_columns=()
    )


class Gate:
    """Answers 2 x + 1 by row; its runs wait until they are let through. A row of POISON fails the run that it is in."""

    mark = 1

    def __init__(self, shape: tuple[int, ...] = (-1,), model: str = "gate") -> None:
        self.contract = plain(shape)
        self.pin = Pin(name=model, version="1", digest="sha256:" + "0" * 64, source="file:gate")
        self.session = self
        self.open = threading.Event()
        self.open.set()
        self.sizes: list[int] = []
        self.threads: list[int] = []
        self.defect: Exception | None = None

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        x = inputs["x"]
        self.threads.append(threading.get_ident())
        self.sizes.append(len(x))
        assert self.open.wait(10)
        if self.defect is not None:
            raise self.defect
        if (x == POISON).any():
            raise RunFailed("the session", "it does not like a row")
        return self.answer(x)

    def answer(self, x: Array) -> list[Array]:
        return [2 * x + 1]


class Mixing(Gate):
    """A graph that looks at all rows of a batch."""

    def answer(self, x: Array) -> list[Array]:
        return [x - x.mean()]


class Summing(Gate):
    """A graph that gives one number for all."""

    def answer(self, x: Array) -> list[Array]:
        return [x.sum(keepdims=True)]


class Fickle(Gate):
    """A graph that answers by row, but for many rows with their sum only."""

    def answer(self, x: Array) -> list[Array]:
        return super().answer(x) if len(x) <= 4 else [x.sum(keepdims=True)]


def run(test: Test, telemetry: Telemetry | None = None, **given: Any) -> None:
    """A batcher of these rules for a test; where nothing else is said every run goes to the thread."""
    rules = {"max_batch_rows": 8, "max_queue_rows": 100, "max_queue_bytes": 1 << 20, "max_queue_delay_us": 0}
    rules = {**rules, "inline_below_us": 0.0, **given}

    async def inside() -> None:
        batcher = Batcher(rules=BatchRules(**rules), telemetry=telemetry or Telemetry())
        try:
            await test(batcher)
        finally:
            batcher.close()

    asyncio.run(inside())


def ask(
    batcher: Batcher, gate: Gate, *values: float, deadline_ns: int = FAR_NS, caller: Caller | None = None
) -> "asyncio.Task[Any]":
    """A request of these rows, on its way."""
    inputs = {"x": np.array(values)}
    return asyncio.ensure_future(batcher.run(gate, inputs, len(values), deadline_ns, caller))  # type: ignore[arg-type]


async def until(condition: Callable[[], object], what: str, deadline_s: float = 10.0) -> None:
    """Looks again until the condition holds; fails with what did not happen."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + deadline_s
    while not condition():
        assert loop.time() < end_s, f"{what}: not within {deadline_s} s"
        await asyncio.sleep(0.001)


async def proven(batcher: Batcher, gate: Gate) -> None:
    """After it the graph is trusted with joined rows, its cost is known, and the account of its runs is empty."""
    for _ in range(3):
        if gate in batcher._queues:
            batcher._queues[gate].open_rows = 0  # through the queue: what is run at once proves nothing
        await ask(batcher, gate, 1.0, 2.0)
    gate.sizes.clear()
    gate.threads.clear()


async def held(batcher: Batcher, gate: Gate) -> "asyncio.Task[Any]":
    """A request that is being run, until the test opens the gate; what is asked now waits behind it."""
    gate.open.clear()
    before = len(gate.sizes)
    first = ask(batcher, gate, 0.0)
    await until(lambda: len(gate.sizes) > before, "the run has begun")
    return first


async def answers(*tasks: "asyncio.Task[Any]") -> list[list[float]]:
    return [ran.outputs[0].tolist() for ran in await asyncio.gather(*tasks)]
