import asyncio
from functools import partial

from service.drain import Drain
from service.wiring import ended


def test_a_worker_that_lost_one_of_its_tasks_leaves() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    async def goes_on() -> None:
        await asyncio.Event().wait()

    async def inside() -> list[bool]:
        drain = Drain(drain_s=0.0, grace_s=0.0, parent=0, cut=lambda: None)
        told = []
        for task in (asyncio.create_task(goes_on()), asyncio.create_task(fails())):
            task.add_done_callback(partial(ended, drain))
            task.cancel() if not told else None
            await asyncio.wait([task])
            await asyncio.sleep(0)
            told.append(drain.stopping)
        return told

    assert asyncio.run(inside()) == [False, True]
