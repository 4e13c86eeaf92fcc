"""The workers as processes: keeps as many as there should be, tells which live, sends one away; all that knows circus.

BentoML runs circus's supervisor in a thread; everything here is done in that thread's event loop and waited for, one thing at a
time. Its own way of keeping the number is not used: it would end the oldest worker where a new one that failed should end, and
start another in the place of one that was sent away.
"""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any, TypeVar

import structlog

from service.inquest import Dead

ANSWER_WITHIN_S = 10.0  # spawning a worker takes milliseconds; a supervisor that does not answer so long has stopped
WORKER_NUMBERS_MAX = 1024  # circus numbers workers up to twice this; four times the most that can be set
T = TypeVar("T")
_log = structlog.get_logger()


class SupervisorGone(Exception):
    """The supervisor's thread does not answer."""

    def __str__(self) -> str:
        return f"supervisor: no answer within {ANSWER_WITHIN_S:g} s; the service cannot go on"


class Crew:
    """The workers of one service. Every method that asks the supervisor raises SupervisorGone."""

    def __init__(self, server: Any, *, size: int, kill_after_s: float) -> None:
        self._server, self._arbiter, self._size = server, server.arbiter, size
        (self._watcher,) = self._arbiter.watchers
        self._watcher.hooks["after_reap"] = self._note
        self._dead, self._asked = deque[Dead](), set[int]()
        self._farewells: dict[int, asyncio.Future[Any]] = {}  # of those who were sent away and have not ended
        self.kill_after_s = kill_after_s

    def look(self) -> bool:
        """Starts workers for those that died; False while the supervisor is still starting."""
        if self._arbiter.loop is None or self._arbiter.ctrl.caller is None:
            return False
        return self._ask(self._look)

    def dead(self) -> list[Dead]:
        """Who ended since this was asked last."""
        return [self._dead.popleft() for _ in range(len(self._dead))]

    def pids(self) -> list[int]:
        """Of the workers that are alive, oldest first."""
        return [process.pid for process in self._ask(self._alive)]

    def start_another(self) -> int:
        """Starts one more worker than there should be; its pid, 0 where it did not start."""
        return self._ask(self._start_another)

    def send_away(self, pid: int, number: int) -> None:
        """Signals a worker and no longer counts it; killed where it has not ended after `kill_after_s`."""
        self._ask(lambda: self._send_away(pid, number))

    def stop(self, number: int) -> None:
        """No new connections, and this signal to every worker. Returns when all have ended."""
        self._ask(lambda: self._stop(number))
        self._wait(self._all_gone(), self.kill_after_s + ANSWER_WITHIN_S)
        self._server.stop()

    def hurry(self, within_s: float) -> None:
        """While `stop` waits (a signal handler may call it): who leaves is to cut off what it does, or is killed."""
        loop = self._arbiter.loop.asyncio_loop
        loop.call_soon_threadsafe(self._signal_leaving, signal.SIGTERM)
        loop.call_soon_threadsafe(loop.call_later, within_s, self._signal_leaving, signal.SIGKILL)

    def _look(self) -> bool:
        self._arbiter.ctrl.caller.stop()
        if self._watcher.status() != "active":
            return False
        self._watcher.numprocesses = WORKER_NUMBERS_MAX
        self._reap()
        staying = [process for process in self._alive() if process.pid not in self._farewells]
        for _ in range(self._size - len(staying)):
            self._watcher.spawn_process()
        return True

    def _reap(self) -> None:
        """Circus's own way misses those whose end was seen by a question whether they live."""
        self._arbiter.reap_processes()
        for pid, process in list(self._watcher.processes.items()):
            if pid not in self._farewells and not process.is_alive():
                self._watcher.reap_process(pid)

    def _note(self, *, process_pid: int, exit_code: int | None, **_: Any) -> None:
        """Circus calls it for each worker that ended; a negative code is a signal."""
        self._dead.append(Dead(process_pid, max(0, -(exit_code or 0)), process_pid in self._asked))
        self._asked.discard(process_pid)

    def _alive(self) -> list[Any]:
        alive = [process for process in self._watcher.processes.values() if process.is_alive()]
        return sorted(alive, key=lambda process: (process.started, process.pid))

    def _start_another(self) -> int:
        before = set(self._watcher.processes)
        self._watcher.spawn_process()
        return next(iter(set(self._watcher.processes) - before), 0)

    def _send_away(self, pid: int, number: int) -> None:
        process = self._watcher.processes.get(pid)
        if process is None or pid in self._farewells:
            return
        self._asked.add(pid)
        ended = self._watcher.kill_process(process, stop_signal=number, graceful_timeout=self.kill_after_s)
        farewell = self._farewells[pid] = asyncio.ensure_future(ended)
        farewell.add_done_callback(lambda _: self._farewells.pop(pid, None))

    def _stop(self, number: int) -> None:
        self._arbiter.sockets.close_all()  # the workers hold the address for as long as they answer
        for process in self._alive():
            self._send_away(process.pid, number)

    async def _all_gone(self) -> None:
        await asyncio.gather(*self._farewells.values(), return_exceptions=True)

    def _signal_leaving(self, number: int) -> None:
        for process in self._alive():
            if process.pid in self._farewells:
                process.send_signal(number)

    def _ask(self, function: Callable[[], T]) -> T:
        async def inside() -> T:
            return function()

        return self._wait(inside(), ANSWER_WITHIN_S)

    def _wait(self, coroutine: Coroutine[Any, Any, T], within_s: float) -> T:
        """Its result from the supervisor's loop; signals are taken meanwhile."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._arbiter.loop.asyncio_loop).result(within_s)
        except NoAnswer as error:
            raise SupervisorGone from error
