import errno
from pathlib import Path

from models.disk import Disk
from models.reserve import Reserve
from tests.disks import FaultyDisk

SIZE = 1 << 16


def test_the_space_is_taken_on_the_disk_and_given_back_at_once(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", SIZE, Disk())
    assert (reserve.spent, reserve.held_bytes) == (False, SIZE)
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE
    assert reserve.release()
    assert (reserve.spent, reserve.held_bytes) == (True, 0)
    assert (tmp_path / "reserve").stat().st_blocks == 0
    assert not reserve.release()
    assert reserve.refill()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE
    reserve.close()


def test_a_disk_that_is_full_leaves_it_spent_until_there_is_space_again(tmp_path: Path) -> None:
    full = True
    disk = FaultyDisk(lambda call, _: OSError(errno.ENOSPC, "full") if full and call == "allocate" else None)
    reserve = Reserve(tmp_path / "reserve", SIZE, disk)
    assert reserve.spent and not reserve.refill()
    full = False
    assert reserve.refill() and reserve.held_bytes == SIZE
    reserve.close()


def test_a_file_system_that_cannot_allocate_has_no_reserve_and_is_not_taken_to_be_full(tmp_path: Path) -> None:
    disk = FaultyDisk(lambda call, _: OSError(errno.EOPNOTSUPP, "no") if call == "allocate" else None)
    reserve = Reserve(tmp_path / "reserve", SIZE, disk)
    assert (reserve.spent, reserve.held_bytes) == (False, 0)
    reserve.close()


def test_where_none_is_wanted_there_is_no_file(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 0, Disk())
    assert not reserve.spent and not reserve.release()
    assert list(tmp_path.iterdir()) == []
    reserve.close()
