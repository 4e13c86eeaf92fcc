"""Writes the feature log: one directory a worker, one write(2) for all records of an event-loop tick.

An acknowledgement (the future of `append` is True) means, in the mode `process`: write(2) has returned for the record's whole
frame, so it survives the death of every process; fsync follows within `fsync_interval_s` in a thread, so power loss takes at
most that much. In `disk`: an fsync that began after that write has returned, so it survives power loss too. In `relaxed`: the
record was handed over, and is written within RELAXED_DELAY_S; the death of the process takes what waits.

Laws
- `seq` rises by one a record in the file; what could not be written is counted by reason and leaves no hole in the numbering.
- After every flush `received = Σ outcomes`, and for each outcome `outcomes = logged + Σ dropped` (FORMAT.md §5.5).
- Nothing here blocks the event loop but one write(2) a tick and, at rotation, one open(2) and rename(2); on a full disk one
  fallocate(2) a tick; after a failed fsync one write(2) of what was not acknowledged. fsync is never called on it.
"""

import asyncio
import errno
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from models.disk import Disk
from models.reserve import FULL, Reserve
from service.featurelog.commit import Durability, GroupCommit, Held
from service.featurelog.declarations import Declarations
from service.featurelog.errors import LogUnwritable
from service.featurelog.files import ROTATE, list_segments, lock_first_free
from service.featurelog.framing import FRAME_BYTES, PAYLOAD_BYTES_MAX, frame
from service.featurelog.open_segment import OpenSegment, reason_of, sync_all
from service.featurelog.record import FORMAT, Again, Head, Ledger, Outcome, Record, Request, Schema, encode
from service.featurelog.recovery import cut_torn_tail, drop_unborn
from service.featurelog.segments import Rotation, segment_name

WRITERS_MAX = 1024  # far above any worker count: a leak of locks becomes an error, not a disk full of directories
PENDING_BYTES_MAX = 64 * 1024 * 1024  # records of one tick; beyond it they are dropped and counted as "backlog"
# Kept for a second writing (`disk`), which takes about 10 ms of the loop; as above.
UNSYNCED_BYTES_MAX = 16 * 1024 * 1024
RELAXED_DELAY_S = 0.1  # FORMAT.md §1.2
RELAXED_BYTES_MAX = 1024 * 1024  # waiting bytes at which it is written earlier
LEDGER_INTERVAL_US = 1_000_000  # FORMAT.md §5.5: the heartbeat by which a reader knows that the writer lives
RESERVE = "reserve"

Clock = Callable[[], int]
Waiter = asyncio.Future[bool]


class FeatureLog:
    """The one writer of its directory. All methods run on the event loop that built it, but where they say otherwise."""

    def __init__(
        self,
        root: Path,
        *,
        rotation: Rotation,
        fsync_interval_s: float,
        clock_us: Clock,
        refuse_unlogged: bool = False,
        durability: Durability = Durability.PROCESS,
        reserve_bytes: int = 0,
        disk: Disk | None = None,
    ) -> None:
        """Takes the first free directory, cuts its torn tail, starts a new epoch. Raises DirectoryBusy, LogUnwritable.

        `refuse_unlogged`: the service answers nothing that is not in the log, so an answer that was lost counts as failed.
        """
        try:
            self.writer, self.directory, self._lock = lock_first_free(root, WRITERS_MAX)
        except OSError as error:
            raise LogUnwritable(str(root), error.strerror or str(error)) from error
        self._rotation, self._interval_s, self._clock_us = rotation, fsync_interval_s, clock_us
        self._refuse_unlogged = refuse_unlogged
        self._disk = disk or Disk()
        self.durability = durability
        self._relaxed = durability is Durability.RELAXED
        self._commit: GroupCommit[Waiter] | None = GroupCommit() if durability is Durability.DISK else None
        self.loop = asyncio.get_running_loop()
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="featurelog-fsync")

        self.received = 0
        self.outcomes: Counter[str] = Counter()
        self.logged: Counter[str] = Counter()
        self.dropped: dict[str, Counter[str]] = {outcome.value: Counter() for outcome in Outcome}
        self.fsync_failures = 0
        self.unsynced = 0  # records in the file whose caller was told that they are not safe
        self.last_error: LogUnwritable | None = None

        self._seq = 0  # of the next record
        self._written_seq = 0  # everything below is in the file
        self._declarations = Declarations()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._waiting: list[tuple[str, Waiter]] = []  # outcome ("" for other records), who waits
        self._unheard: WeakSet[Waiter] = WeakSet()  # cancelled waiters of records that were lost
        self._flush_due: asyncio.Handle | None = None
        self._dirty = True
        self._syncing: asyncio.Future[OSError | None] | None = None
        self._retired: list[OpenSegment] = []
        self._ledger_us = 0
        try:
            segments = list_segments(self.directory)
            self.torn_bytes = cut_torn_tail(segments[-1].path, self._disk) if segments else 0
            drop_unborn(self.directory, self._disk)
            self.epoch = segments[-1].epoch + 1 if segments else 1
            self._segment = self._made(0, Head, 0, ())
            self._segment.publish()
        except OSError as error:
            self._disk.close(self._lock)
            raise LogUnwritable(str(self.directory), error.strerror or str(error)) from error
        self.reserve = Reserve(self.directory / RESERVE, reserve_bytes, self._disk)

    @property
    def root(self) -> Path:
        """Where this writer's directory and those of the others are."""
        return self.directory.parent

    # --- appending ------------------------------------------------------------------------------------------------

    def schema_id(self, schema: Schema) -> int:
        """The id under which this epoch knows the version; the segment declares it before the first record that uses it."""
        return self._declarations.id_of(schema)

    def declared(self, schema: Schema) -> Schema | None:
        """The same with its id; None where no record of this epoch used it. From any thread."""
        return self._declarations.of(schema)

    def append_request(self, record: Request) -> Waiter:
        """Hands over one request's record; the future tells, when the mode's promise holds, whether it is in the log."""
        data = frame(encode(record), self._seq)
        self.received += 1
        self.outcomes[record.outcome] += 1
        return self._hand_over(data, record.outcome)

    def append(self, record: Record) -> Waiter:
        """Hands over a record of any other kind: shadow, feedback, ledger."""
        return self._hand_over(frame(encode(record), self._seq), "")

    def _hand_over(self, data: bytes, outcome: str) -> Waiter:
        """One future a record: a caller that is cancelled while it waits takes nobody with it."""
        waiter: Waiter = self.loop.create_future()
        reason = self._no_room(len(data))
        if reason:
            self._drop(outcome, reason)
            waiter.set_result(False)
            return waiter
        self._seq += 1
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._waiting.append((outcome, waiter))
        if self._relaxed:
            waiter.set_result(True)
            self._plan_relaxed()
        elif self._flush_due is None:
            self._flush_due = self.loop.call_soon(self.flush)
        return waiter

    def _no_room(self, size: int) -> str:
        if size - FRAME_BYTES > PAYLOAD_BYTES_MAX:
            return "too_large"
        if self._pending and self._pending_bytes + size > PENDING_BYTES_MAX:
            return "backlog"
        if self._commit is not None and self._commit.held_bytes + self._pending_bytes > UNSYNCED_BYTES_MAX:
            return "backlog"
        return ""

    def _plan_relaxed(self) -> None:
        if self._flush_due is None:
            self._flush_due = self.loop.call_later(RELAXED_DELAY_S, self.flush)
        elif self._pending_bytes > RELAXED_BYTES_MAX and isinstance(self._flush_due, asyncio.TimerHandle):
            self._flush_due.cancel()
            self._flush_due = self.loop.call_soon(self.flush)

    def is_written(self, waiter: Waiter) -> bool:
        """What the caller of `append_request` who was cancelled would have been told of the write, which is done now."""
        self.flush()
        return waiter not in self._unheard if waiter.cancelled() else waiter.result()

    async def synced(self) -> bool:
        """Waits, in the mode `disk`, until everything that is written is safe; False where it will not be."""
        if self._commit is None:
            return True
        waiter: Waiter = self.loop.create_future()
        self._commit.hold([Held(b"", waiter)])
        self._sync()
        return await waiter

    def _drop(self, outcome: str, reason: str) -> None:
        """Counts a request record that is not in the log."""
        if not outcome:
            return
        if self._refuse_unlogged and outcome == Outcome.ANSWERED:
            self.outcomes[Outcome.ANSWERED] -= 1
            self.outcomes[Outcome.FAILED] += 1
            outcome = Outcome.FAILED
        self.dropped[outcome][reason] += 1

    def hurry(self) -> None:
        """Writes now what somebody waits for; in the mode `relaxed` nobody waits."""
        if not self._relaxed:
            self.flush()

    def flush(self) -> None:
        """One write for everything handed over since the last one; then the waiting answers may leave, or one fsync begins."""
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        if not self._pending:
            return
        frames, waiting = self._pending, self._waiting
        self._pending, self._waiting, self._pending_bytes = [], [], 0
        if self.reserve.spent and not self.reserve.refill():
            self._settle(frames, waiting, 0, "no_space")
            return
        written, reason = self._write(frames)
        if reason == "no_space":
            self.reserve.release()
        self._settle(frames, waiting, written, reason)
        self._rotate_when_due(reason)

    def _write(self, frames: Sequence[bytes]) -> tuple[int, str]:
        """How many of the frames are in the file, and why not all."""
        refused = self._rotate() if self._segment.suspect and not self._segment.closed else None
        segment, start = self._segment, self._segment.size
        declarations = self._declarations.frames(segment.declared, self._written_seq)
        if declarations:
            frames = [*declarations, *frames]
        try:
            if segment.suspect:
                number = refused.errno if refused is not None and refused.errno in FULL else errno.EIO
                raise OSError(number, "the segment is not trusted and no other can be opened")
            segment.write(b"".join(frames))
            whole, reason, self.last_error = len(frames), "", None
        except OSError as error:
            self._keep_error(error)
            whole, reason = segment.cut_after_whole(frames, start), reason_of(error)
        segment.declared += min(whole, len(declarations))
        return max(0, whole - len(declarations)), reason

    def _settle(
        self, frames: Sequence[bytes], waiting: Sequence[tuple[str, Waiter]], written: int, reason: str
    ) -> None:
        """The first `written` of those who wait are in the log, the others are not."""
        self._written_seq = self._seq = self._written_seq + written
        self._dirty = self._dirty or written > 0
        commit = self._commit
        for place, (outcome, waiter) in enumerate(waiting):
            if place >= written:
                self._drop(outcome, reason)
            elif outcome:
                self.logged[outcome] += 1
            if commit is not None and place < written:
                continue
            if not waiter.done():
                waiter.set_result(place < written)
            elif place >= written:  # a caller that was cancelled no longer waits, and may ask
                self._unheard.add(waiter)
        if commit is not None and written:
            commit.hold([Held(data, waiter) for data, (_, waiter) in zip(frames[:written], waiting, strict=False)])
            self._sync()

    def _keep_error(self, error: OSError) -> None:
        self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))

    # --- segments -------------------------------------------------------------------------------------------------

    def _made(self, number: int, head: type[Head], first_seq: int, more: Sequence[bytes]) -> OpenSegment:
        """A new segment that has no name yet."""
        says = encode(head(FORMAT, self.writer, self.epoch, number, self._clock_us()))
        path = self.directory / segment_name(self.epoch, number)
        return OpenSegment(self._disk, path, number, [frame(says, first_seq), *more], first_seq)

    def _rotate_when_due(self, reason: str) -> None:
        if not reason and self._rotation.due(self._segment.size, time.monotonic() - self._segment.opened_s):
            self._rotate()

    def _rotate(self) -> OSError | None:
        """Seals the segment and opens the next; where that fails the old one stays in use and the error is kept."""
        try:
            segment = self._made(self._segment.number + 1, Head, self._written_seq, ())
            self._seal()
            segment.publish()
        except OSError as error:
            self._keep_error(error)
            return error
        self._go_on_in(segment)
        self._sync()
        return None

    def _go_on_in(self, segment: OpenSegment) -> None:
        self._retired.append(self._segment)
        self._segment, self._dirty = segment, True

    def _rotate_as_asked(self) -> None:
        """Somebody wants what is written until now to be sealed; asked again where no new segment can be opened."""
        self.flush()
        if self._rotate() is None:
            (self.directory / ROTATE).unlink(missing_ok=True)

    def _seal(self) -> None:
        if not self._segment.seal(self._written_seq) and self.reserve.release():
            self._segment.seal(self._written_seq)

    # --- fsync ----------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        """One fsync at a time, of everything that is written now; it ends in `_synced`."""
        if self._syncing is not None or self._segment.closed:
            return
        if self._commit is not None:
            self._commit.begin()
        retired, self._retired, self._dirty = self._retired, [], False
        self._syncing = self.loop.run_in_executor(self._syncer, sync_all, retired, self._segment)
        self._syncing.add_done_callback(self._synced)

    def _synced(self, ended: "asyncio.Future[OSError | None]") -> None:
        self._syncing = None
        error = ended.result()
        if error is not None:
            self.fsync_failures += 1
            self._keep_error(error)
            self._segment.suspect = True
        if self._commit is not None:
            if error is None:
                _tell(self._commit.synced(), safe=True)
            else:
                self._write_again(self._commit)
            if self._commit.waiting:
                self._sync()
        if self._retired:
            self._sync()

    def _write_again(self, commit: GroupCommit[Waiter]) -> None:
        """What was not acknowledged goes into a new segment, under the same numbers; once."""
        held = commit.failed()
        frames = [one.frame for one in held if one.frame]
        first_seq = self._written_seq - len(frames)
        try:
            if commit.repeated:
                raise OSError(errno.EIO, "what was written again could not be fsynced either")
            declared = self._declarations.frames(0, first_seq)
            segment = self._made(self._segment.number + 1, Again, first_seq, [*declared, *frames])
            segment.publish()
        except OSError as error:
            self._keep_error(error)
            commit.repeated = False
            self.unsynced += len(frames)
            _tell((one.waiter for one in held), safe=False)
            return
        segment.declared = len(declared)
        self._go_on_in(segment)
        commit.repeated = True
        commit.hold(held)

    # --- time -----------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Runs until cancelled: each interval the ledger (when a second of the clock passed) and one fsync in a thread."""
        while True:
            await asyncio.sleep(self._interval_s)
            if abs(self._clock_us() - self._ledger_us) >= LEDGER_INTERVAL_US:  # a clock set back must not silence it
                self.append_ledger()
            if self.reserve.spent:
                self.reserve.refill()
            if (self.directory / ROTATE).exists():
                self._rotate_as_asked()
            if self._dirty:
                self._sync()

    def append_ledger(self) -> None:
        """Writes the account, on a full disk from the reserve; nothing that it counts stands behind it in the log."""
        self.flush()
        self._ledger_us = self._clock_us()
        dropped = {outcome: dict(reasons) for outcome, reasons in self.dropped.items()}
        ledger = Ledger(self._ledger_us, self.received, dict(self.outcomes), dict(self.logged), dropped)
        frames, waiting = [frame(encode(ledger), self._seq)], [("", self.loop.create_future())]
        written, reason = self._write(frames)
        if reason == "no_space" and self.reserve.release():
            written, reason = self._write(frames)
        self._seq += 1
        self._settle(frames, waiting, written, reason)
        self._rotate_when_due(reason)

    async def close(self) -> None:
        """Writes the last account, seals, syncs and lets the directory go; what comes later is counted as lost."""
        self.append_ledger()
        self._seal()
        self._sync()
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
            if self._dirty:
                self._sync()
        self._segment.close()
        self._syncer.shutdown()
        self.reserve.close()
        with suppress(OSError):
            self._disk.close(self._lock)


def _tell(waiters: Iterable[Waiter], *, safe: bool) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(safe)
