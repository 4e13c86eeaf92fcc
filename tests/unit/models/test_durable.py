import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from models.durable import exclusively, replace_durably, stamp, sync_directory, write_durably
from tests.processes import ROOT


def test_what_is_written_is_there(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"data")
    sync_directory(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"data"


def test_a_reader_sees_the_old_bytes_or_the_new_and_never_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(4)]
    replace_durably(path, contents[0])
    stop, seen = threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(40):
        replace_durably(path, contents[number % 4])
    stop.set()
    looking.join()
    assert seen <= set(contents) and len(seen) > 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_that_fails_leaves_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_durably(path, b"old")
    aside = path.with_name(f"file.{os.getpid()}.new")
    aside.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_durably(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_stamp_changes_with_every_replacement_rewriting_and_change_of_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    stamps = [stamp(path)]
    replace_durably(path, b"a")
    stamps.append(stamp(path))
    replace_durably(path, b"b")
    stamps.append(stamp(path))
    path.write_bytes(b"longer")
    stamps.append(stamp(path))
    path.chmod(0o600)
    stamps.append(stamp(path))
    kept = path.stat()
    path.write_bytes(b"LONGER")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # as a careful copy does
    stamps.append(stamp(path))
    assert stamps[0] == (0, 0, 0)
    assert len(set(stamps)) == 6
    assert stamp(path) == stamp(path)


def test_a_stamp_of_what_cannot_be_looked_at_is_that_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert stamp(tmp_path / "file" / "below") == (0, 0, 0)


def test_only_one_process_at_a_time_is_inside(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_text("0")
    add = (
        "import pathlib, sys; from models.durable import exclusively; path = pathlib.Path(sys.argv[1])\n"
        "for _ in range(200):\n"
        "    with exclusively(path): path.write_text(str(int(path.read_text()) + 1))"
    )
    adders = [subprocess.Popen([sys.executable, "-c", add, str(path)], cwd=ROOT) for _ in range(3)]
    assert [adder.wait(60) for adder in adders] == [0, 0, 0]
    assert path.read_text() == "600"


def test_the_lock_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusively(tmp_path / "new" / "file"):
        raise KeyError
    with exclusively(tmp_path / "new" / "file"):
        pass
