"""A new version is asked what the running one was asked, out of a real log; it changes nothing but what is said."""

import asyncio
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
from onnx import helper

from models.lock_file import LockFile
from models.pool import LoadedVersion, Pool
from models.registry import Registry
from service.catalogue import Catalogue
from service.ejected import EjectedFile
from service.featurelog.files import SegmentFile, list_segments
from service.featurelog.framing import frame
from service.rehearsal import REQUESTS_MAX, TAILS_BYTES, Own, Rehearsed, _answered, recent
from service.routes_file import RoutesFile
from service.telemetry import Telemetry
from tests.onnx_models import dividing, dividing_contract, install, keeping, mixed, mixed_contract, proto
from tests.unit.service.serving import ROW, Service, furnish, route, run, until
from tests.unit.service.test_predict import refusing

pytestmark = pytest.mark.slow

ROWS_MANY = 100


def catalogue(service: Service) -> Catalogue:
    return service.worker.predictor._catalogue


async def state(service: Service, ref: str) -> str:
    await until(lambda: catalogue(service).current.states.get(ref, "loading") != "loading", f"{ref} is loaded")
    return catalogue(service).current.states[ref]


def test_a_new_version_runs_the_newest_requests_as_they_came_and_is_routable_after_that(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for number in range(REQUESTS_MAX + 6):
            assert (await service.predict(*[ROW] * (1 + number % 3))).status == 200
        before = len(service.requests())
        stable = catalogue(service).current.version("mixed", "1")
        found = recent(tmp_path / "log", stable.pin.digest)
        assert len(found) == REQUESTS_MAX
        assert {request.features.n for _, request in found if request.features} == {1, 2, 3}
        install(tmp_path, "mixed", "3", mixed(bias=5), mixed_contract())
        assert (
            await state(service, "mixed:3") == f"loaded, warmed by {REQUESTS_MAX} of {REQUESTS_MAX} recorded requests"
        )
        assert len(service.requests()) == before
        assert recent(tmp_path / "log", "sha256:" + "0" * 64) == []

    run(tmp_path, test, routes_poll_s=0.01)


def test_a_segment_that_grows_while_it_is_read_has_its_head_and_its_tail(tmp_path: Path) -> None:
    class Growing(SegmentFile):
        """A writer appends between any two looks at it."""

        def read(self, offset: int, size: int) -> bytes:
            with self.path.open("ab") as file:
                file.write(frame(b"", 1) * 10)
            return super().read(offset, size)

    async def test(service: Service) -> None:
        assert (await service.predict(ROW)).status == 200
        digest = catalogue(service).current.version("mixed", "1").pin.digest
        (segment,) = list_segments(tmp_path / "log" / "w0")
        copy = Path(shutil.copy(segment.path, tmp_path))
        found = _answered(Growing(copy, *segment.key), digest, max(TAILS_BYTES), None)
        assert [request.features.n for _, request in found if request.features] == [1]

    run(tmp_path, test)


def test_a_version_that_came_while_the_segment_was_long_is_found_where_it_was_declared(tmp_path: Path) -> None:
    """Its schema stands neither in the beginning of the segment nor near its end; the writer knows what it declared."""
    batches = 2 * max(TAILS_BYTES) // (ROWS_MANY * len(ROW) * 8)

    async def many(service: Service) -> None:
        for _ in range(batches):
            assert (await service.predict(*[ROW] * ROWS_MANY)).status == 200

    async def test(service: Service) -> None:
        await many(service)
        route(tmp_path, "mixed", stable="2")
        await until(lambda: catalogue(service).current.policy("mixed").stable == "2", "the second")
        await many(service)
        assert len(service.requests()) == 2 * batches
        running = catalogue(service).current.version("mixed", "2")
        assert recent(tmp_path / "log", running.pin.digest) == []
        log = catalogue(service)._log
        assert log is not None
        declared = log.declared(running.schema)
        assert declared is not None
        found = recent(tmp_path / "log", running.pin.digest, Own(log.writer, log.epoch, declared))
        assert found and {schema.digest for schema, _ in found} == {running.pin.digest}
        assert recent(tmp_path / "log", running.pin.digest, Own(log.writer, log.epoch + 1, declared)) == []
        install(tmp_path, "mixed", "3", mixed(bias=5), mixed_contract())
        told = await state(service, "mixed:3")
        assert told == f"loaded, warmed by {len(found)} of {len(found)} recorded requests"
        assert log.declared(catalogue(service).current.version("mixed", "3").schema) is None

    run(tmp_path, test, routes_poll_s=0.01)


def test_it_is_asked_behind_the_requests(tmp_path: Path) -> None:
    places: list[tuple[int, int]] = []

    class Watched(Catalogue):
        def _rehearsed(self, loaded: LoadedVersion) -> Rehearsed:
            places.append((os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), threading.get_native_id()))
            return super()._rehearsed(loaded)

    if sys.platform != "linux":
        pytest.skip("elsewhere a thread is no process of that number")
    asyncio.run(loaded_by(Watched, tmp_path))
    assert places and all(
        nice > os.getpriority(os.PRIO_PROCESS, 0) and thread != os.getpid() for nice, thread in places
    )


async def loaded_by(kind: type[Catalogue], home: Path) -> None:
    furnish(home)
    found = kind(
        routes=RoutesFile(home / "routes.toml"),
        lock_file=LockFile(home / "models.lock.toml"),
        pool=Pool(Registry(home / "registry"), threads=1),
        wires=[],
        telemetry=Telemetry(),
        ejected=EjectedFile(home / "ejected.json"),
    )
    await found.refresh()


def test_where_nothing_can_be_asked_the_sample_was_all(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        install(tmp_path, "mixed", "3", mixed(bias=5), mixed_contract())
        assert await state(service, "mixed:3") == "loaded"
        assert (await service.predict(ROW)).status == 200
        install(tmp_path, "mixed", "4", keeping(), dividing_contract())  # takes a feature that was never sent
        assert await state(service, "mixed:4") == "loaded"

    run(tmp_path, test, routes_poll_s=0.01)


def test_a_version_that_fails_on_most_of_them_is_served_when_it_is_routed_and_that_is_said(tmp_path: Path) -> None:
    model, contract = refusing()
    furnish(tmp_path)
    install(tmp_path, "picky", "1", same(), contract)
    route(tmp_path, "picky", stable="1")

    async def test(service: Service) -> None:
        for number in range(5):
            assert (await service.predict({"x": number}, model="picky")).status == 200
        install(tmp_path, "picky", "2", model, contract)
        told = await state(service, "picky:2")
        assert told.startswith("loaded, warm_failed: 4 of 5 recorded requests, the last: picky:2: the runtime failed:")
        reply = await service.ask("POST", "/v1/models/picky/versions/2:predict", {"instances": [{"x": 0}]})
        assert reply.status == 200

    run(tmp_path, test, routes_poll_s=0.01)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors divide without a signal")
def test_a_version_that_ends_the_process_of_its_rehearsal_is_refused_and_this_one_goes_on(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "ratio", "1", keeping(), dividing_contract())
    route(tmp_path, "ratio", stable="1")

    async def test(service: Service) -> None:
        assert (await service.predict({"x": -8.0}, model="ratio")).status == 200
        pin = install(tmp_path, "ratio", "2", dividing(), dividing_contract())
        told = await state(service, "ratio:2")
        assert told.startswith("refused: ratio:2, rehearsal of recorded requests: found SIGFPE")
        assert not catalogue(service)._pool.holds(pin.digest)
        assert (await service.predict({"x": -8.0}, model="ratio")).status == 200

    run(tmp_path, test, routes_poll_s=0.01)


def same() -> bytes:
    """y = x."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return proto([node], {"x": ("FP32", ["N", 1])}, {"y": ("FP32", ["N", 1])}).SerializeToString()
