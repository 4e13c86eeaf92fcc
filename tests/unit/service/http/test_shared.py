import asyncio
import threading

import pytest

from service.http.shared import Shared

CROWD = 50


class Maker:
    """Counts what it made; each is held until it is let go."""

    def __init__(self) -> None:
        self.made = 0
        self.go = threading.Semaphore(0)
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> int:
        self._loop.call_soon_threadsafe(self.begun.set)
        self.go.acquire()
        self.made += 1
        return self.made


def test_those_who_ask_while_one_is_made_share_the_next() -> None:
    async def inside() -> None:
        maker = Maker()
        shared = Shared(maker)
        first = asyncio.create_task(shared.get())
        await maker.begun.wait()
        crowd = [asyncio.create_task(shared.get()) for _ in range(CROWD)]
        crowd[0].cancel()  # takes it from nobody
        maker.go.release(2)
        assert await first == 1
        assert await asyncio.gather(*crowd[1:]) == [2] * (CROWD - 1)
        assert maker.made == 2
        maker.go.release()
        assert await shared.get() == 3  # nothing is kept

    asyncio.run(inside())


def test_what_fails_fails_for_those_who_shared_it_and_for_nobody_after() -> None:
    divisors = [0, 1]

    async def inside() -> None:
        shared = Shared(lambda: 7 // divisors.pop(0))
        for asked in await asyncio.gather(shared.get(), shared.get(), return_exceptions=True):
            assert isinstance(asked, ZeroDivisionError)
        assert await shared.get() == 7

    asyncio.run(inside())


@pytest.mark.parametrize("crowd", [1, CROWD])
def test_a_crowd_at_once_is_one_making(crowd: int) -> None:
    async def inside() -> None:
        maker = Maker()
        maker.go.release(crowd)
        shared = Shared(maker)
        assert set(await asyncio.gather(*(shared.get() for _ in range(crowd)))) == {1}

    asyncio.run(inside())
