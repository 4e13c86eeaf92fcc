"""What is pinned and not loaded yet? Loads it beside the requests, so that a rollback never waits for a trial.

Laws
- One version is loaded at a time, in the order of the lock, in a thread behind the requests; until it is, `of` gives None.
- What was refused is tried again only when the files changed since; `turns` rises whenever something may be built anew.
- An error that nobody foresaw refuses the version it came of, and nothing else: the others are loaded, what serves goes on.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from models.errors import (
    ArtifactMismatch,
    ArtifactMissing,
    ArtifactRefused,
    ContractInvalid,
    LoadFailed,
    ModelError,
    Reason,
    RunFailed,
    SignatureRefused,
)
from models.lock import Pin
from models.pool import LoadedVersion, Pool
from models.precedence import STEPS_BACK, step_back_here
from service.in_flight import LOADING, Cells, begin, end, mark_of, unshared
from service.rehearsal import Rehearsed
from service.telemetry import Telemetry
from service.unexpected import tell

_log = structlog.get_logger()


class Loading:
    """The pinned versions of one worker: loaded, refused, or on their way."""

    def __init__(
        self,
        pool: Pool,
        telemetry: Telemetry,
        cells: Cells | None = None,
        rehearse: Callable[[LoadedVersion], Rehearsed] | None = None,
        crowded: Callable[[Pin], bool] = lambda pin: False,
    ) -> None:
        """`cells`: where this worker tells what it runs (service/in_flight.py). `rehearse`: in the thread, after a load.

        `crowded`: is there no room for it after what was loaded meanwhile? Then whoever asked looks again.
        """
        self._pool, self._telemetry, self._cells = pool, telemetry, unshared() if cells is None else cells
        self._rehearse, self._rehearsing, self.rehearsed = rehearse, "", dict[str, str]()
        self._crowded = crowded
        self._refused: dict[Pin, tuple[Hashable, ModelError | OSError]] = {}
        self._wanted: dict[Pin, Hashable] = {}
        self._thread = ThreadPoolExecutor(1, "loading", partial(step_back_here, STEPS_BACK))
        self._task: asyncio.Task[None] | None = None
        self.turns = 0

    def of(self, pin: Pin) -> LoadedVersion | None:
        """None while it is not loaded. Raises the ModelError or OSError that forbids it."""
        if self._pool.holds(pin.digest):
            return None if pin.digest == self._rehearsing else self._pool.load(pin)
        if (refused := self._refused.get(pin)) is not None:
            raise refused[1].with_traceback(None)  # one error is raised at every look: its frames are those of the last
        return None

    def ask(self, pins: Sequence[Pin], files: Hashable) -> None:
        """Begins to load what is missing; `files`: changes when the files do."""
        self._refused = {pin: known for pin, known in self._refused.items() if pin in pins}
        digests = {pin.digest for pin in pins}
        self.rehearsed = {digest: told for digest, told in self.rehearsed.items() if digest in digests}
        self._wanted = {pin: files for pin in pins if self._is_missing(pin, files)}
        if self._wanted and not self.busy:
            self._task = asyncio.create_task(self._load_all(), name="loading")

    @property
    def busy(self) -> bool:
        """Is something on its way?"""
        return self._task is not None and not self._task.done()

    async def settle(self) -> None:
        """Returns when nothing is on its way."""
        if self._task is not None:
            await self._task

    def close(self) -> None:
        """A load that runs in its thread ends there."""
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False)

    def _is_missing(self, pin: Pin, files: Hashable) -> bool:
        refused = self._refused.get(pin)
        return not self._pool.holds(pin.digest) and (refused is None or refused[0] != files)

    async def _load_all(self) -> None:
        while self._wanted:
            pin = next(iter(self._wanted))
            files = self._wanted[pin]
            if self._crowded(pin):
                del self._wanted[pin]
                self.turns += 1
                continue
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._load, pin)
                self._refused.pop(pin, None)
            except (ModelError, OSError) as error:
                self._refuse(pin, files, error)
            except Exception as error:
                tell("version.broke", error, None, version=pin.ref, digest=pin.digest)
                self._refuse(pin, files, LoadFailed(pin.ref, type(error).__name__))
            if self._wanted.get(pin) == files:
                del self._wanted[pin]
            self.turns += 1

    def _load(self, pin: Pin) -> None:
        begin(self._cells, LOADING, mark_of(pin.digest))
        self._rehearsing = pin.digest
        try:
            loaded = self._pool.load(pin)
            if self._rehearse is not None:
                self._tell(pin, self._rehearse(loaded))
        except Exception:
            self._pool.forget(pin.digest)
            raise
        finally:
            self._rehearsing = ""
            end(self._cells, LOADING)

    def _tell(self, pin: Pin, rehearsed: Rehearsed) -> None:
        if not rehearsed.ran:
            return  # the sample was all
        self.rehearsed[pin.digest] = str(rehearsed)
        say = _log.warning if rehearsed.bad else _log.info
        say("version.rehearsed", version=pin.ref, ran=rehearsed.ran, failed=rehearsed.failed, why=rehearsed.why)

    def _refuse(self, pin: Pin, files: Hashable, error: ModelError | OSError) -> None:
        reason = _reason(error)
        self._refused[pin] = files, _bare(error)
        self._telemetry.version_refused(reason)
        _log.error("version.refused", version=pin.ref, digest=pin.digest, reason=reason, error=str(error))


def _bare(error: ModelError | OSError) -> ModelError | OSError:
    """Itself alone: its frames, and those of what it came of, hold what was loaded."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _reason(error: ModelError | OSError) -> str:
    match error:
        case ArtifactRefused():
            return error.reason.value
        case ArtifactMismatch():
            return "mismatch"
        case ArtifactMissing():
            return "missing"
        case ContractInvalid():
            return Reason.INSPECTION.value
        case SignatureRefused():
            return "signature"
        case RunFailed():
            return Reason.RUN.value
        case LoadFailed():
            return "unforeseen"
    return "unreadable"
