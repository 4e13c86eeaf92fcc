"""Which connections of this worker are given up, and how much may its clients hold at once?

One sweep over all connections every SWEEP_S, instead of a timer for every request (uvicorn's keep-alive timer).

Laws
- A connection is closed at most SWEEP_S after it became overdue by `patience`, while the event loop turns.
- What the service itself lost (a long decode, a stopped process) is not counted against its clients.
- Whatever is refused or closed here is counted by its reason.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from service.http.bounds import Bounds
from service.http.patience import Look, Overdue, Patience, Watch, again, begin
from service.memory import give_back_holes

GIVE_BACK_EVERY_S = 2.0  # it takes milliseconds in which nothing is answered
SWEEP_S = 0.25  # 1 000 connections take 2 ms of it


class Guarded(Protocol):
    """A connection as the guard sees it."""

    def look(self) -> Look:
        """How it is now."""
        ...

    def give_up(self, overdue: Overdue) -> None:
        """Ends it, with an answer where a request was begun."""
        ...


class Guard:
    """One a worker; connections report to it from the event loop."""

    def __init__(self, *, patience: Patience, bounds: Bounds, count: Callable[[str], None]) -> None:
        self.patience, self.bounds, self._count = patience, bounds, count
        self.connections: set[Guarded] = set()
        self.unfinished_bytes = 0  # of bodies whose end has not come
        self.large_body = False  # since memory was last given back
        self._watches: dict[Guarded, Watch] = {}
        self._now_s = 0.0

    def refused(self, reason: str) -> None:
        """One request or connection refused."""
        self._count(reason)

    async def keep(self) -> None:
        """Sweeps until cancelled."""
        loop = asyncio.get_running_loop()
        last_s = given_back_s = loop.time()
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = loop.time()
            self.sweep(min(now_s - last_s, 2 * SWEEP_S))
            last_s = now_s
            if self.large_body and now_s - given_back_s > GIVE_BACK_EVERY_S:
                self.large_body, given_back_s = False, now_s
                give_back_holes()

    def sweep(self, passed_s: float) -> None:
        """One look at every connection, `passed_s` after the last."""
        self._now_s += passed_s
        watches = {}
        for connection in tuple(self.connections):
            look, watch = connection.look(), self._watches.get(connection)
            if watch is None:
                watches[connection] = begin(look, self._now_s)
                continue
            watches[connection], overdue = again(self.patience, watch, look, self._now_s)
            if overdue is not None:
                self._count(overdue)
                connection.give_up(overdue)
        self._watches = watches
