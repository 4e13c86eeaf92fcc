from pathlib import Path

import msgspec
import pytest

from models.errors import LockInvalid, PinConflict
from models.lock import Lock, Pin
from models.lock_file import LockFile

PIN = Pin(name="payments", version="1", digest="sha256:" + "0" * 64, source="file:demo")


def test_an_absent_lock_is_a_lock_without_pins(tmp_path: Path) -> None:
    assert LockFile(tmp_path / "models.lock.toml").read() == Lock()


def test_pins_are_there_for_the_next_who_reads(tmp_path: Path) -> None:
    path = tmp_path / "models.lock.toml"
    second = msgspec.structs.replace(PIN, version="2")
    assert LockFile(path).pin(PIN, second).pins == (PIN, second)
    assert LockFile(path).read().pins == (PIN, second)
    before = path.read_bytes()
    LockFile(path).pin(PIN)
    assert path.read_bytes() == before


def test_of_several_pins_with_one_conflict_none_is_taken(tmp_path: Path) -> None:
    lock_file = LockFile(tmp_path / "models.lock.toml")
    lock_file.pin(PIN)
    before = lock_file.path.read_bytes()
    with pytest.raises(PinConflict, match="a version never changes its bytes"):
        lock_file.pin(
            msgspec.structs.replace(PIN, version="2"), msgspec.structs.replace(PIN, digest="sha256:" + "1" * 64)
        )
    assert lock_file.path.read_bytes() == before


@pytest.mark.parametrize("text", [b"junk", b"# \xff\xfe", b"x = " + b"[" * 5000, b"[[models]]"])
def test_a_lock_that_cannot_be_read_is_refused_with_its_place_and_never_overwritten(
    tmp_path: Path, text: bytes
) -> None:
    lock_file = LockFile(tmp_path / "models.lock.toml")
    lock_file.path.write_bytes(text)
    for attempt in (lock_file.read, lambda: lock_file.pin(PIN)):
        with pytest.raises(LockInvalid, match=r"models.lock.toml.*no pin was changed"):
            attempt()
    assert lock_file.path.read_bytes() == text
