"""A rolling restart: every worker is replaced by a new one, one at a time, and none leaves before its successor serves.

Laws
- An old worker is sent away only when a new one is warm and routes every model that the old one routes; until that is known the
  new one accepts nothing.
- Where a new one fails, it is stopped, the reason is told, and the old ones that are left go on.
"""

import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from service.presence import WorkerSign

_log = structlog.get_logger()


class Workers(Protocol):
    """What is needed of a `Crew`."""

    def pids(self) -> list[int]: ...

    def start_another(self) -> int: ...

    def send_away(self, pid: int, number: int) -> None: ...


class ReloadFailed(Exception):
    """The workers could not all be replaced."""

    def __init__(self, why: str, replaced: int, of: int) -> None:
        super().__init__(why, replaced, of)
        self.why, self.replaced, self.of = why, replaced, of

    def __str__(self) -> str:
        return f"reload: {self.why}; {self.replaced} of {self.of} workers replaced, the others stay as they were"


class Rolling:
    """`wait(condition, seconds)` looks again until the condition holds: False when it did not, or the service is to stop."""

    def __init__(
        self,
        *,
        workers: Workers,
        signs: Callable[[], Sequence[WorkerSign]],
        wait: Callable[[Callable[[], bool], float], bool],
        hold: Callable[[bool], None],
        start_s_max: float,
        leave_s_max: float,
    ) -> None:
        self._workers, self._signs, self._wait, self._hold = workers, signs, wait, hold
        self._start_s_max, self._leave_s_max = start_s_max, leave_s_max

    def replace_all(self) -> int:
        """How many were replaced: all that were there. Raises ReloadFailed."""
        old = self._workers.pids()
        for replaced, pid in enumerate(old):
            if pid not in self._workers.pids():
                continue  # it died meanwhile: what was started in its place is new
            self._hold(True)
            new = self._workers.start_another()
            why = self._unfit(new, pid)
            if why is not None:
                self._workers.send_away(new, signal.SIGKILL)  # held back, it has answered nobody
            self._hold(False)
            if why is not None:
                raise ReloadFailed(why, replaced, len(old))
            _log.info("reload.replacing", old=pid, new=new)
            self._workers.send_away(pid, signal.SIGHUP)
            self._wait(lambda pid=pid: pid not in self._workers.pids(), self._leave_s_max)  # type: ignore[misc]
        return len(old)

    def _unfit(self, new: int, old: int) -> str | None:
        """Why the new worker cannot take the old one's place; waits until it is warm."""

        def decided() -> bool:
            return self._sign(new) is not None or new not in self._workers.pids()

        ready = self._wait(decided, self._start_s_max)
        sign, before = self._sign(new), self._sign(old)
        if sign is None:
            return "the new worker ended while it started" if ready else f"no new worker within {self._start_s_max:g} s"
        lost = sorted(set(before.models if before else ()) - set(sign.models))
        return f"the new worker does not serve {', '.join(lost)}: {'; '.join(sign.problems)}" if lost else None

    def _sign(self, pid: int) -> WorkerSign | None:
        return next((sign for sign in self._signs() if sign.pid == pid), None)
