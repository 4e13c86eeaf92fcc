import asyncio
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import RunFailed
from models.tensors import Array
from service.featurelog.record import Outcome
from service.featurelog.record import Shadow as ShadowRecord
from service.featurelog.writer import FeatureLog
from service.in_flight import SHADOWS, unshared
from service.rows import PlainTensors, Table
from service.served import ServedVersion
from service.shadow import Shadows
from service.shadow_lane import OFFERS_A_RUN, ROWS_A_RUN, STEPS_BACK, WAIT_MAX_NS, Lane, Offer, Places, step_back
from service.telemetry import Telemetry
from tests.unit.service.featurelog.writing import read, request, writer
from tests.unit.service.serving import ROW as BY_NAME
from tests.unit.service.serving import Service, furnish, route, served, serving, until

pytestmark = pytest.mark.slow

ROW = (1.5, 2.5, 3, True, "oslo")
ROWS_MAX, BYTES_MAX = 10, 1 << 20


class Counts(Telemetry):
    """Telemetry that also keeps its shadow runs where a test can see them."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()

    def shadow(self, model: str, version: str, result: str, n: int = 1) -> None:
        super().shadow(model, version, result, n)
        self.runs[result] += n
        self.versions[f"{version} {result}"] += n


class Stage:
    """What a test of `Shadows` plays on; `busy`: does somebody live wait?"""

    def __init__(self, log: FeatureLog, home: Path, rows_max: int, bytes_max: int) -> None:
        self.log, self.home = log, home
        self.cells = unshared()
        self.counts, self.busy = Counts(), False
        self.shadows = Shadows(
            queue_rows_max=rows_max,
            queue_bytes_max=bytes_max,
            log=log,
            telemetry=self.counts,
            live_waits=lambda: self.busy,
            cells=self.cells,
        )


class Session:
    """A session in place of the graph's."""

    def __init__(self, say: Callable[[int], list[Array]]) -> None:
        self._say = say
        self.begun = 0

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        self.begun += 1
        return self._say(len(inputs["x"]))


def saying(version: ServedVersion, say: Callable[[int], list[Array]]) -> Session:
    version.session = session = Session(say)  # type: ignore[assignment]
    return session


def held(version: ServedVersion) -> threading.Event:
    """A version that sleeps until the event is set."""
    gate = threading.Event()
    real = version.session.run

    def say(_: int) -> list[Array]:
        assert gate.wait(20)
        return real(version.tensors(Table([ROW])))

    saying(version, say)
    return gate


def offer(version: ServedVersion, rows: int = 1, number: int = 0) -> Offer:
    return Offer(version, f"r{number}", 0, Table([ROW] * rows), version)


def run(
    tmp_path: Path,
    test: Callable[[Stage, ServedVersion], Awaitable[None]],
    rows_max: int = ROWS_MAX,
    bytes_max: int = BYTES_MAX,
) -> Counts:
    furnish(tmp_path)
    version = served(tmp_path)

    async def inside() -> Counts:
        async with writer(tmp_path / "log") as log:
            stage = Stage(log, tmp_path, rows_max, bytes_max)
            working = asyncio.create_task(stage.shadows.work())
            await test(stage, version)
            working.cancel()
            stage.shadows.close()
            return stage.counts

    return asyncio.run(inside())


def records(tmp_path: Path) -> list[ShadowRecord]:
    return [record for record in read(tmp_path / "log")[0] if isinstance(record, ShadowRecord)]


# --- the queue ----------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_dropped_and_counted_and_never_waited_for(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        for number in range(10):
            stage.shadows.offer(offer(version, rows=3, number=number))  # the worker has no turn in between
        assert stage.counts.runs == {"dropped": 7}
        await until(lambda: stage.counts.runs["run"] == 3, "three shadow runs")
        stage.shadows.offer(offer(version, rows=10))
        await until(lambda: stage.counts.runs["run"] == 4, "room again")

    run(tmp_path, test)
    assert [record.request_id for record in records(tmp_path)] == ["r0", "r1", "r2", "r0"]


@pytest.mark.parametrize(("rows_max", "bytes_max"), [(0, BYTES_MAX), (ROWS_MAX, 0), (ROWS_MAX, 200)])
def test_no_room_in_rows_or_in_bytes_is_no_shadow(tmp_path: Path, rows_max: int, bytes_max: int) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        stage.shadows.offer(offer(version))
        assert stage.counts.runs == {"dropped": 1}

    run(tmp_path, test, rows_max, bytes_max)


def test_closing_drops_what_waits_counts_it_and_returns(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        held(version)
        for number in range(5):
            stage.shadows.offer(offer(version, number=number))

    assert run(tmp_path, test).runs == {"dropped": 5}


def test_a_run_takes_the_oldest_and_no_more_than_its_size_and_what_waited_too_long_is_left_out(tmp_path: Path) -> None:
    furnish(tmp_path)
    version, lane = served(tmp_path), Lane(Places(unshared()).take(), rows_max=1_000, bytes_max=1 << 30)
    for number in range(OFFERS_A_RUN + 1):
        assert lane.admit(offer(version, number=number))
    first, stale = lane.take(0)
    assert ([one.request_id for one in first], stale) == ([f"r{n}" for n in range(OFFERS_A_RUN)], 0)
    assert lane.admit(offer(version, rows=ROWS_A_RUN + 1, number=99))
    assert [one.request_id for one in lane.take(0)[0]] == [f"r{OFFERS_A_RUN}"]
    assert [one.request_id for one in lane.take(0)[0]] == ["r99"]  # alone, however large
    assert lane.admit(offer(version))
    assert lane.take(1 << 62) == ([], 1)
    assert not lane.ready
    assert WAIT_MAX_NS < 1 << 62


def test_a_run_that_is_disturbed_ends_after_its_offer_and_gives_the_others_back_in_their_order(tmp_path: Path) -> None:
    furnish(tmp_path)
    version, lane = served(tmp_path), Lane(Places(unshared()).take(), rows_max=5, bytes_max=1 << 30)
    for number in range(5):
        assert lane.admit(offer(version, number=number))
    offers, _ = lane.take(0)
    done = lane.run(offers, 0, iter([False, True]).__next__)
    assert [one.offer.request_id for one in done] == ["r0", "r1"]
    assert lane.put_back(len(done)) == 3
    assert not lane.admit(offer(version, rows=3))  # what came back waits as it did
    assert [one.request_id for one in lane.take(0)[0]] == ["r2", "r3", "r4"]
    assert lane.put_back(3) == 0


# --- behind everything that is live -------------------------------------------------------------------------------


def test_nothing_is_run_while_somebody_live_waits(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        session = saying(version, lambda n: [np.zeros((n, 1), np.float32)])
        stage.busy = True
        stage.shadows.offer(offer(version))
        for _ in range(200):
            await asyncio.sleep(0)
        assert session.begun == 0
        stage.busy = False
        await until(lambda: session.begun == 1, "the run begins when nobody waits")

    run(tmp_path, test)


def test_a_run_ends_when_somebody_live_asks_and_goes_on_when_it_is_calm_again(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        gate = threading.Event()

        def say(n: int) -> list[Array]:
            assert gate.wait(20)
            return [np.zeros((n, 1), np.float32)]

        session = saying(version, say)
        for number in range(5):
            stage.shadows.offer(offer(version, number=number))
        await until(lambda: session.begun == 1, "a run")
        stage.busy, stage.shadows.asked = True, 1
        gate.set()
        for _ in range(200):
            await asyncio.sleep(0)
        assert session.begun == 1
        stage.busy = False
        await until(lambda: stage.counts.runs.total() == 5, "the others")

    run(tmp_path, test)
    assert [record.request_id for record in records(tmp_path)] == [f"r{number}" for number in range(5)]


def test_where_a_live_request_is_shed_everything_that_waits_for_a_shadow_goes_first(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        await stage.log.append_request(request(0, Outcome.SHED))  # before anything waited: nothing to let go
        stage.shadows.offer(offer(version))
        await until(lambda: stage.counts.runs == {"run": 1}, "a run")
        stage.busy = True
        for number in range(4):
            stage.shadows.offer(offer(version, number=number))
        await stage.log.append_request(request(1, Outcome.SHED))
        await until(lambda: stage.counts.runs["shed"] == 4, "what waited is let go")
        stage.busy = False
        stage.shadows.offer(offer(version, number=9))
        await until(lambda: stage.counts.runs["run"] == 2, "what comes later is run")

    assert run(tmp_path, test).runs == {"shed": 4, "run": 2}


def test_a_version_that_never_comes_back_fills_its_own_queue_and_no_other(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        gate, other = held(version), served(tmp_path, version="2")
        for number in range(30):
            stage.shadows.offer(offer(version, number=number))
            stage.shadows.offer(offer(other, number=number))
            await until(lambda n=number: stage.counts.versions["2 run"] == n + 1, "the other is run")
        # at most one run is on its way, and ROWS_MAX rows wait
        assert stage.counts.versions["1 dropped"] >= 30 - OFFERS_A_RUN - ROWS_MAX
        gate.set()

    run(tmp_path, test)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads have priorities of their own on Linux only")
def test_the_thread_of_a_shadow_stands_behind_all_others() -> None:
    found: list[int] = []
    here = os.getpriority(os.PRIO_PROCESS, 0)

    def look() -> None:
        step_back()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [min(19, here + STEPS_BACK)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == here


def test_each_shadow_tells_in_its_own_place_what_it_runs_and_a_place_is_used_again() -> None:
    cells = unshared()
    places = Places(cells)
    taken = [places.take() for _ in SHADOWS]
    assert sorted(place.slot for place in taken) == sorted(SHADOWS)
    beyond = places.take()
    assert beyond.cells is not cells
    places.give_back(beyond)
    places.give_back(taken[3])
    assert places.take() == taken[3]


def test_while_a_shadow_runs_its_mark_is_told_and_not_after(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        gate = held(version)
        stage.shadows.offer(offer(version))
        await until(lambda: stage.cells[SHADOWS[0]] == version.mark, "its mark")
        gate.set()
        await until(lambda: stage.cells[SHADOWS[0]] == 0, "no mark")

    run(tmp_path, test)


# --- faults -------------------------------------------------------------------------------------------------------


def test_a_shadow_that_fails_is_recorded_and_one_with_a_defect_too_and_the_next_is_run(tmp_path: Path) -> None:
    async def test(stage: Stage, version: ServedVersion) -> None:
        unfit = PlainTensors({"x": np.zeros((1, 7), np.float32)})
        stage.shadows.offer(Offer(version, "unfit", 0, unfit, version))  # the graph refuses it
        stage.shadows.offer(Offer(version, "defect", 0, Table([("x",)]), version))  # it breaks before the graph
        stage.shadows.offer(offer(version, number=1))
        await until(lambda: stage.counts.runs.total() == 3, "three results")

    assert run(tmp_path, test).runs == {"failed": 2, "run": 1}
    assert [(record.request_id, record.outcome, record.code) for record in records(tmp_path)] == [
        ("unfit", Outcome.FAILED, "runtime_failed"),
        ("defect", Outcome.FAILED, "internal"),
        ("r1", Outcome.ANSWERED, ""),
    ]


def refused(_: int) -> list[Array]:
    raise RunFailed("mixed:2", "it does not like the row")


def broken(_: int) -> list[Array]:
    raise ZeroDivisionError("a defect")


def outputs(score: Array) -> list[Array]:
    n = len(score)
    return [score, np.full((n, 1), "oslo", object), np.ones((n, 1), np.bool_)]


FAULTS: dict[str, tuple[Callable[[int], list[Array]], str, str]] = {
    "raises what the runtime raises": (refused, "failed", "runtime_failed"),
    "raises anything": (broken, "failed", "internal"),
    "says NaN": (lambda n: outputs(np.full((n, 1), np.nan, np.float32)), "not_finite", ""),
    "says infinity": (lambda n: outputs(np.full((n, 1), -np.inf, np.float32)), "not_finite", ""),
    "says a row too many": (lambda n: outputs(np.ones((n + 1, 1), np.float32)), "failed", "runtime_failed"),
    "says a column too many": (lambda n: outputs(np.ones((n, 2), np.float32)), "failed", "internal"),
}


async def replies(service: Service) -> list[tuple[int, dict[str, str], bytes]]:
    """Every kind of answer, the same requests each time."""
    found = []
    for number, instances in enumerate(([BY_NAME], [BY_NAME] * 20, [{**BY_NAME, "ratio": "x"}])):
        reply = await service.predict(*instances, headers=[(b"x-request-id", f"r{number}".encode())])
        found.append((reply.status, reply.headers, reply.body))
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_shadow_does_answers_are_the_same_to_the_byte_and_the_record_says_what(
    tmp_path: Path, fault: str
) -> None:
    say, result, code = FAULTS[fault]
    furnish(tmp_path)

    async def inside() -> None:
        async with serving(tmp_path) as service:
            alone = await replies(service)
        route(tmp_path, "mixed", stable="1", shadows=[{"version": "2"}])
        async with serving(tmp_path) as service:
            session, counts = saying(version_of(service, "2"), say), Counts()
            service.worker.shadows._telemetry = counts
            assert await replies(service) == alone
            await until(lambda: len(records(tmp_path)) == 2, "a record of each answered request")
            assert session.begun == 2
            assert counts.versions == {f"2 {result}": 2}
            assert {record.code for record in records(tmp_path)} == {code}

    asyncio.run(inside())


def test_a_shadow_that_sleeps_changes_no_answer_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    furnish(tmp_path)

    async def inside() -> None:
        async with serving(tmp_path) as service:
            alone = await replies(service)
        route(tmp_path, "mixed", stable="1", shadows=[{"version": "2"}])
        async with serving(tmp_path) as service:
            gate = held(version_of(service, "2"))
            for _ in range(3):
                assert await replies(service) == alone
            assert not records(tmp_path)
            gate.set()

    asyncio.run(inside())


def version_of(service: Service, version: str) -> ServedVersion:
    catalogue: Any = service.worker.predictor._catalogue
    found: ServedVersion = catalogue.current.versions["mixed", version]
    return found
