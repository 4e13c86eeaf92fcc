"""What waits for one shadow version, and the thread that runs it.

Laws
- At most `rows_max` rows and `bytes_max` bytes wait, and what an interrupted run gave back; what does not fit is refused, and
  nobody waits for room.
- A run ends after the offer during which somebody live asked.
- First come, first run; what has waited longer than WAIT_MAX_NS at its turn is not run.
- A version that never comes back holds its own lane: no other lane, no answer and not the end of the process.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple

import numpy as np

from models.errors import RunFailed
from models.precedence import step_back_here
from models.tensors import Array
from service.batch import size_bytes
from service.featurelog.record import Outcome
from service.featurelog.record import Shadow as ShadowRecord
from service.in_flight import SHADOW, SHADOWS, Cells, begin, end, unshared
from service.rows import Inputs, Matrix, PlainTensors, Table
from service.run_thread import RunThread
from service.served import ServedVersion

# What one thread does before it asks again whether anybody live is there: under a millisecond for a small model. One
# offer may have more rows; dividing it would give a graph that looks at all its rows another question than live had.
ROWS_A_RUN, OFFERS_A_RUN = 64, 16
WAIT_MAX_NS = 10_000_000_000  # the monitor keeps an answer about as long for its shadow
CELL_BYTES = 40  # of a row that waits: a Python number and the pointer to it
STEPS_BACK = 10  # a ninth of the weight


class Offer(NamedTuple):
    """A request that `given` answered, for a shadow to answer again."""

    version: ServedVersion
    request_id: str
    at_us: int
    inputs: Inputs
    given: ServedVersion


class Done(NamedTuple):
    """What became of an offer: `run`, `not_finite` or `failed`; `defect`: an error that nobody foresaw."""

    offer: Offer
    record: ShadowRecord
    result: str
    defect: Exception | None


class Place(NamedTuple):
    """Where a lane's thread tells what it runs."""

    cells: Cells
    slot: int


class Places:
    """The places of a worker's row that are free for shadows; used from its event loop."""

    def __init__(self, cells: Cells) -> None:
        self._cells, self._free = cells, list(reversed(SHADOWS))

    def take(self) -> Place:
        """One that nobody has; where there is none, one that nobody reads."""
        return Place(self._cells, self._free.pop()) if self._free else Place(unshared(), SHADOW)

    def give_back(self, place: Place) -> None:
        """Its lane is gone."""
        if place.cells is self._cells:
            self._free.append(place.slot)


class _Waiting(NamedTuple):
    offer: Offer
    size: int
    since_ns: int


class Lane:
    """One shadow version; used from the event loop, but for `run`."""

    def __init__(self, place: Place, *, rows_max: int, bytes_max: int) -> None:
        self._place = place
        self._rows_max, self._bytes_max = rows_max, bytes_max
        self._waiting: deque[_Waiting] = deque()
        self._taken: list[_Waiting] = []  # by the run
        self._rows = self._bytes = 0
        self.thread = RunThread[list[Done]]("shadow", begin=step_back)
        self.running = False

    @property
    def ready(self) -> bool:
        """Is there something to run, and nothing running?"""
        return bool(self._waiting) and not self.running

    def admit(self, offer: Offer) -> bool:
        """Takes the offer where it fits."""
        size = _size(offer)
        if self._rows + offer.inputs.n > self._rows_max or self._bytes + size > self._bytes_max:
            return False
        self._waiting.append(_Waiting(offer, size, monotonic_ns()))
        self._rows += offer.inputs.n
        self._bytes += size
        return True

    def take(self, now_ns: int) -> tuple[list[Offer], int]:
        """The offers of the next run, at least one where any is left, and how many had waited too long."""
        taken: list[_Waiting] = []
        self._taken = taken
        rows = stale = 0
        while self._waiting and len(taken) < OFFERS_A_RUN:
            one = self._waiting[0]
            late = now_ns - one.since_ns > WAIT_MAX_NS
            if not late and taken and rows + one.offer.inputs.n > ROWS_A_RUN:
                break
            self._waiting.popleft()
            self._rows -= one.offer.inputs.n
            self._bytes -= one.size
            if late:
                stale += 1
            else:
                taken.append(one)
                rows += one.offer.inputs.n
        return [one.offer for one in taken], stale

    def run(self, offers: list[Offer], schema_id: int, disturbed: Callable[[], bool]) -> list[Done]:
        """Blocking, in the thread: every offer by itself, as it would have been answered alone; the first ones, at least one.

        `disturbed`: did somebody live ask? Each turn of the interpreter that a request needs then waits for an offer's.
        """
        cells, slot = self._place
        begin(cells, slot, offers[0].version.mark)
        done: list[Done] = []
        try:
            for offer in offers:
                done.append(_answer(offer, schema_id))
                if disturbed():
                    break
        finally:
            end(cells, slot)
        return done

    def put_back(self, done: int) -> int:
        """What the run that took them did not come to is first again; how many offers that is."""
        left, self._taken = self._taken[done:], []
        self._waiting.extendleft(reversed(left))
        self._rows += sum(one.offer.inputs.n for one in left)
        self._bytes += sum(one.size for one in left)
        return len(left)

    def clear(self) -> int:
        """Lets go of everything that waits; how many offers that was."""
        n = len(self._waiting)
        self._waiting.clear()
        self._rows = self._bytes = 0
        return n


def step_back() -> None:
    """The calling thread gets a ninth of a core that the event loop wants too, and gives way within 0.1 ms when it wakes.

    Not less: where another process wants the core, a thread that gets no turn may be holding the interpreter's lock, and the
    loop waits for it. Measured beside a busy process, as p99 of the loop without the thread: nice 10 × 1.1, nice 19 × 2.3.
    """
    step_back_here(STEPS_BACK)


def _answer(offer: Offer, schema_id: int) -> Done:
    version, inputs = offer.version, offer.inputs
    outputs, code, took_us, defect, finite = None, "", 0, None, True
    try:
        arranged = _arranged(offer)
        if arranged is None:
            code = "invalid_input"
        else:
            tensors = version.tensors(arranged)
            begun_ns = monotonic_ns()
            arrays = version.session.run(tensors)
            took_us = (monotonic_ns() - begun_ns) // 1000
            outputs = version.outputs.block(arrays, inputs.n)
            finite = _finite(arrays)
    except RunFailed:
        code = "runtime_failed"
    except Exception as error:  # the border of a shadow's run: whatever it does, it is recorded, counted and told
        code, defect = "internal", error
    outcome = Outcome.FAILED if code else Outcome.ANSWERED
    record = ShadowRecord(offer.at_us, offer.request_id, schema_id, outcome, code, inputs.n, took_us, outputs)
    return Done(offer, record, "failed" if code else "run" if finite else "not_finite", defect)


def _arranged(offer: Offer) -> Inputs | None:
    """The rows in the order of the shadow's own contract; None when they lack one of its features."""
    own, given = offer.version.features, offer.given.features
    if isinstance(offer.inputs, PlainTensors) or own == given:
        return offer.inputs
    places = {name: place for place, name in enumerate(given)}
    if not set(own) <= places.keys():
        return None
    return Table([tuple(row[places[name]] for name in own) for row in offer.inputs.rows])


def _finite(arrays: list[Array]) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in arrays)


def _size(offer: Offer) -> int:
    inputs = offer.inputs
    if isinstance(inputs, Matrix):
        return int(inputs.values.nbytes)
    if isinstance(inputs, PlainTensors):
        return size_bytes(inputs.arrays)
    text = 0 if offer.given.floats else sum(len(c) for row in inputs.rows for c in row if c.__class__ is str)
    return CELL_BYTES * len(inputs.rows) * len(offer.given.features) + text
