"""Runs shadow versions off the path, in what capacity is left.

Laws
- `offer` never waits and never raises; what does not fit is dropped and counted.
- Nothing a shadow does reaches an answer: it runs in a thread of its own, of low priority, from a queue of its own.
- A run begins, and its records are written, only in a turn of the event loop in which nobody live asked or waits, and it ends
  when somebody does; whenever a live request was shed, everything that waits for a shadow is let go.
- Every offer ends in one count: run, not_finite, failed, dropped, shed or stale.
"""

import asyncio
import weakref
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from time import monotonic_ns

from service.featurelog.record import Outcome
from service.featurelog.writer import FeatureLog
from service.in_flight import Cells, unshared
from service.served import ServedVersion
from service.shadow_lane import Done, Lane, Offer, Place, Places
from service.telemetry import Telemetry
from service.unexpected import tell

RECORDS_A_TURN = 8  # some 40 µs: what a request that comes meanwhile waits at most
LOOKS = 8  # turns of the loop in which a calm one is looked for, before it is left alone for PAUSE_S
PAUSE_S = 0.001


class Shadows:
    """All shadows of a worker; used from its event loop. `live_waits`: does a request wait for the runtime, or run in it?"""

    def __init__(
        self,
        *,
        queue_rows_max: int,
        queue_bytes_max: int,
        log: FeatureLog,
        telemetry: Telemetry,
        live_waits: Callable[[], bool],
        cells: Cells | None = None,
    ) -> None:
        """`cells`: where this worker tells what it runs (service/in_flight.py)."""
        self._places = Places(unshared() if cells is None else cells)
        self._rows_max, self._bytes_max = queue_rows_max, queue_bytes_max
        self._featurelog, self._telemetry = log, telemetry
        self._live_waits, self._live_shed = live_waits, 0
        self.asked = 0  # raised by whoever begins a live request
        # A version that is no longer served takes its lane with it, once nothing of it waits or runs.
        self._lanes: weakref.WeakKeyDictionary[ServedVersion, Lane] = weakref.WeakKeyDictionary()
        self._done: deque[Done] = deque()
        self._woken = asyncio.Event()

    def offer(self, offer: Offer) -> None:
        """Takes the request, or drops and counts it."""
        lane = self._lanes.get(offer.version)
        if lane is None:
            place = self._places.take()
            lane = self._lanes[offer.version] = Lane(place, rows_max=self._rows_max, bytes_max=self._bytes_max)
            weakref.finalize(offer.version, self._forget, lane.thread.close, place)
        if not lane.admit(offer):
            self._count(offer.version, "dropped")
        elif not self._woken.is_set():
            self._live_shed = self._featurelog.outcomes[Outcome.SHED]  # what was shed before is over
            self._woken.set()

    async def work(self) -> None:
        """Runs until cancelled: one small piece of work in each calm turn of the loop."""
        while True:
            await self._woken.wait()
            shed = self._featurelog.outcomes[Outcome.SHED]
            if shed != self._live_shed:
                self._live_shed = shed
                self._let_go("shed")
            if await self._calm() and not self._step():
                self._woken.clear()

    async def _calm(self) -> bool:
        """After a turn of the loop in which no request was settled and none waits; False after LOOKS others and a pause."""
        for _ in range(LOOKS):
            settled = self._featurelog.received
            await asyncio.sleep(0)
            if self._featurelog.received == settled and not self._live_waits():
                return True
        await asyncio.sleep(PAUSE_S)
        return False

    def _step(self) -> bool:
        """One piece of work; False where there is none."""
        if self._done:
            self._record()
            return True
        ready = [(version, lane) for version, lane in self._lanes.items() if lane.ready]
        for version, lane in ready:
            self._begin(version, lane)
        return bool(ready)

    def _begin(self, version: ServedVersion, lane: Lane) -> None:
        offers, stale = lane.take(monotonic_ns())
        if stale:
            self._count(version, "stale", stale)
        if offers:
            schema_id, asked, shed = self._featurelog.schema_id(version.schema), self.asked, self._live_shed
            job = partial(lane.run, offers, schema_id, lambda: self.asked != asked)
            lane.running = lane.thread.submit(job, partial(self._ended, version, lane, shed))

    def _ended(
        self, version: ServedVersion, lane: Lane, shed: int, done: list[Done] | None, defect: BaseException | None
    ) -> None:
        """A run came back; `shed`: how many live requests had been when it began."""
        lane.running = False
        if done is not None and lane.put_back(len(done)) and shed != self._live_shed:
            self._count(version, "shed", lane.clear())
        self._done.extend(done or ())
        self._woken.set()
        if defect is not None:
            raise defect  # for the loop's own handler: `run` itself raises nothing

    def _record(self) -> None:
        counts: Counter[tuple[ServedVersion, str]] = Counter()
        for _ in range(min(RECORDS_A_TURN, len(self._done))):
            offer, record, result, defect = self._done.popleft()
            counts[offer.version, result] += 1
            self._featurelog.append(record)
            if defect is not None:
                ref = offer.version.pin.ref
                tell("shadow.failed", defect, offer.version, request_id=offer.request_id, version=ref)
        for (version, result), n in counts.items():
            self._count(version, result, n)

    def _let_go(self, result: str) -> None:
        for version, lane in list(self._lanes.items()):
            if n := lane.clear():
                self._count(version, result, n)

    def _forget(self, close: Callable[[], None], place: Place) -> None:
        """Of a version that is gone, and so is what it ran."""
        close()
        self._places.give_back(place)

    def close(self) -> None:
        """Drops what waits, and leaves what runs."""
        self._let_go("dropped")
        for lane in self._lanes.values():
            lane.thread.close()

    def _count(self, version: ServedVersion, result: str, n: int = 1) -> None:
        self._telemetry.shadow(version.pin.name, version.pin.version, result, n)
