from pathlib import Path

import pytest

from models.disk import Disk
from service.featurelog.framing import frame
from service.featurelog.recovery import cut_torn_tail, drop_unborn

WHOLE = frame(b"first", 0) + frame(b"second", 1)
TORN = frame(b"third", 2)[:-1]


def test_the_torn_tail_is_cut_and_kept_beside_the_segment(tmp_path: Path) -> None:
    path = tmp_path / "00000001-00000000.seg"
    path.write_bytes(WHOLE + TORN)
    assert cut_torn_tail(path, Disk()) == len(TORN)
    assert path.read_bytes() == WHOLE
    assert path.with_name(f"{path.name}.torn").read_bytes() == TORN


def test_cutting_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "00000001-00000000.seg"
    path.write_bytes(WHOLE + TORN)
    cut_torn_tail(path, Disk())
    assert cut_torn_tail(path, Disk()) == 0
    assert path.read_bytes() == WHOLE
    assert path.with_name(f"{path.name}.torn").read_bytes() == TORN


def test_a_crash_between_keeping_and_cutting_keeps_the_bytes_once(tmp_path: Path) -> None:
    path = tmp_path / "00000001-00000000.seg"
    path.write_bytes(WHOLE + TORN)
    path.with_name(f"{path.name}.torn").write_bytes(TORN)
    assert cut_torn_tail(path, Disk()) == len(TORN)
    assert path.with_name(f"{path.name}.torn").read_bytes() == TORN


@pytest.mark.parametrize("data", [b"", WHOLE], ids=["empty", "whole"])
def test_a_segment_without_a_torn_tail_is_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "00000001-00000000.seg"
    path.write_bytes(data)
    assert cut_torn_tail(path, Disk()) == 0
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_damage_in_the_middle_is_not_cut_for_good_frames_stand_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "00000001-00000000.seg"
    damaged = bytearray(WHOLE)
    damaged[22] ^= 1
    path.write_bytes(bytes(damaged) + TORN)
    assert cut_torn_tail(path, Disk()) == len(TORN)
    assert path.read_bytes() == bytes(damaged)


def test_a_segment_that_never_got_its_name_goes_when_records_stand_in_it(tmp_path: Path) -> None:
    (tmp_path / "00000001-00000001.seg.new").write_bytes(b"head")
    (tmp_path / "00000001-00000002.seg.new").write_bytes(bytes(1000))
    drop_unborn(tmp_path, Disk())
    assert [path.name for path in tmp_path.iterdir()] == ["00000001-00000001.seg.new"]
