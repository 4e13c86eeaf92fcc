"""What ended a worker, and is a version to be taken out for it? Looks at every death, and ejects by the audited path.

The order of effects: the routes leave the version (audit entry, then document), then it is forbidden to load (`ejected.json`),
so that no request meets a version that is forbidden and still routed. Where the routes cannot be changed it is forbidden all
the same: the workers then leave it out by themselves.
"""

import signal
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from models.errors import LockInvalid
from models.lock import Pin
from models.lock_file import LockFile
from service.ejected import Ejected, EjectedFile
from service.ejection import CRASHES, WINDOW_S, Deaths, counted, culprit, without
from service.errors import RoutesInvalid
from service.in_flight import Board, mark_of
from service.routes_audit import Author, Via
from service.routes_document import Routes
from service.routes_errors import RoutesOutdated
from service.routes_file import RoutesFile
from service.settings import Settings

TRIES_MAX = 20  # times that somebody else may change the routes first
WORDS_CHARS_MAX = 2_000  # of a crash, in the log: the thread that crashed and where
OOM_LOOKS = 3  # the kernel counts a kill before its death is seen, by a look or two
VMSTAT = Path("/proc/vmstat")
_CRASH = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)
_log = structlog.get_logger()


class Dead(NamedTuple):
    """A worker that ended; `signal` 0: by itself; `asked`: it was told to."""

    pid: int
    signal: int
    asked: bool


class Inquest:
    """One a supervisor."""

    def __init__(self, settings: Settings, board: Board, *, vmstat: Path = VMSTAT) -> None:
        self._board = board
        self._routes, self._lock_file = RoutesFile(settings.routes_path), LockFile(settings.lock_path)
        self._ejected, self._vmstat = EjectedFile(settings.ejected_path), vmstat
        self._deaths: Deaths = {}
        self._oom_kills = deque([self._count_oom_kills()], maxlen=OOM_LOOKS)

    def look(self, dead: Sequence[Dead]) -> None:
        """At all who ended since the last look; call it at each."""
        self._oom_kills.append(self._count_oom_kills())
        for one in dead:
            self._look_into(one)

    def _look_into(self, dead: Dead) -> None:
        left, words = self._board.take(dead.pid)
        how = self._how(dead)
        if not how:
            return
        mark = culprit(left)
        blamed = "" if mark is None else next(iter(self._refs([mark])), "")
        ran = self._refs(list(left.running.values()))
        _log.error(
            "worker.died", pid=dead.pid, how=how, running=ran, blamed=blamed, words=words.strip()[:WORDS_CHARS_MAX]
        )
        if mark is None:
            return
        deaths, ejected = counted(self._deaths, mark, time.monotonic())
        if ejected and not self._eject(mark, how):
            return  # as many deaths as before: the next one tries again
        self._deaths = deaths

    def _how(self, dead: Dead) -> str:
        """What ended it, where that may have been a version; an operator's kill, or ours, is none."""
        if dead.signal in _CRASH:
            return signal.Signals(dead.signal).name
        starved = dead.signal == signal.SIGKILL and not dead.asked and self._oom_kills[-1] > self._oom_kills[0]
        return "SIGKILL for want of memory" if starved else ""

    def _eject(self, mark: int, how: str) -> bool:
        """Whether it is out now."""
        try:
            pins = [pin for pin in self._lock_file.read().pins if mark_of(pin.digest) == mark]
            if not pins:
                return False  # taken out of the lock meanwhile: whoever starts does not load it
            why = f"{pins[0].ref} ended its worker {CRASHES} times within {WINDOW_S:g} s, the last time by {how}"
            self._reroute(pins, why)
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            out = [Ejected(digest=p.digest, name=p.name, version=p.version, at=at, why=why) for p in pins]
            self._ejected.add(*out)
        except (LockInvalid, OSError) as error:
            _log.error("ejection.failed", reason=str(error))
            return False
        _log.error("version.ejected", versions=[pin.ref for pin in pins], digest=pins[0].digest, why=why)
        return True

    def _reroute(self, pins: Sequence[Pin], why: str) -> None:
        """An entry in the audit log in any case, also where no model has another version to go to."""
        asked = msgspec.Raw(msgspec.json.encode({"do": "eject", "versions": [pin.ref for pin in pins]}))
        author = Author(Via.EJECTED, why=why, asked=asked)
        for _ in range(TRIES_MAX):
            try:
                present = self._routes.in_use()
                after = present
                for pin in pins:
                    after = without(after, pin.name, pin.version, self._past(pin.name), self._usable(pin))
                self._routes.swap(present.generation, Routes(present.generation + 1, after.models, after.entry), author)
                return
            except RoutesOutdated:  # somebody else was first
                continue
            except (RoutesInvalid, OSError) as error:
                _log.error("ejection.unrouted", reason=str(error))
                return

    def _past(self, model: str) -> list[str]:
        """What was stable, newest first."""
        afters = [chained.entry.after.get(model) for chained in reversed(self._routes.entries())]
        return [routes.stable for routes in afters if routes is not None]

    def _usable(self, out: Pin) -> set[str]:
        """Versions that may take its place: pinned, of other bytes, and not ejected themselves."""
        barred = {*self._ejected.by_digest(), out.digest}
        return {pin.version for pin in self._lock_file.read().pins if pin.name == out.name and pin.digest not in barred}

    def _refs(self, marks: Sequence[int]) -> list[str]:
        try:
            return [pin.ref for pin in self._lock_file.read().pins if mark_of(pin.digest) in marks]
        except (LockInvalid, OSError):
            return [f"{mark:016x}" for mark in marks]

    def _count_oom_kills(self) -> int:
        """Processes that the kernel has ended for want of memory; 0 where it does not say: then none is blamed for it."""
        try:
            lines = self._vmstat.read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
