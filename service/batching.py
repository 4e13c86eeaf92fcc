"""Runs requests on the graph: joins what waits, divides what is large, never holds more than agreed.

Laws
- Each request gets the outputs of exactly its own rows, of one version; what fails or goes away does so for itself alone.
- The runtime is not idle while something waits, but for `max_queue_delay_us` and, between two runs in the thread, for the
  answers of the first to leave; a version has one run at a time.
- What has expired, or whose caller was cancelled, before its turn is not run; what does not fit in the queue, or would expire
  behind what waits, is refused at once.
- Only the monotonic clock is used.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from weakref import WeakKeyDictionary

from models.errors import RunFailed
from service.batch import Batch, Ran, Waiting
from service.batch_plan import (
    BatchRules,
    Cost,
    Drain,
    Release,
    Wait,
    inline_rows,
    portion,
    release,
    retry_after_s,
    rows_admitted,
)
from service.caller import Caller
from service.errors import ClientGone, DeadlineExceeded, Overloaded, RuntimeFailed
from service.in_flight import LOOP, Cells, begin, unshared
from service.joined import Joined, Joint, Tensors
from service.run_thread import RunThread, Told
from service.served import ServedVersion
from service.telemetry import Batches, Telemetry

LEARNT_EVERY = 64  # runs between two looks at how many rows are run inline: a look costs as much as a small run
# A future, a wake-up and the copies, 7 µs measured: a run shorter than this gains nothing from company.
JOINING_COSTS_US = 10.0

# Turns of the event loop between a run in the thread and the next: in them the answers leave, and clients that ask again at
# once are heard (a model of 10 ms, 16 clients: + 20 % of throughput). Turns without work take microseconds, so the runtime
# is kept waiting for work that is there, and not for a clock.
TURNS_BETWEEN_RUNS = 16

_Start = Callable[[Callable[[], Joined], Told[Joined]], bool]  # False: there is no thread any more
_Batch = Callable[[ServedVersion, Joint, Cells], Batch]


class Batcher:
    """The way of all live requests into the runtime; one a worker, used from its event loop."""

    def __init__(
        self, *, rules: BatchRules, telemetry: Telemetry, cells: Cells | None = None, batch: _Batch = Batch
    ) -> None:
        """`cells`: where this worker tells what it runs (service/in_flight.py); `batch` makes a batch."""
        self._rules, self._telemetry, self._cells = rules, telemetry, unshared() if cells is None else cells
        self._batch = batch
        begin(self._cells, LOOP, 0)  # its thread, which stays the same
        # A version that is no longer served takes with it what was learnt of it.
        self._queues: WeakKeyDictionary[ServedVersion, _Queue] = WeakKeyDictionary()
        self._thread = RunThread[Joined]("run")

    async def run(
        self, version: ServedVersion, inputs: Tensors, rows: int, deadline_ns: int, caller: Caller | None = None
    ) -> Ran:
        """The outputs for these inputs; `deadline_ns` of the monotonic clock.

        Raises Overloaded, DeadlineExceeded, RuntimeFailed; ClientGone where `caller` goes while it waits.
        """
        queue = self._queues.get(version)
        if queue is None:
            batches = self._telemetry.batches(version.pin.name, version.pin.version)
            queue = self._queues[version] = _Queue(
                rules=self._rules,
                joint=Joint(version.contract),
                batches=batches,
                start=self._thread.submit,
                cells=self._cells,
                batch=self._batch,
                inline_rows_of_model=partial(self._inline_rows, version.pin.name),
            )
        if rows <= queue.open_rows:
            return queue.run_at_once(version, inputs, rows, deadline_ns)
        return await queue.add(version, inputs, rows, deadline_ns, caller)

    def _inline_rows(self, model: str) -> int:
        """Up to so many rows are run on the event loop by one of its versions."""
        return max((q.inline_rows for version, q in self._queues.items() if version.pin.name == model), default=0)

    def refusal(self, version: ServedVersion, deadline_ns: int) -> Overloaded | None:
        """Why a request of one row would be refused now."""
        queue = self._queues.get(version)
        return None if queue is None else queue.refusal(1, 0, deadline_ns)

    @property
    def busy(self) -> bool:
        """Does anything wait or run?"""
        return any(queue.busy for queue in self._queues.values())

    def close(self) -> None:
        """Ends the thread after its run, without waiting for it; what waits then is run on the event loop."""
        self._thread.close()


class _Queue:
    """What waits for one version, and what its runs cost."""

    def __init__(
        self,
        *,
        rules: BatchRules,
        joint: Joint,
        batches: Batches,
        start: _Start,
        cells: Cells,
        batch: _Batch,
        inline_rows_of_model: Callable[[], int],
    ) -> None:
        self._rules, self._joint, self._batches, self._start, self._cells = rules, joint, batches, start, cells
        self._batch, self._inline_rows_of_model = batch, inline_rows_of_model
        self._loop = asyncio.get_running_loop()
        self._cost, self._drain = Cost(), Drain()
        self._ended_ns = 0  # when the last run ended with more waiting behind it; 0: nothing waited
        self._waiting: deque[Waiting] = deque()
        self._rows = 0  # of those who wait and are not in a batch yet
        self._bytes = 0  # of the tensors of those who are not wholly in a batch yet
        self._version: ServedVersion | None = None  # held only while something waits or runs
        self._running: Batch | None = None
        self._ends_ns = 0  # when what runs is expected to end
        self._soon = False  # a look at the queue is due in this tick
        self._timer: asyncio.TimerHandle | None = None  # the look that max_queue_delay_us asks for
        self._alarm: asyncio.TimerHandle | None = None  # for those who expire behind a long run
        self._alarm_ns = 0
        self._alone = True  # the last batch was of one request, so the next one need not wait for the end of its tick
        self.inline_rows = 0  # up to so many rows are run on the event loop
        self._cheap_rows = 0  # up to so many rows joining costs more than it saves
        self.open_rows = 0  # a request of at most so many rows may be run at once; 0 while any waits or runs

    @property
    def busy(self) -> bool:
        """Does anything wait or run?"""
        return bool(self._waiting) or self._running is not None

    # --- in -------------------------------------------------------------------------------------------------------

    def run_at_once(self, version: ServedVersion, inputs: Tensors, rows: int, deadline_ns: int) -> Ran:
        """The way of a small request that is alone: no future, no queue. Dearer ones of the same tick are joined."""
        began_ns = monotonic_ns()
        if began_ns > deadline_ns:
            raise DeadlineExceeded
        if rows > self._cheap_rows:
            self.open_rows = self._cheap_rows
            self._look_soon()
        cells = self._cells
        cells[LOOP] = version.mark
        try:
            outputs = version.session.run(inputs)
        except RunFailed as error:
            raise RuntimeFailed(version.pin.ref, error.reason) from error
        finally:
            cells[LOOP] = 0
        took_us = (monotonic_ns() - began_ns) / 1000
        self._learn(rows, took_us)
        self._batches.add(rows, Release.IDLE)
        return Ran(outputs, 0, int(took_us))

    async def add(
        self, version: ServedVersion, inputs: Tensors, rows: int, deadline_ns: int, caller: Caller | None
    ) -> Ran:
        """The way of all others."""
        waiting = Waiting(inputs, rows, deadline_ns, self._joint.shape_of(inputs, rows), self._loop.create_future())
        if (refused := self.refusal(rows, waiting.waiting_bytes, deadline_ns)) is not None:
            raise refused
        if caller is not None:
            caller.waiting = waiting.answer
        self._version, self.open_rows = version, 0
        self._waiting.append(waiting)
        self._rows += rows
        self._bytes += waiting.waiting_bytes
        self._arm(deadline_ns)
        if self._running is None:
            self._look_soon()
        try:
            return await waiting.answer
        except (asyncio.CancelledError, ClientGone):  # its place is free at once, the rest of it is not run
            self._leave(waiting)
            raise
        finally:
            if caller is not None:
                caller.waiting = None

    def refusal(self, rows: int, waiting_bytes: int, deadline_ns: int) -> Overloaded | None:
        """Why so much does not fit behind those who wait."""
        if not self._rows:
            return None
        limit, bytes_max = self._rules.max_queue_rows, self._rules.max_queue_bytes
        if self._running is not None:
            begins_ns = max(monotonic_ns(), self._ends_ns)
            limit = rows_admitted(self._rules, self._cost, self._drain, (deadline_ns - begins_ns) / 1000)
        if self._rows + rows > limit:
            return Overloaded(self._rows, limit, "rows", self._retry_after_s(), limit < self._rules.max_queue_rows)
        if self._bytes + waiting_bytes > bytes_max:
            return Overloaded(self._bytes, bytes_max, "bytes", self._retry_after_s())
        return None

    def _retry_after_s(self) -> int:
        return retry_after_s(self._rules, self._cost, self._rows)

    def _leave(self, one: Waiting) -> None:
        """Nothing more of it waits."""
        self._rows -= one.left
        self._bytes -= one.waiting_bytes
        one.taken, one.waiting_bytes = one.rows, 0

    # --- out ------------------------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """At most once a tick, and when a run ended: runs what is due."""
        self._soon = False
        if self._running is not None:
            return
        self._drop_front(monotonic_ns())
        if not self._waiting:
            self._version, self._ended_ns = None, 0  # those who went are no queue that emptied slowly
            self._open()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        released = self._due()
        if isinstance(released, Wait):
            self._timer = self._loop.call_later((released.until_ns - monotonic_ns()) / 1e9, self._look)
        else:
            self._run(self._form(), released)

    def _open(self) -> None:
        """Nothing waits and nothing runs."""
        if not self._rules.max_queue_delay_us:
            self.open_rows = self.inline_rows if self._alone else self._cheap_rows

    def _due(self) -> Release | Wait:
        if not self._joint.allowed:
            return Release.IDLE  # nothing can join it, so there is nothing to wait for
        delayed = self._rules.max_queue_delay_us > 0
        return release(
            self._rules,
            self._cost,
            rows=self._rows,
            oldest_ns=self._waiting[0].queued_ns,
            deadline_ns=min(one.deadline_ns for one in self._waiting) if delayed else 0,
            now_ns=monotonic_ns() if delayed else 0,
        )

    def _form(self) -> Batch:
        """From the front of the queue, as many as may be run together."""
        assert self._version is not None
        batch, room, shape = (
            self._batch(self._version, self._joint, self._cells),
            self._rules.max_batch_rows,
            self._waiting[0].shape,
        )
        now_ns = monotonic_ns()
        while self._waiting and room > 0:
            one = self._waiting[0]
            if batch.members and (not self._joint.allowed or one.shape != shape):
                break
            divisible = self._joint.proven or one.taken > 0
            rows = portion(one.left, room, first=not batch.members, divisible=divisible)
            if not rows:
                break
            batch.take(one, rows)
            self._rows -= rows
            room -= rows
            if not one.left:
                self._leave(self._waiting.popleft())
            self._drop_front(now_ns)
        return batch

    def _run(self, batch: Batch, released: Release) -> None:
        self._running = batch
        self._batches.add(batch.rows, released)
        if batch.rows > self.inline_rows and self._start(batch.run_aside, self._ended):
            expected_us = self._cost.estimate_us(batch.rows)
            self._ends_ns = monotonic_ns() + (int(expected_us * 1000) if self._cost.runs else 0)
            return
        ran: Joined | None = None
        try:
            ran = batch.run()
        finally:  # a defect is told by the loop's own handler; those who wait must not wait for ever
            self._settle(batch, ran)
            self._look_soon()

    def _ended(self, ran: Joined | None, defect: BaseException | None) -> None:
        """A run in the thread ended."""
        batch = self._running
        assert batch is not None
        self._settle(batch, ran)
        self._soon = True
        self._look_after(TURNS_BETWEEN_RUNS, batch.rows)
        if defect is not None:
            raise defect  # for the loop's own handler

    def _look_after(self, turns: int, enough: int) -> None:
        """A look after so many turns, or as soon as so many rows wait."""
        if turns and self._rows < enough:
            self._loop.call_soon(self._look_after, turns - 1, enough)
        else:
            self._look()

    def _settle(self, batch: Batch, ran: Joined | None) -> None:
        self._running, self._alone = None, len(batch.members) == 1
        if ran is not None and ran.took_us is not None:
            self._learn(batch.rows, ran.took_us)
        ended_ns, self._ended_ns = self._ended_ns, monotonic_ns() if self._rows else 0
        if ended_ns and self._ended_ns:
            self._drain.learn(batch.rows, (self._ended_ns - ended_ns) / 1000)
        batch.settle(ran)

    def _learn(self, rows: int, took_us: float) -> None:
        cost = self._cost
        cost.learn(rows, took_us)
        if cost.runs < LEARNT_EVERY or not cost.runs % LEARNT_EVERY:
            self.inline_rows = inline_rows(self._rules, cost, self._inline_rows_of_model())
            self._cheap_rows = cost.rows_within(min(JOINING_COSTS_US, self._rules.inline_below_us))
            if self.open_rows:
                self._open()

    # --- expiry ---------------------------------------------------------------------------------------------------

    def _drop_front(self, now_ns: int) -> None:
        """Those at the front for whom nothing need be run."""
        waiting = self._waiting
        while waiting and (waiting[0].answer.done() or waiting[0].deadline_ns < now_ns):
            self._drop(waiting.popleft())

    def _drop(self, one: Waiting) -> None:
        self._leave(one)
        one.fail(DeadlineExceeded())

    def _arm(self, deadline_ns: int) -> None:
        """Wakes when the first of those who wait behind a run expires: one timer a version, not one a request."""
        if self._alarm is not None:
            if deadline_ns >= self._alarm_ns:
                return
            self._alarm.cancel()
        self._alarm_ns = deadline_ns
        self._alarm = self._loop.call_later((deadline_ns - monotonic_ns()) / 1e9, self._expire)

    def _expire(self) -> None:
        self._alarm = None
        now_ns = monotonic_ns()
        kept = deque(one for one in self._waiting if not one.answer.done() and one.deadline_ns >= now_ns)
        for one in self._waiting:
            if one.deadline_ns < now_ns:
                self._drop(one)
        self._waiting = kept
        if kept:
            self._arm(min(one.deadline_ns for one in kept))
