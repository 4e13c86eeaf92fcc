import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.featurelog.errors import DirectoryBusy
from service.featurelog.files import list_segments, list_writers, lock_directory, lock_first_free
from service.featurelog.segments import segment_name


def test_a_directory_that_is_locked_is_refused_and_named(tmp_path: Path) -> None:
    held = lock_directory(tmp_path / "w0")
    with pytest.raises(DirectoryBusy, match="w0: locked by a live writer"):
        lock_directory(tmp_path / "w0")
    os.close(held)
    os.close(lock_directory(tmp_path / "w0"))


def test_a_second_writer_takes_the_next_directory_and_a_freed_one_is_taken_again(tmp_path: Path) -> None:
    taken = [lock_first_free(tmp_path, 3) for _ in range(3)]
    assert [name for name, _, _ in taken] == ["w0", "w1", "w2"]
    with pytest.raises(DirectoryBusy):
        lock_first_free(tmp_path, 3)
    os.close(taken[1][2])
    name, directory, held = lock_first_free(tmp_path, 3)
    assert (name, directory) == ("w1", tmp_path / "w1")
    for descriptor in (taken[0][2], held, taken[2][2]):
        os.close(descriptor)


def test_another_process_is_refused_too_and_let_in_when_the_holder_is_gone(tmp_path: Path) -> None:
    held = lock_directory(tmp_path / "w0")
    ask = (
        "import sys, pathlib; from service.featurelog.files import lock_first_free;"
        "print(lock_first_free(pathlib.Path(sys.argv[1]), 9)[0])"
    )
    ran = [sys.executable, "-c", ask, str(tmp_path)]
    assert subprocess.run(ran, capture_output=True, text=True, check=True).stdout == "w1\n"
    os.close(held)
    assert subprocess.run(ran, capture_output=True, text=True, check=True).stdout == "w0\n"


def test_what_is_wrong_with_the_disk_is_not_called_busy(tmp_path: Path) -> None:
    (tmp_path / "w0").write_text("a file where a directory should be")
    with pytest.raises(FileExistsError):
        lock_first_free(tmp_path, 3)


def test_listings_hold_writers_and_segments_only_in_order(tmp_path: Path) -> None:
    for name in ("w10", "w2", "other", "w0"):
        (tmp_path / name).mkdir()
    (tmp_path / "w3").write_text("no directory")
    for key in ((2, 0), (1, 1), (1, 0)):
        (tmp_path / "w0" / segment_name(*key)).touch()
    for name in ("lock", "00000001-00000000.seg.torn", "notes.txt"):
        (tmp_path / "w0" / name).touch()
    assert [name for name, _ in list_writers(tmp_path)] == ["w0", "w10", "w2"]
    assert [segment.key for segment in list_segments(tmp_path / "w0")] == [(1, 0), (1, 1), (2, 0)]
    assert list_writers(tmp_path / "nowhere") == []


def test_a_read_of_a_segment_is_what_stands_there_and_short_at_the_end(tmp_path: Path) -> None:
    (tmp_path / segment_name(1, 0)).write_bytes(b"0123456789")
    segment = list_segments(tmp_path)[0]
    assert (segment.read(2, 3), segment.read(8, 100), segment.read(100, 5)) == (b"234", b"89", b"")
