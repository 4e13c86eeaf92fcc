"""Who begins now, who waits for the event loop, who is turned away: the door in front of the ASGI application, one a worker.

Laws
- A request that finds nobody waiting begins at once; otherwise they begin in the order in which their heads came,
  `Pace.portion` a turn of the loop.
- Whatever is not a prediction begins at once, so health, metrics and admin are answered under any load.
- No more than `waiting_max` wait, and none that would lose more than its share of its deadline by it: these are refused (503)
  at once.
- Once it is closed nobody waits: who waited, and who comes for a prediction, is told that it is cut off (503).
- Whoever is turned away is on record, like every other request; its record is handed to the log before its answer, and written
  with the turn's others.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic_ns, thread_time_ns
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.caller import Caller
from service.deadline import asked_ms
from service.errors import CutOff, Overloaded, RequestError, Shed
from service.http.connection_errors import TooManyConnections
from service.http.errors import error_answer
from service.http.paths import Target, parse
from service.http.plain_head import plain
from service.pace import APPLICATION_US, READ_US, Pace, Pressure

TEMPLATES_MAX = 64  # error bodies kept ready
_MARK = "~id~"  # stands for the request's id in them; no sentence of ours holds it


class Turnstile(Protocol):
    """What is known of models and records behind the door."""

    def would_refuse(self, target: Target, timeout_ms: int) -> Overloaded | None:
        """The model's own queue has no room for one more."""
        ...

    def turn_away(self, target: Target, request_id: bytes, error: Shed) -> bytes | None:
        """Puts it on record; the id that its answer carries. None: not a prediction."""
        ...

    def flush(self) -> None:
        """Writes the records of those who have been run, so that their answers leave."""
        ...


class Admission:
    """The door; used from one event loop."""

    def __init__(self, *, turnstile: Turnstile, pressure: Pressure, waiting_max: int, timeout_ms: float) -> None:
        self._turnstile, self.pressure = turnstile, pressure
        self._waiting_max, self._timeout_ms = waiting_max, timeout_ms
        self._waiting: deque[tuple[Caller, Callable[[], None]]] = deque()
        self._pace = Pace()
        self._due = False
        self._loop = asyncio.get_running_loop()
        self._turn_ns = self._own_ns = 0  # when the present turn began, by the clock and by the thread's own time
        self._begun = 0  # in the present turn
        self._refusing_us = 0.0  # of it
        self._error: Overloaded | None = None
        self._ready: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self._closed = False
        self.unbegun = 0  # tasks that were made and have not run yet

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def begins(self) -> bool:
        """May one more begin in this turn? Then it is counted."""
        if self._waiting or self.unbegun >= self._pace.portion or self._closed:
            return False
        self.unbegun += 1
        return True

    def refusal(self, headers: list[tuple[bytes, bytes]]) -> RequestError | None:
        """Why a request with these headers cannot even wait."""
        if self._closed:
            return CutOff()
        error = self._refusal(asked_ms(headers))
        if error is None:
            return None
        self._refusing_us += APPLICATION_US
        return Overloaded(*error.args)  # of its own: it will be raised

    def _refusal(self, timeout_ms: int) -> Overloaded | None:
        ahead = len(self._waiting)
        longest_ms = min(timeout_ms, self._timeout_ms) if timeout_ms else self._timeout_ms
        limit = min(self._waiting_max, self._pace.room(longest_ms))
        if ahead < limit:
            return None
        if (
            self._error is None or self._error.limit != limit
        ):  # made once a turn: the others of the turn are told the same
            retry_after_s = max(1, ceil(self._pace.waits_us(ahead) / 1e6))
            self._error = Overloaded(ahead, limit, "requests", retry_after_s, limit < self._waiting_max)
        return self._error

    def wait(self, caller: Caller, begin: Callable[[], None]) -> None:
        """`begin` is called when the caller's turn has come."""
        self._waiting.append((caller, begin))
        self.pressure.high = True
        if not self._due:
            self._due = True
            self._begun, self._error = 0, None
            self._loop.call_soon(self._turn)

    def close(self) -> None:
        """The grace is over: those who wait begin now, to be told so."""
        self._closed = True
        while self._waiting:
            caller, begin = self._waiting.popleft()
            caller.refusal = CutOff()
            self.unbegun += 1
            begin()

    def _turn(self) -> None:
        """Once a turn of the loop while anybody waits. What is made ready here runs after the loop has looked at the sockets,
        in this order: the mark, the requests, the next turn."""
        now_ns, own_ns = monotonic_ns(), thread_time_ns()
        if self._begun:
            self._pace.learn(
                self._begun, (own_ns - self._own_ns) / 1000, (now_ns - self._turn_ns) / 1000, self._refusing_us
            )
        self._turn_ns, self._own_ns, self._begun, self._refusing_us, self._error = now_ns, own_ns, 0, 0.0, None
        self._turnstile.flush()  # now, and not after the next look at the sockets: a turn is long when many are refused
        while self._waiting and self.unbegun < self._pace.portion:
            self.unbegun += 1
            self._begun += 1
            self._waiting.popleft()[1]()
        self._due = bool(self._waiting)
        if self._due:
            self._loop.call_soon(self._turn)

    # --- turning away -----------------------------------------------------------------------------------------------

    def turned_away(self, data: bytes, transport: asyncio.Transport, crowd: TooManyConnections | None = None) -> bool:
        """Answers bytes that are a request for which there is no room; False: they are read as always.

        `crowd`: why a prediction has no room in any case.
        """
        began_ns = monotonic_ns()
        asked = plain(data)
        if asked is None or (target := parse(asked.path)) is None:
            return False
        error = crowd or self._no_room(target, asked.timeout_ms)
        if error is None:
            self.pressure.high = bool(self._waiting)
            return False
        request_id = self._turnstile.turn_away(target, asked.request_id, error)
        if request_id is None:
            return False
        transport.write(self._answer(error, request_id))
        self._refusing_us += (monotonic_ns() - began_ns) / 1000 + READ_US
        return True

    def _no_room(self, target: Target, timeout_ms: int) -> Overloaded | None:
        room = not self._waiting and self.unbegun < self._pace.portion  # it would not even have to wait
        error = None if room else self._refusal(timeout_ms)
        return error or self._turnstile.would_refuse(target, timeout_ms)

    def _answer(self, error: Shed, request_id: bytes) -> bytes:
        """What `error_answer` says, without making it anew for each."""
        ready = self._ready.get(error.args)
        if ready is None:
            if len(self._ready) >= TEMPLATES_MAX:
                self._ready.clear()
            answer = error_answer(error, _MARK, [(b"x-request-id", _MARK.encode())])
            lines = [b"content-type: " + answer.content_type, *(b"%b: %b" % pair for pair in answer.headers)]
            ready = self._ready[error.args] = (STATUS_LINE[answer.status] + b"\r\n".join(lines), answer.body)
        body = ready[1].replace(_MARK.encode(), request_id)
        head = ready[0].replace(_MARK.encode(), request_id)
        return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body)
