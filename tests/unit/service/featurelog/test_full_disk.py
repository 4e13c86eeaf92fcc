"""A disk that is really full: what is dropped, what is still written, and how it goes on (FORMAT.md §2.1)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.featurelog.commit import Durability
from service.featurelog.ledger import audit
from service.featurelog.record import Ledger, Seal
from tests.small_disk import CannotMount, fill, small_disk
from tests.unit.service.featurelog.test_writer import adds_up, everything
from tests.unit.service.featurelog.writing import ids, read, request, writer

DISK_BYTES, RESERVE_BYTES = 4 << 20, 1 << 16


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    try:
        with small_disk(tmp_path / "disk", DISK_BYTES) as place:
            yield place
    except CannotMount as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("durability", Durability)
def test_on_a_full_disk_the_account_is_still_written_and_records_go_on_when_there_is_space(
    disk: Path, durability: Durability
) -> None:
    async def run() -> None:
        root = disk / "log"
        async with writer(root, durability=durability, reserve_bytes=RESERVE_BYTES) as log:
            assert await log.append_request(request(0))
            log.flush()
            filler = fill(disk)
            for number in range(1, 300):
                await log.append_request(request(number, text="x" * 500))
                log.flush()
            assert log.reserve.spent
            lost = log.dropped["answered"]["no_space"]
            assert lost > 250 and log.dropped["answered"].keys() == {"no_space"}
            log.append_ledger()
            *_, said = [payload for _, payload in everything(log.directory) if isinstance(payload, Ledger)]
            assert said.dropped["answered"] == {"no_space": lost}
            adds_up(log)
            filler.unlink()
            assert await log.append_request(request(1000))
            log.flush()
            assert not log.reserve.spent
            adds_up(log)

    asyncio.run(run())
    found = audit(disk / "log")
    assert found.whole
    assert ids(read(disk / "log")[0])[-1] == "r1000"


def test_on_a_full_disk_the_log_is_closed_with_its_account_and_its_seal(disk: Path) -> None:
    async def run() -> None:
        async with writer(disk / "log", reserve_bytes=RESERVE_BYTES) as log:
            await log.append_request(request(0))
            fill(disk)

    asyncio.run(run())
    *_, (_, account), (_, seal) = everything(disk / "log" / "w0")
    assert isinstance(account, Ledger) and isinstance(seal, Seal)
    assert audit(disk / "log").whole


def test_without_a_reserve_what_does_not_fit_is_counted_in_memory(disk: Path) -> None:
    async def run() -> None:
        async with writer(disk / "log") as log:
            filler = fill(disk)
            for number in range(20):
                await log.append_request(request(number, text="x" * 500))
            lost = log.dropped["answered"]["no_space"]
            assert lost > 0
            filler.unlink()

    asyncio.run(run())
    found = audit(disk / "log")
    assert found.whole and found.received == 20
