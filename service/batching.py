"""Runs requests on the graph: small ones at once, large ones in a thread, never more waiting than agreed.

Laws
- The rows of a request are answered by one run of one version; an answer is never taken from another request's rows.
- What has expired before its turn is not run; what does not fit in the queue is refused at once.
- Only the monotonic clock is used.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from models.errors import RunFailed
from models.tensors import Array
from service.batch_plan import Cost
from service.errors import DeadlineExceeded, Overloaded, RuntimeFailed
from service.served import ServedVersion


class Ran(NamedTuple):
    """What one run gave, and what it took; durations in µs."""

    outputs: list[Array]
    queue_us: int
    compute_us: int


class Batcher:
    """The way of all live requests into the runtime; one a worker, used from its event loop."""

    def __init__(self, *, max_queue_rows: int, inline_below_us: float) -> None:
        self._max_queue_rows, self._inline_below_us = max_queue_rows, inline_below_us
        self._costs: dict[str, Cost] = {}
        self._waiting_rows = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="run")

    async def run(self, version: ServedVersion, inputs: Mapping[str, Array], rows: int, deadline_ns: int) -> Ran:
        """The outputs for these inputs; `deadline_ns` of the monotonic clock.

        Raises Overloaded, DeadlineExceeded, RuntimeFailed.
        """
        cost = self._costs.get(version.pin.digest)
        if cost is None:
            cost = self._costs[version.pin.digest] = Cost()
        if not self._waiting_rows and cost.estimate_us(rows) < self._inline_below_us:
            return _run(version, inputs, rows, cost, time.monotonic_ns(), deadline_ns)
        if self._waiting_rows and self._waiting_rows + rows > self._max_queue_rows:
            raise Overloaded(self._waiting_rows, self._max_queue_rows)
        self._waiting_rows += rows
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._thread, _run, version, inputs, rows, cost, time.monotonic_ns(), deadline_ns
            )
        finally:
            self._waiting_rows -= rows

    def close(self) -> None:
        """Ends the thread after the runs that were admitted."""
        self._thread.shutdown()


def _run(
    version: ServedVersion, inputs: Mapping[str, Array], rows: int, cost: Cost, queued_ns: int, deadline_ns: int
) -> Ran:
    begun_ns = time.monotonic_ns()
    if begun_ns > deadline_ns:
        raise DeadlineExceeded
    try:
        outputs = version.session.run(inputs)
    except RunFailed as error:
        raise RuntimeFailed(version.pin.ref, error.reason) from error
    took_us = (time.monotonic_ns() - begun_ns) / 1000
    cost.learn(rows, took_us)
    return Ran(outputs, (begun_ns - queued_ns) // 1000, int(took_us))
