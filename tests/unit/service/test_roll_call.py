"""A worker says of itself what it serves, from when it is warm until it ends, and again when that changed."""

import asyncio
import os
from pathlib import Path

import pytest

from service.presence import Presence, ServiceSign, worker_signs
from service.roll_call import wait_for_release
from tests.unit.service.serving import route, serving, until

pytestmark = pytest.mark.slow


def test_a_worker_is_in_the_home_while_it_serves_with_what_it_serves(tmp_path: Path) -> None:
    place = tmp_path / "workers"

    async def test() -> None:
        async with serving(tmp_path) as service:
            await until(lambda: worker_signs(place), "the sign")
            (sign,) = worker_signs(place)
            assert (sign.pid, sign.models, sign.problems) == (os.getpid(), {"mixed": "1", "image": "1"}, ())
            assert set(sign.versions) == {"mixed:1", "mixed:2", "image:1"}
            route(service.home, "mixed", stable="2")
            await until(lambda: worker_signs(place)[0].models["mixed"] == "2", "the change")
        assert worker_signs(place) == [] and list(place.iterdir()) == []

    asyncio.run(test())


def test_a_worker_that_is_held_waits_until_it_is_let_go_and_one_without_a_supervisor_does_not(tmp_path: Path) -> None:
    async def test() -> None:
        await wait_for_release(tmp_path / "service.json")
        supervisor = Presence(tmp_path / "service.json")
        supervisor.say(ServiceSign(1, 1, 1, hold=True))
        held = asyncio.create_task(wait_for_release(tmp_path / "service.json"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not held.done()
        supervisor.say(ServiceSign(1, 1, 1))
        await held
        supervisor.say(ServiceSign(1, 1, 1, hold=True))
        held = asyncio.create_task(wait_for_release(tmp_path / "service.json"))
        supervisor.close()  # it was killed
        await held

    asyncio.run(test())
