import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import RunFailed
from models.tensors import Array
from service.batching import Batcher
from service.errors import DeadlineExceeded, Overloaded, RuntimeFailed
from tests.onnx_models import install, mixed, mixed_contract
from tests.unit.service.serving import served

FAR_NS = 1 << 62
DEAR_ROWS = 10_000_000  # at a microsecond a row, which no run is cheaper than, ten seconds
Test = Callable[[Batcher], Awaitable[None]]


class Gate:
    """A version whose runs wait until they are let through; says in which thread they ran."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.threads: list[int] = []
        self.fails = False
        self.pin = type("Pin", (), {"digest": "sha256:0", "ref": "gate:1"})
        self.session = self

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        self.threads.append(threading.get_ident())
        self.entered.release()
        assert self.open.wait(10)
        if self.fails:
            raise RunFailed("gate:1", "it does not want to")
        return [inputs["x"]]


def run(test: Test, **given: Any) -> None:
    async def inside() -> None:
        batcher = Batcher(**{"max_queue_rows": 10, "inline_below_us": 0.0, **given})
        try:
            await test(batcher)
        finally:
            batcher.close()

    asyncio.run(inside())


def ask(batcher: Batcher, gate: Gate, rows: int = 1, deadline_ns: int = FAR_NS) -> Awaitable[Any]:
    return batcher.run(gate, {"x": np.full(min(rows, 100), rows)}, rows, deadline_ns)  # type: ignore[arg-type]


async def learn(batcher: Batcher, gate: Gate) -> None:
    """After it the cost of the gate is known."""
    await ask(batcher, gate)


def test_what_is_cheap_is_run_at_once_and_what_is_dear_in_a_thread() -> None:
    async def test(batcher: Batcher) -> None:
        gate, here = Gate(), threading.get_ident()
        await learn(batcher, gate)
        await ask(batcher, gate)
        await ask(batcher, gate, rows=DEAR_ROWS)
        assert [thread == here for thread in gate.threads] == [True, True, False]

    run(test, inline_below_us=1e6, max_queue_rows=2 * DEAR_ROWS)


def test_behind_what_waits_nothing_is_run_on_the_event_loop() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        gate.open.clear()
        dear = asyncio.ensure_future(ask(batcher, gate, rows=DEAR_ROWS))
        await asyncio.sleep(0)
        behind = asyncio.ensure_future(ask(batcher, gate))
        await asyncio.sleep(0)
        assert not behind.done()  # run here it would have stopped the loop at the gate
        gate.open.set()
        await asyncio.gather(dear, behind)
        assert threading.get_ident() not in gate.threads[1:]

    run(test, inline_below_us=1e6, max_queue_rows=2 * DEAR_ROWS)


def test_an_answer_is_of_the_requests_own_rows() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        answers = await asyncio.gather(*(ask(batcher, gate, rows=rows) for rows in (1, 3, 2)))
        assert [ran.outputs[0].tolist() for ran in answers] == [[1], [3, 3, 3], [2, 2]]
        assert all(ran.queue_us >= 0 and ran.compute_us >= 0 for ran in answers)

    run(test)


def test_what_does_not_fit_in_the_queue_is_refused_at_once_and_later_let_in_again() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        gate.open.clear()
        admitted = [asyncio.ensure_future(ask(batcher, gate, rows=5)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="10 rows wait, at most 10 may"):
            await ask(batcher, gate)
        gate.open.set()
        await asyncio.gather(*admitted)
        await ask(batcher, gate)

    run(test)


def test_a_request_larger_than_the_queue_is_run_when_nothing_waits() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        assert (await ask(batcher, gate, rows=50)).outputs[0].size == 50

    run(test)


def test_what_has_expired_before_its_turn_is_not_run() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        gate.open.clear()
        first = asyncio.ensure_future(ask(batcher, gate))
        await asyncio.get_running_loop().run_in_executor(None, gate.entered.acquire)
        await asyncio.get_running_loop().run_in_executor(None, gate.entered.acquire)
        late = asyncio.ensure_future(ask(batcher, gate, deadline_ns=time.monotonic_ns()))
        await asyncio.sleep(0)
        gate.open.set()
        await first
        with pytest.raises(DeadlineExceeded):
            await late
        assert len(gate.threads) == 2

    async def inline(batcher: Batcher) -> None:
        gate = Gate()
        with pytest.raises(DeadlineExceeded):
            await ask(batcher, gate, deadline_ns=time.monotonic_ns() - 1)
        assert gate.threads == []

    run(test)
    run(inline, inline_below_us=1e9)


def test_a_run_that_fails_leaves_its_place_in_the_queue() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await learn(batcher, gate)
        gate.fails = True
        for _ in range(5):
            with pytest.raises(RuntimeFailed, match="gate:1: the runtime failed: it does not want to"):
                await ask(batcher, gate, rows=10)
        gate.fails = False
        await ask(batcher, gate, rows=10)

    run(test)


def test_a_real_graph_is_run(tmp_path: Path) -> None:
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    version = served(tmp_path)

    async def test(batcher: Batcher) -> None:
        inputs = {
            "x": np.array([[1, 2]], np.float32),
            "count": np.array([[3]], np.int32),
            "flag": np.array([[True]]),
            "city": np.array([["oslo"]], object),
        }
        ran = await batcher.run(version, inputs, 1, FAR_NS)
        assert ran.outputs[0].tolist() == [[6.0]]

    run(test)
