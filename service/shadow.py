"""Runs shadow versions off the path, in what capacity is left.

Laws
- `offer` never waits and never raises; what does not fit is dropped and counted.
- Nothing a shadow does reaches an answer: it has its own thread, its own queue and its own broad `except`.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic_ns

from models.errors import RunFailed
from service.featurelog.record import Outcome
from service.featurelog.record import Shadow as ShadowRecord
from service.featurelog.writer import FeatureLog
from service.in_flight import SHADOW, Cells, begin, end, unshared
from service.rows import Inputs, PlainTensors, Table
from service.served import ServedVersion
from service.telemetry import Telemetry
from service.unexpected import tell


@dataclass(frozen=True, slots=True)
class Offer:
    """A request that was answered, for a shadow to answer again; `features` names the columns of its rows."""

    version: ServedVersion
    request_id: str
    at_us: int
    inputs: Inputs
    features: tuple[str, ...] = ()


class Shadows:
    """One queue and one thread for all shadows of a worker."""

    def __init__(
        self, *, queue_rows_max: int, log: FeatureLog, telemetry: Telemetry, cells: Cells | None = None
    ) -> None:
        """`cells`: where this worker tells what it runs (service/in_flight.py)."""
        self._queue_rows_max, self._featurelog, self._telemetry = queue_rows_max, log, telemetry
        self._cells = unshared() if cells is None else cells
        self._queue: deque[Offer] = deque()
        self._queued_rows = 0
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")

    def offer(self, offer: Offer) -> None:
        """Takes the request, or drops and counts it."""
        if self._queued_rows + offer.inputs.n > self._queue_rows_max:
            self._count(offer, "dropped")
            return
        self._queue.append(offer)
        self._queued_rows += offer.inputs.n
        self._woken.set()

    async def work(self) -> None:
        """Runs until cancelled: one offer at a time, behind everything that is live."""
        loop = asyncio.get_running_loop()
        while True:
            await self._woken.wait()
            while self._queue:
                offer = self._queue.popleft()
                self._queued_rows -= offer.inputs.n
                try:
                    schema_id = self._featurelog.schema_id(offer.version.schema)
                    record = await loop.run_in_executor(self._thread, self._answer, offer, schema_id)
                    self._featurelog.append(record)
                    self._count(offer, "run" if record.outcome is Outcome.ANSWERED else "failed")
                except Exception as error:  # the border of a shadow task: a defect here must not end the loop
                    self._count(offer, "failed")
                    ref = offer.version.pin.ref
                    tell("shadow.failed", error, offer.version, request_id=offer.request_id, version=ref)
            self._woken.clear()

    def _answer(self, offer: Offer, schema_id: int) -> ShadowRecord:
        begin(self._cells, SHADOW, offer.version.mark)
        try:
            return _answer(offer, schema_id)
        finally:
            end(self._cells, SHADOW)

    def close(self) -> None:
        """Drops what waits, and leaves what runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _count(self, offer: Offer, result: str) -> None:
        self._telemetry.shadow(offer.version.pin.name, offer.version.pin.version, result)


def _answer(offer: Offer, schema_id: int) -> ShadowRecord:
    version, inputs = offer.version, offer.inputs
    begun_ns = monotonic_ns()
    outputs, code = None, ""
    try:
        arranged = _arranged(offer)
        if arranged is None:
            code = "invalid_input"
        else:
            outputs = version.outputs.block(version.session.run(version.tensors(arranged)), inputs.n)
    except RunFailed:
        code = "runtime_failed"
    took_us = (monotonic_ns() - begun_ns) // 1000
    outcome = Outcome.FAILED if code else Outcome.ANSWERED
    return ShadowRecord(offer.at_us, offer.request_id, schema_id, outcome, code, inputs.n, took_us, outputs)


def _arranged(offer: Offer) -> Inputs | None:
    """The rows in the order of the shadow's own contract; None when they lack one of its features."""
    own = offer.version.features
    if isinstance(offer.inputs, PlainTensors) or own == offer.features:
        return offer.inputs
    places = {name: place for place, name in enumerate(offer.features)}
    if not set(own) <= places.keys():
        return None
    return Table([tuple(row[places[name]] for name in own) for row in offer.inputs.rows])
