"""The three sentences of the writer's docstring, and what happens when an fsync fails."""

import asyncio
import errno
from pathlib import Path
from threading import Event

import pytest

from service.featurelog.commit import Durability
from service.featurelog.files import list_segments
from service.featurelog.ledger import audit
from service.featurelog.reader import LogReader
from service.featurelog.record import Again, Ledger, Seal
from service.featurelog.segments import Rotation
from tests.disks import FaultyDisk, WatchedDisk
from tests.unit.service.featurelog.test_writer import adds_up, everything, file_size_limit, payloads
from tests.unit.service.featurelog.writing import SCHEMA, ids, read, request, writer

DEADLINE_S = 10.0


class HeldDisk(WatchedDisk):
    """An fsync returns when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may = Event(), Event()

    def before(self, call: str) -> None:
        if call == "fsync":
            self.begun.set()
            assert self.may.wait(DEADLINE_S)


def failing(*numbers: int) -> FaultyDisk:
    """The fsyncs of these numbers fail."""
    return FaultyDisk(lambda call, n: OSError(errno.EIO, "EIO") if call == "fsync" and n in numbers else None)


def test_in_disk_mode_an_acknowledgement_waits_for_an_fsync_that_began_behind_its_record(tmp_path: Path) -> None:
    async def run() -> None:
        disk = HeldDisk()
        async with writer(tmp_path, durability=Durability.DISK, disk=disk) as log:
            first = [log.append_request(request(number)) for number in range(3)]
            await asyncio.to_thread(disk.begun.wait, DEADLINE_S)
            late = log.append_request(request(3))
            log.flush()
            assert ids(read(tmp_path)[0]) == ["r0", "r1", "r2", "r3"]
            assert not any(one.done() for one in (*first, late))
            disk.may.set()
            assert await asyncio.gather(*first) == [True, True, True]
            assert disk.calls["fsync"] == 2 or not late.done()  # that of the first three began before it was written
            assert await late
            adds_up(log)

    asyncio.run(run())


def test_all_who_wait_share_one_fsync(tmp_path: Path) -> None:
    async def run() -> None:
        disk = WatchedDisk()
        async with writer(tmp_path, durability=Durability.DISK, disk=disk) as log:
            assert all(await asyncio.gather(*[log.append_request(request(number)) for number in range(500)]))
            assert disk.calls["fsync"] == 1

    asyncio.run(run())


@pytest.mark.parametrize("durability", Durability)
def test_an_fsync_that_hangs_never_holds_the_event_loop(tmp_path: Path, durability: Durability) -> None:
    async def run() -> None:
        disk = HeldDisk()
        async with writer(tmp_path, durability=durability, disk=disk, fsync_interval_s=0.001) as log:
            keeping = asyncio.create_task(log.keep())
            await asyncio.to_thread(disk.begun.wait, DEADLINE_S)
            for number in range(100):
                waiting = log.append_request(request(number))
                log.flush()
                assert waiting.done() or durability is Durability.DISK
            assert ids(read(tmp_path)[0]) == [f"r{number}" for number in range(100)]
            disk.may.set()
            assert await log.synced()
            keeping.cancel()

    asyncio.run(run())


def test_relaxed_acknowledges_what_was_handed_over_and_writes_it_by_itself(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.RELAXED) as log:
            waiting = log.append_request(request(0))
            assert waiting.done() and waiting.result()
            log.hurry()
            assert ids(read(tmp_path)[0]) == []
            deadline_s = log.loop.time() + DEADLINE_S
            while not ids(read(tmp_path)[0]):
                assert log.loop.time() < deadline_s
                await asyncio.sleep(0.01)
            adds_up(log)

    asyncio.run(run())


def test_relaxed_writes_at_once_when_much_waits_and_everything_at_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.RELAXED) as log:
            for number in range(3):
                log.append_request(request(number, text="x" * 600_000))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ids(read(tmp_path)[0]) == ["r0", "r1", "r2"]
            log.append_request(request(3))

    asyncio.run(run())
    assert ids(read(tmp_path)[0]) == ["r0", "r1", "r2", "r3"]
    assert audit(tmp_path).whole


def test_what_relaxed_acknowledged_and_could_not_write_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.RELAXED) as log:
            assert await log.append_request(request(0))
            with file_size_limit(1):
                log.flush()
            assert log.dropped["answered"] == {"os_error": 1}
            adds_up(log)

    asyncio.run(run())
    assert audit(tmp_path).log_dropped == {"os_error": 1}


# --- a failed fsync -----------------------------------------------------------------------------------------------


def test_after_a_failed_fsync_what_was_not_acknowledged_stands_in_a_new_segment_under_the_same_numbers(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.DISK, disk=failing(2)) as log:
            log.schema_id(SCHEMA)
            assert await log.append_request(request(0))
            assert all(await asyncio.gather(*[log.append_request(request(number)) for number in (1, 2)]))
            assert await log.append_request(request(3))
            assert (log.fsync_failures, log.unsynced) == (1, 0)
            adds_up(log)

    asyncio.run(run())
    old, new = [payloads(segment.path) for segment in list_segments(tmp_path / "w0")]
    assert not isinstance(old[-1][1], Seal)
    assert isinstance(new[0][1], Again) and new[0][0] == 1
    assert new[1][1] == SCHEMA
    assert [seq for seq, _ in new[2:4]] == [1, 2]
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r0", "r1", "r2", "r3"], [])
    assert audit(tmp_path).whole


def test_where_the_second_attempt_fails_too_the_caller_is_told_and_the_record_stays_readable(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.DISK, disk=failing(2, 3)) as log:
            assert await log.append_request(request(0))
            assert not await log.append_request(request(1))
            assert (log.fsync_failures, log.unsynced) == (2, 1) and log.last_error is not None
            assert await log.append_request(request(2))
            adds_up(log)

    asyncio.run(run())
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r0", "r1", "r2"], [])
    assert audit(tmp_path).whole
    assert len(list_segments(tmp_path / "w0")) == 3


def test_where_no_new_segment_can_be_made_the_caller_is_told_and_nothing_is_void(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.DISK, disk=failing(1)) as log:
            blocked = log.directory / "00000001-00000001.seg.new"
            blocked.mkdir()
            assert not await log.append_request(request(0))
            blocked.rmdir()
            assert await log.append_request(request(1))

    asyncio.run(run())
    assert ids(read(tmp_path)[0]) == ["r0", "r1"]
    assert audit(tmp_path).whole


@pytest.mark.parametrize("durability", [Durability.PROCESS, Durability.RELAXED])
def test_without_disk_mode_a_failed_fsync_ends_the_segment_and_repeats_nothing(
    tmp_path: Path, durability: Durability
) -> None:
    async def run() -> None:
        disk = failing(1)
        async with writer(tmp_path, durability=durability, disk=disk, fsync_interval_s=0.001) as log:
            assert await log.append_request(request(0))
            keeping = asyncio.create_task(log.keep())
            deadline_s = log.loop.time() + DEADLINE_S
            while not disk.calls["fsync"]:
                assert log.loop.time() < deadline_s
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            assert log.fsync_failures == 1
            assert await log.append_request(request(1))
            keeping.cancel()

    asyncio.run(run())
    assert not isinstance(payloads(list_segments(tmp_path / "w0")[0].path)[-1][1], Seal)
    assert ids(read(tmp_path)[0]) == ["r0", "r1"]
    assert audit(tmp_path).whole


def test_a_rotation_whose_old_segment_could_not_be_fsynced_repeats_what_stands_in_both(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.DISK, disk=failing(2), rotation=Rotation(300, 1e9)) as log:
            for burst in range(5):
                assert all(await asyncio.gather(*[log.append_request(request(burst * 4 + n)) for n in range(4)]))

    asyncio.run(run())
    records, lost = read(tmp_path)
    assert (ids(records), lost) == ([f"r{number}" for number in range(20)], [])
    assert audit(tmp_path).whole


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_reader_hands_out_a_repeated_record_once_wherever_it_stood_and_whenever_it_restarts(
    tmp_path: Path, step: int, fresh: bool
) -> None:
    async def run() -> list[str]:
        seen: list[str] = []
        reader = LogReader(tmp_path)
        disk = FaultyDisk(lambda call, n: OSError(errno.EIO, "EIO") if call == "fsync" and n % 3 == 0 else None)
        async with writer(tmp_path, durability=Durability.DISK, disk=disk, rotation=Rotation(600, 1e9)) as log:
            for burst in range(30):
                waiting = [log.append_request(request(burst * 3 + number)) for number in range(3)]
                log.flush()
                seen += ids([record for run in reader.read(step).runs for _, record in run.records])
                if fresh:
                    reader = LogReader(tmp_path, reader.positions)
                assert all(await asyncio.gather(*waiting))
        records, lost = read(tmp_path, reader)
        assert lost == []
        return seen + ids(records)

    assert asyncio.run(run()) == [f"r{number}" for number in range(90)]


def test_the_ledger_counts_a_repeated_record_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, durability=Durability.DISK, disk=failing(1)) as log:
            waiting = log.append_request(request(0))
            log.append_ledger()
            assert await waiting

    asyncio.run(run())
    assert sum(isinstance(payload, Ledger) for _, payload in everything(tmp_path / "w0")) == 3
    found = audit(tmp_path)
    assert found.whole and found.answered == 1
