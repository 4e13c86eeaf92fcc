import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from service.featurelog.record import Outcome
from service.featurelog.record import Shadow as ShadowRecord
from service.featurelog.writer import FeatureLog
from service.rows import PlainTensors, Table
from service.served import ServedVersion
from service.shadow import Offer, Shadows
from service.telemetry import Telemetry
from tests.unit.service.featurelog.writing import read, writer
from tests.unit.service.serving import furnish, served, until

ROW = (1.5, 2.5, 3, True, "oslo")
Test = Callable[[Shadows, ServedVersion, "Counts", FeatureLog], Awaitable[None]]


class Counts(Telemetry):
    """Telemetry that also keeps its shadow runs where a test can see them."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: Counter[str] = Counter()

    def shadow(self, model: str, version: str, result: str) -> None:
        super().shadow(model, version, result)
        self.runs[result] += 1


def offer(version: ServedVersion, rows: int = 1, number: int = 0) -> Offer:
    return Offer(version, f"r{number}", 0, Table([ROW] * rows), version.features)


def run(tmp_path: Path, queue_rows_max: int, test: Test) -> None:
    furnish(tmp_path)
    version = served(tmp_path)

    async def inside() -> None:
        counts = Counts()
        async with writer(tmp_path / "log") as log:
            shadows = Shadows(queue_rows_max=queue_rows_max, log=log, telemetry=counts)
            working = asyncio.create_task(shadows.work())
            await test(shadows, version, counts, log)
            working.cancel()
            shadows.close()

    asyncio.run(inside())


def test_what_does_not_fit_is_dropped_and_counted_and_never_waited_for(tmp_path: Path) -> None:
    async def test(shadows: Shadows, version: ServedVersion, counts: Counts, log: FeatureLog) -> None:
        for number in range(10):
            shadows.offer(offer(version, rows=3, number=number))  # the worker has no turn in between
        assert counts.runs == {"dropped": 7}
        await until(lambda: counts.runs["run"] == 3, "three shadow runs")
        shadows.offer(offer(version, rows=10))
        await until(lambda: counts.runs["run"] == 4, "room again")

    run(tmp_path, 10, test)
    shadows = [record for record in read(tmp_path / "log")[0] if isinstance(record, ShadowRecord)]
    assert [record.request_id for record in shadows] == ["r0", "r1", "r2", "r0"]


def test_no_room_at_all_is_no_shadow_at_all(tmp_path: Path) -> None:
    async def test(shadows: Shadows, version: ServedVersion, counts: Counts, log: FeatureLog) -> None:
        shadows.offer(offer(version))
        assert counts.runs == {"dropped": 1}

    run(tmp_path, 0, test)


def test_a_shadow_that_fails_is_recorded_and_one_with_a_defect_is_counted_and_the_next_is_run(tmp_path: Path) -> None:
    async def test(shadows: Shadows, version: ServedVersion, counts: Counts, log: FeatureLog) -> None:
        unfit = PlainTensors({"x": np.zeros((1, 7), np.float32)})
        shadows.offer(Offer(version, "unfit", 0, unfit))  # the graph refuses it
        shadows.offer(Offer(version, "defect", 0, Table([("x",)]), version.features))  # it breaks before the graph
        shadows.offer(offer(version, number=1))
        await until(lambda: counts.runs.total() == 3, "three results")
        assert counts.runs == {"failed": 2, "run": 1}

    run(tmp_path, 10, test)
    shadows = [record for record in read(tmp_path / "log")[0] if isinstance(record, ShadowRecord)]
    assert [(record.request_id, record.outcome, record.code) for record in shadows] == [
        ("unfit", Outcome.FAILED, "runtime_failed"),
        ("r1", Outcome.ANSWERED, ""),
    ]


def test_closing_drops_what_waits_and_returns(tmp_path: Path) -> None:
    async def test(shadows: Shadows, version: ServedVersion, counts: Counts, log: FeatureLog) -> None:
        for number in range(5):
            shadows.offer(offer(version, number=number))

    run(tmp_path, 100, test)
