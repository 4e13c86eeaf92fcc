"""What is dear to make and asked for by many at once: how often is it made?

Law: whoever asks gets what was begun to be made after it asked; while one is made, all who ask share the next, so no more than
two are ever under way or due, whatever the number of those who ask.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Makes it in a thread; used from one event loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._present: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """What `make` returned, or raises what it raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._present))
        return await asyncio.shield(self._next)  # whoever goes away takes it from nobody

    async def _after(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait([before])
        self._present, self._next = self._next, None
        return await asyncio.to_thread(self._make)
