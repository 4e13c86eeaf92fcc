"""Writes the feature log: one directory a worker, one write(2) for all records of an event-loop tick.

An acknowledgement (the future of `append` is True) means: write(2) has returned for the record's whole frame, so it survives
the death of every process; fsync follows within `fsync_interval_s` in a thread, so power loss takes at most that much.

Laws
- `seq` rises by one a record in the file; what could not be written is counted by reason and leaves no hole in the numbering.
- After every flush `received = Σ outcomes`, and for each outcome `outcomes = logged + Σ dropped` (FORMAT.md §5.5).
- Nothing here blocks the event loop but one write(2) a tick and, at rotation, one open(2).
"""

import asyncio
import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from models.durable import sync_directory
from service.featurelog.errors import LogUnwritable
from service.featurelog.files import list_segments, lock_first_free
from service.featurelog.framing import frame
from service.featurelog.record import FORMAT, Head, Ledger, Outcome, Record, Request, Schema, Seal, encode
from service.featurelog.recovery import cut_torn_tail
from service.featurelog.segments import Rotation, segment_name

WRITERS_MAX = 1024  # far above any worker count: a leak of locks becomes an error, not a disk full of directories
PENDING_BYTES_MAX = 64 * 1024 * 1024  # records of one tick; beyond it they are dropped and counted as "backlog"
LEDGER_INTERVAL_US = 1_000_000  # FORMAT.md §5.5: the heartbeat by which a reader knows that the writer lives

Clock = Callable[[], int]


class FeatureLog:
    """The one writer of its directory. All methods but `_fsync` run on the event loop that built it."""

    def __init__(self, root: Path, *, rotation: Rotation, fsync_interval_s: float, clock_us: Clock) -> None:
        """Takes the first free directory, cuts its torn tail, starts a new epoch. Raises DirectoryBusy, LogUnwritable."""
        self.writer, self.directory, self._lock = lock_first_free(root, WRITERS_MAX)
        segments = list_segments(self.directory)
        self.torn_bytes = cut_torn_tail(segments[-1].path) if segments else 0
        self.epoch = segments[-1].epoch + 1 if segments else 1
        self._rotation, self._interval_s, self._clock_us = rotation, fsync_interval_s, clock_us
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
        self._schema_ids: dict[str, int] = {}
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._pending_outcomes: list[str] = []
        self._flushed: asyncio.Future[bool] | None = None
        self._dirty = True
        self._suspect = False  # an fsync failed: what this segment holds may be gone, go on in a new one
        self._ledger_us = 0
        self._number = -1
        self._declared = 0  # schemas that the open segment declares
        self._open_segment()

    # --- appending ------------------------------------------------------------------------------------------------

    def schema_id(self, schema: Schema) -> int:
        """The id under which this epoch knows the version; the segment declares it before the first record that uses it."""
        known = self._schema_ids.get(schema.digest)
        if known is None:
            known = self._schema_ids[schema.digest] = len(self._schemas)
            self._schemas.append(msgspec.structs.replace(schema, id=known))
        return known

    def append_request(self, record: Request) -> "asyncio.Future[bool]":
        """Hands over one request's record; the future tells, after the tick's write, whether it is in the log."""
        self.received += 1
        self.outcomes[record.outcome] += 1
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.dropped[record.outcome]["backlog"] += 1
            return _already(self.loop, False)
        self._pending_outcomes.append(record.outcome)
        return self.append(record)

    def answered_became_failed(self) -> None:
        """The policy forbids an answer without a record: one lost answer is given as a failure instead."""
        self.outcomes[Outcome.ANSWERED] -= 1
        self.outcomes[Outcome.FAILED] += 1
        reason = next(reason for reason, n in self.dropped[Outcome.ANSWERED].items() if n)
        self.dropped[Outcome.ANSWERED][reason] -= 1
        self.dropped[Outcome.FAILED][reason] += 1

    def append(self, record: Record) -> "asyncio.Future[bool]":
        """Hands over a record of any kind; shadow, feedback and ledger records come here directly."""
        data = frame(encode(record), self._seq)
        self._seq += 1
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._flushed is None:
            self._flushed = self.loop.create_future()
            self.loop.call_soon(self.flush)
        return self._flushed

    def flush(self) -> None:
        """One write for everything handed over since the last one; then the waiting answers may leave."""
        flushed, self._flushed = self._flushed, None
        written = self._write_pending() if self._pending else True
        if flushed is not None and not flushed.done():
            flushed.set_result(written)

    def _write_pending(self) -> bool:
        undeclared = [frame(encode(schema), self._written_seq) for schema in self._schemas[self._declared :]]
        data = b"".join(undeclared + self._pending)
        outcomes, self._pending_outcomes = self._pending_outcomes, []
        self._pending.clear()
        self._pending_bytes = 0
        try:
            self._write_all(data)
        except OSError as error:
            self._take_back(error, outcomes)
            return False
        self._declared = len(self._schemas)
        self._written_seq = self._seq
        for outcome in outcomes:
            self.logged[outcome] += 1
        self._dirty = True
        if self._suspect or self._rotation.due(self._size, time.monotonic() - self._opened_s):
            self._rotate()
        return True

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)

    def _take_back(self, error: OSError, outcomes: list[str]) -> None:
        """After a failed write the segment ends where it ended before, and the loss is counted by reason."""
        self._seq = self._written_seq
        self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))
        for outcome in outcomes:
            self.dropped[outcome][_reason(error)] += 1
        try:
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
        except OSError:
            self._suspect = True

    # --- segments -------------------------------------------------------------------------------------------------

    def _open_segment(self) -> None:
        path = self.directory / segment_name(self.epoch, self._number + 1)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise LogUnwritable(str(path), error.strerror or str(error)) from error
        self._number += 1
        self._size, self._opened_s, self._declared, self._first_seq = 0, time.monotonic(), 0, self._seq
        self._write_all(frame(encode(Head(FORMAT, self.writer, self.epoch, self._number, self._clock_us())), self._seq))

    def _rotate(self) -> None:
        """Seals the segment and opens the next; where that fails the old one stays in use and the error is kept."""
        old = self._fd
        try:
            self._write_all(self._seal())
            self._open_segment()
        except (OSError, LogUnwritable) as error:
            self.last_error = LogUnwritable(str(self.directory), str(error))
            return
        self._suspect = False
        self._syncer.submit(_sync_and_close, old, self.directory)

    def _seal(self) -> bytes:
        return frame(encode(Seal(self._seq - self._first_seq, self._seq - 1)), self._seq)

    # --- time -----------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Runs until cancelled: each interval the ledger (when a second of the clock passed) and one fsync in a thread."""
        while True:
            await asyncio.sleep(self._interval_s)
            if self._clock_us() - self._ledger_us >= LEDGER_INTERVAL_US:
                self.append_ledger()
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
        except OSError as error:
            self._suspect = True
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))

    async def close(self) -> None:
        """Writes the last account, seals, syncs and lets the directory go."""
        self.append_ledger()
        try:
            self._write_all(self._seal())
        except OSError as error:
            self.last_error = LogUnwritable(str(self.directory), error.strerror or str(error))
        await self.loop.run_in_executor(self._syncer, _sync_and_close, self._fd, self.directory)
        self._syncer.shutdown()
        os.close(self._lock)


def _already(loop: asyncio.AbstractEventLoop, value: bool) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = loop.create_future()
    future.set_result(value)
    return future


def _reason(error: OSError) -> str:
    """A fixed word, so that a metric label stays bounded."""
    known = {errno.ENOSPC: "no_space", errno.EDQUOT: "no_space", errno.EIO: "io_error", errno.EROFS: "read_only"}
    return known.get(error.errno or 0, "os_error")


def _sync_and_close(descriptor: int, directory: Path) -> None:
    os.fsync(descriptor)
    os.close(descriptor)
    sync_directory(directory)
