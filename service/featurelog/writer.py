"""Writes the feature log: one directory a worker, one write(2) for all records of an event-loop tick.

An acknowledgement (the future of `append` is True) means: write(2) has returned for the record's whole frame, so it survives
the death of every process; fsync follows within `fsync_interval_s` in a thread, so power loss takes at most that much.

Laws
- `seq` rises by one a record in the file; what could not be written is counted by reason and leaves no hole in the numbering.
- Of a write that ends early the whole frames stay, for a reader may have them; only the torn rest is cut.
- After every flush `received = Σ outcomes`, and for each outcome `outcomes = logged + Σ dropped` (FORMAT.md §5.5).
- Nothing here blocks the event loop but one write(2) a tick and, at rotation, one open(2).
"""

import asyncio
import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, takewhile
from pathlib import Path
from weakref import WeakSet

import msgspec

from models.durable import sync_directory
from service.featurelog.errors import LogUnwritable
from service.featurelog.files import ROTATE, list_segments, lock_first_free
from service.featurelog.framing import FRAME_BYTES, PAYLOAD_BYTES_MAX, frame
from service.featurelog.record import FORMAT, Head, Ledger, Outcome, Record, Request, Schema, Seal, encode
from service.featurelog.recovery import cut_torn_tail
from service.featurelog.segments import Rotation, segment_name

WRITERS_MAX = 1024  # far above any worker count: a leak of locks becomes an error, not a disk full of directories
PENDING_BYTES_MAX = 64 * 1024 * 1024  # records of one tick; beyond it they are dropped and counted as "backlog"
LEDGER_INTERVAL_US = 1_000_000  # FORMAT.md §5.5: the heartbeat by which a reader knows that the writer lives

Clock = Callable[[], int]


class FeatureLog:
    """The one writer of its directory. All methods but `_fsync` and `_retire` run on the event loop that built it."""

    def __init__(
        self,
        root: Path,
        *,
        rotation: Rotation,
        fsync_interval_s: float,
        clock_us: Clock,
        refuse_unlogged: bool = False,
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
        self.loop = asyncio.get_running_loop()
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="featurelog-fsync")

        self.received = 0
        self.outcomes: Counter[str] = Counter()
        self.logged: Counter[str] = Counter()
        self.dropped: dict[str, Counter[str]] = {outcome.value: Counter() for outcome in Outcome}
        self.last_error: LogUnwritable | None = None

        self._seq = 0  # of the next record
        self._written_seq = 0  # everything below is in the file
        self._schemas: list[Schema] = []
        self._schema_ids: dict[tuple[str, str, str], int] = {}
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._waiting: list[tuple[str, asyncio.Future[bool]]] = []  # outcome ("" for other records), who waits
        self._unheard: WeakSet[asyncio.Future[bool]] = WeakSet()  # cancelled waiters of records that were lost
        self._flush_due = False
        self._dirty = True
        self._suspect = False  # an fsync or a cut failed: write nothing more into this segment
        self._ledger_us = 0
        self._fd = -1  # of the open segment, as the following
        self._number = -1
        self._size = 0
        self._declared = 0  # schemas
        self._first_seq = 0
        self._opened_s = 0.0
        self._named = False  # its name survives power loss
        try:
            segments = list_segments(self.directory)
            self.torn_bytes = cut_torn_tail(segments[-1].path) if segments else 0
            self.epoch = segments[-1].epoch + 1 if segments else 1
            self._next_segment()
        except OSError as error:
            os.close(self._lock)
            raise LogUnwritable(str(self.directory), error.strerror or str(error)) from error

    # --- appending ------------------------------------------------------------------------------------------------

    def schema_id(self, schema: Schema) -> int:
        """The id under which this epoch knows the version; the segment declares it before the first record that uses it."""
        key = (schema.model, schema.version, schema.digest)
        known = self._schema_ids.get(key)
        if known is None:
            known = self._schema_ids[key] = len(self._schemas)
            self._schemas.append(msgspec.structs.replace(schema, id=known))
        return known

    def append_request(self, record: Request) -> "asyncio.Future[bool]":
        """Hands over one request's record; the future tells, after the tick's write, whether it is in the log."""
        data = frame(encode(record), self._seq)
        self.received += 1
        self.outcomes[record.outcome] += 1
        return self._hand_over(data, record.outcome)

    def append(self, record: Record) -> "asyncio.Future[bool]":
        """Hands over a record of any other kind: shadow, feedback, ledger."""
        return self._hand_over(frame(encode(record), self._seq), "")

    def _hand_over(self, data: bytes, outcome: str) -> "asyncio.Future[bool]":
        """One future a record: a caller that is cancelled while it waits takes nobody with it."""
        waiter: asyncio.Future[bool] = self.loop.create_future()
        too_large = len(data) - FRAME_BYTES > PAYLOAD_BYTES_MAX
        if too_large or (self._pending and self._pending_bytes + len(data) > PENDING_BYTES_MAX):
            self._drop(outcome, "too_large" if too_large else "backlog")
            waiter.set_result(False)
            return waiter
        self._seq += 1
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._waiting.append((outcome, waiter))
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self.flush)
        return waiter

    def is_written(self, waiter: "asyncio.Future[bool]") -> bool:
        """What the caller of `append_request` who was cancelled would have been told; the record is written now if it waits."""
        self.flush()
        return waiter not in self._unheard if waiter.cancelled() else waiter.result()

    def _drop(self, outcome: str, reason: str) -> None:
        """Counts a request record that is not in the log."""
        if not outcome:
            return
        if self._refuse_unlogged and outcome == Outcome.ANSWERED:
            self.outcomes[Outcome.ANSWERED] -= 1
            self.outcomes[Outcome.FAILED] += 1
            outcome = Outcome.FAILED
        self.dropped[outcome][reason] += 1

    def flush(self) -> None:
        """One write for everything handed over since the last one; then the waiting answers may leave."""
        self._flush_due = False
        if not self._pending:
            return
        if self._suspect and self._fd >= 0:
            self._rotate()
        declarations = [frame(encode(schema), self._written_seq) for schema in self._schemas[self._declared :]]
        frames, waiting = [*declarations, *self._pending], self._waiting
        self._pending, self._waiting, self._pending_bytes = [], [], 0
        start, reason = self._size, ""
        try:
            if self._suspect:
                raise OSError(errno.EIO, "the segment is not trusted and no other can be opened")
            self._write_all(b"".join(frames))
            whole, self.last_error = len(frames), None
        except OSError as error:
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))
            whole, reason = self._cut_after_whole(frames, start), _reason(error)
        self._declared += min(whole, len(declarations))
        self._settle(waiting, max(0, whole - len(declarations)), reason)
        if not reason and self._rotation.due(self._size, time.monotonic() - self._opened_s):
            self._rotate()

    def _settle(self, waiting: Sequence[tuple[str, asyncio.Future[bool]]], written: int, reason: str) -> None:
        """The first `written` of those who wait are in the log, the others are not."""
        self._written_seq = self._seq = self._written_seq + written
        self._dirty = self._dirty or written > 0
        for place, (outcome, waiter) in enumerate(waiting):
            if place >= written:
                self._drop(outcome, reason)
            elif outcome:
                self.logged[outcome] += 1
            if not waiter.done():
                waiter.set_result(place < written)
            elif place >= written:  # a caller that was cancelled no longer waits, and may ask
                self._unheard.add(waiter)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            view = view[written:]
            self._size += written

    def _cut_after_whole(self, frames: Sequence[bytes], start: int) -> int:
        """After a failed write the segment ends behind its last whole frame; returns how many of these it holds."""
        borders = list(takewhile(lambda end: end <= self._size, accumulate(map(len, frames), initial=start)))
        torn, self._size = self._size > borders[-1], borders[-1]
        try:
            if torn:
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
        except OSError:
            self._suspect = True
        return len(borders) - 1

    # --- segments -------------------------------------------------------------------------------------------------

    def _next_segment(self) -> None:
        """Goes on in a new segment, which appears with its HEAD or not at all; then the present one stays in use."""
        path = self.directory / segment_name(self.epoch, self._number + 1)
        aside = path.with_name(f"{path.name}.new")
        head = frame(
            encode(Head(FORMAT, self.writer, self.epoch, self._number + 1, self._clock_us())), self._written_seq
        )
        descriptor = -1
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            if os.write(descriptor, head) < len(head):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._seal()
            aside.rename(path)
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            self._syncer.submit(self._retire, self._fd)
        self._fd, self._number, self._size, self._declared = descriptor, self._number + 1, len(head), 0
        self._opened_s, self._first_seq = time.monotonic(), self._written_seq
        self._suspect, self._dirty, self._named = False, True, False

    def _rotate(self) -> None:
        """Seals the segment and opens the next; where that fails the old one stays in use and the error is kept."""
        try:
            self._next_segment()
        except OSError as error:
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))

    def _rotate_as_asked(self) -> None:
        """Somebody wants what is written until now to be sealed; asked again where no new segment can be opened."""
        before = self._number
        self.flush()
        self._rotate()
        if self._number > before:
            (self.directory / ROTATE).unlink(missing_ok=True)

    def _seal(self) -> None:
        """Says that the segment ends here; without it the next segment says so."""
        if self._fd < 0 or self._suspect:
            return
        start = self._size
        seq = self._written_seq
        seal = frame(encode(Seal(seq - self._first_seq, seq - 1)), seq)
        try:
            self._write_all(seal)
        except OSError:
            self._cut_after_whole([seal], start)

    # --- time -----------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Runs until cancelled: each interval the ledger (when a second of the clock passed) and one fsync in a thread."""
        while True:
            await asyncio.sleep(self._interval_s)
            if abs(self._clock_us() - self._ledger_us) >= LEDGER_INTERVAL_US:  # a clock set back must not silence it
                self.append_ledger()
            if (self.directory / ROTATE).exists():
                self._rotate_as_asked()
            if self._dirty:
                self._dirty = False
                await self.loop.run_in_executor(self._syncer, self._fsync)

    def append_ledger(self) -> None:
        """Writes the account; nothing that it counts stands behind it in the log."""
        self.flush()
        self._ledger_us = self._clock_us()
        dropped = {outcome: dict(reasons) for outcome, reasons in self.dropped.items()}
        self.append(Ledger(self._ledger_us, self.received, dict(self.outcomes), dict(self.logged), dropped))
        self.flush()

    def _fsync(self) -> None:
        try:
            os.fsync(self._fd)
            if not self._named:
                self._named = True
                sync_directory(self.directory)
                sync_directory(self.directory.parent)
        except OSError as error:
            self._suspect = True
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))

    def _retire(self, descriptor: int) -> None:
        """The last fsync of a segment that is no longer written."""
        try:
            os.fsync(descriptor)
            sync_directory(self.directory)
        except OSError as error:
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))
        finally:
            os.close(descriptor)

    async def close(self) -> None:
        """Writes the last account, seals, syncs and lets the directory go; what comes later is counted as lost."""
        self.append_ledger()
        self._seal()
        descriptor, self._fd = self._fd, -1  # the number may belong to another file soon
        await self.loop.run_in_executor(self._syncer, self._retire, descriptor)
        self._syncer.shutdown()
        os.close(self._lock)


def _reason(error: OSError) -> str:
    """A fixed word, so that a metric label stays bounded."""
    known = {errno.ENOSPC: "no_space", errno.EDQUOT: "no_space", errno.EIO: "io_error", errno.EROFS: "read_only"}
    return known.get(error.errno or 0, "os_error")
