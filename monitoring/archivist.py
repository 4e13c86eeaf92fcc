"""Who turns sealed segments into Parquet: a pass of `plumbline log archive` in a process of its own, every so often.

Laws
- One pass at a time; what it needs of memory and what may kill it stays in its process.
- A pass is told the positions that the monitor has saved, so retention takes nothing that the monitor would read again.
- A pass that fails is counted by reason and tried again at the next interval; segments wait meanwhile, and how many is said.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from models.errors import UNDECODABLE
from monitoring.status import Archived, ArchiveStatus
from service.featurelog.chunk import Positions
from service.featurelog.errors import FeatureLogError
from service.featurelog.floors import load_manifest
from service.featurelog.sealed import waiting

NICE = 10  # the service's core comes first
IDLE_S = 3600.0  # without new segments a pass only merges and lets go: a start of Python costs a second of a core
OUTPUT_BYTES_MAX = 1 << 20  # one line of JSON; what is longer is no report
FAULT_FOUND = 1  # exit code: a file of the archive is damaged, all else was done
COMMAND = (sys.executable, "-m", "plumbline", "log", "archive")


class _Report(Archived, frozen=True):
    """What a pass prints; the failed ones say `failed` and `error`."""

    failed: str = ""
    error: str = ""
    damaged: tuple[str, ...] = ()
    took_s: float = 0.0


class Archivist:
    """Starts the passes of one home; `saved` gives the positions of the last checkpoint."""

    def __init__(
        self,
        home: Path,
        *,
        interval_s: float,
        timeout_s: float,
        saved: Callable[[], Positions],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._home, self._interval_s, self._timeout_s, self._saved, self._command = (
            home,
            interval_s,
            timeout_s,
            saved,
            command,
        )
        self._status = ArchiveStatus()
        self._passed_s = float("-inf")

    def status(self) -> ArchiveStatus:
        """The newest status; never waits for a pass."""
        return self._status

    async def run(self) -> None:
        """A pass each interval in which there is something to do, until cancelled; one that is under way is ended then."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.step()

    async def step(self) -> None:
        """One pass where segments wait or the last is long ago, and what waits then."""
        await self._look()
        if self._status.waiting_segments or time.monotonic() - self._passed_s > IDLE_S:
            await self._work()
            await self._look()

    async def _work(self) -> None:
        self._passed_s = time.monotonic()
        report = await self._pass()
        status = _with(self._status, report)
        if report.failed:
            structlog.get_logger().error("archive_failed", reason=report.failed, error=report.error)
        for sentence in report.damaged:
            structlog.get_logger().error("archive_damaged", what=sentence)
        self._status = msgspec.structs.replace(status, passes=status.passes + 1, took_s=report.took_s)

    async def _look(self) -> None:
        try:
            left = await asyncio.to_thread(lambda: waiting(self._home / "log", load_manifest(self._home / "archive")))
        except (OSError, FeatureLogError):  # a pass says why; what waited before is still the best guess
            return
        oldest_s = None if left.oldest_us is None else left.oldest_us / 1e6
        self._status = msgspec.structs.replace(
            self._status, waiting_segments=left.segments, waiting_bytes=left.bytes, oldest_waiting_s=oldest_s
        )

    async def _pass(self) -> _Report:
        positions = msgspec.json.encode(self._saved()).decode()
        arguments = ["--home", str(self._home), "--json", "--nice", str(NICE), "--keep-from", positions]
        started_s = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            return _Report(failed="not_started", error=str(error))
        try:
            async with asyncio.timeout(self._timeout_s):
                said = await _output(process)
                code = await process.wait()
        except TimeoutError:
            return _Report(failed="timeout", error=f"{self._timeout_s:g} s passed", took_s=time.monotonic() - started_s)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()  # `wait` alone waits for ever where a pipe is full
        return _read(said, code, time.monotonic() - started_s)


async def _output(process: asyncio.subprocess.Process) -> bytes:
    """Everything is read, so that nobody waits at a full pipe; only the beginning is kept."""
    assert process.stdout is not None
    said = b""
    while more := await process.stdout.read(1 << 16):
        said = (said + more)[:OUTPUT_BYTES_MAX]
    return said


def _read(said: bytes, code: int, took_s: float) -> _Report:
    try:
        report = msgspec.json.decode(said, type=_Report)
    except UNDECODABLE:
        return _Report(failed="killed" if code < 0 else "crashed", error=f"exit code {code}, no report", took_s=took_s)
    if code not in (0, FAULT_FOUND) and not report.failed:
        return _Report(failed="crashed", error=f"exit code {code}", took_s=took_s)
    return report


def _with(status: ArchiveStatus, report: _Report) -> ArchiveStatus:
    failures = dict(status.failures)
    if report.failed:
        failures[report.failed] = failures.get(report.failed, 0) + 1
    sums = {name: getattr(status, name) + getattr(report, name) for name in Archived.__struct_fields__}
    return msgspec.structs.replace(
        status, failures=failures, last_error=report.error, damaged_files=len(report.damaged), **sums
    )
