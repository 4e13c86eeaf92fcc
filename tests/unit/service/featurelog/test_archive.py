import errno
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models.disk import Disk
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.errors import ManifestInvalid, PassRunning
from service.featurelog.framing import frame
from service.featurelog.ledger import audit
from service.featurelog.reader import LogReader
from service.featurelog.record import Again, Head, encode
from service.featurelog.sealed import waiting
from service.featurelog.snapshot import snapshot
from tests.unit.service.featurelog.archiving import (
    DAY_US,
    FOR_EVER,
    RAW_GOES,
    START_US,
    archive,
    manifest_of,
    on_disk,
    rows_in,
    write_log,
)
from tests.unit.service.featurelog.writing import ids, read, request, segment, write


def segments(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "log" / "w0").glob("*.seg"))


def test_every_row_of_the_sealed_segments_is_in_the_archive_once(tmp_path: Path) -> None:
    rows = write_log(tmp_path / "log")
    report = archive(tmp_path)
    found = rows_in(tmp_path)
    assert report.rows == len(found) == len(set(found)) == rows
    assert report.lost_records == report.lost_holes == report.malformed == 0
    assert on_disk(tmp_path) == [file.path for file in manifest_of(tmp_path).files]
    assert {Path(file.path).parent.as_posix() for file in manifest_of(tmp_path).files} == {
        *(f"requests/model=sums/version={v}/date={d}" for v in "12" for d in ("2024-10-04", "2024-10-05")),
        "requests/model=__none__/version=__none__/date=2024-10-04",
        "requests/model=__none__/version=__none__/date=2024-10-05",
        "shadows/model=sums/version=2/date=2024-10-04",
        "shadows/model=sums/version=2/date=2024-10-05",
        "feedback/date=2024-10-04",
        "feedback/date=2024-10-05",
    }


def test_what_a_failed_fsync_makes_a_writer_repeat_is_archived_and_read_once(tmp_path: Path) -> None:
    """The first segment is archived before the third one repeats what stands in it and in the second."""
    root = tmp_path / "log"
    segment(root, [(number, request(number, at_us=START_US)) for number in range(5)])
    segment(root, [(5, request(5, at_us=START_US))], number=1)
    assert archive(tmp_path).rows == 5
    repeating = segment(root, [(number, request(number, at_us=START_US)) for number in range(2, 8)], number=2)
    frames = repeating.read_bytes().split(frame(encode(Head(1, "w0", 1, 2, 0)), 0), 1)[1]
    repeating.write_bytes(frame(encode(Again(1, "w0", 1, 2, 0)), 2) + frames)
    with snapshot(root, tmp_path / "archive") as seen:
        assert seen.hot_rows == 3
        assert seen.lost == ()
    segment(root, [(8, request(8, at_us=START_US))], number=3)
    assert archive(tmp_path).lost_holes == 0
    assert len(rows_in(tmp_path)) == len(set(rows_in(tmp_path))) == 8
    assert audit(root).whole


def test_a_second_pass_has_nothing_to_do(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    archive(tmp_path)
    before, kept = rows_in(tmp_path), manifest_of(tmp_path)
    report = archive(tmp_path)
    assert (report.segments, report.rows, report.swept) == (0, 0, 0)
    assert rows_in(tmp_path) == before
    assert manifest_of(tmp_path) == kept


def test_the_segment_that_is_written_is_left_alone_until_it_is_sealed(tmp_path: Path) -> None:
    records = [(number, request(number, at_us=START_US)) for number in range(3)]
    segment(tmp_path / "log", records)  # no SEAL: its writer lives, or was killed
    assert archive(tmp_path).segments == 0
    assert waiting(tmp_path / "log", manifest_of(tmp_path)).segments == 0
    segment(tmp_path / "log", [(3, request(3, at_us=START_US))], number=1)
    assert waiting(tmp_path / "log", manifest_of(tmp_path)).segments == 1
    assert archive(tmp_path).rows == 3
    assert waiting(tmp_path / "log", manifest_of(tmp_path)) == (0, 0, None)


def test_a_pass_takes_up_where_the_last_one_ended_in_the_same_epoch(tmp_path: Path) -> None:
    for number in range(4):
        segment(tmp_path / "log", [(number, request(number, at_us=START_US))], number=number)
        archive(tmp_path)
    assert [row[1] for row in rows_in(tmp_path)] == [("w0", 1, seq, -1) for seq in range(3)]
    assert manifest_of(tmp_path).accounts["w0/1"].lost_records == 0


def test_the_same_log_gives_the_same_files_with_the_same_bytes(tmp_path: Path) -> None:
    write_log(tmp_path / "one" / "log")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for home in (tmp_path / "one", tmp_path / "other"):
        archive(home)
    names = on_disk(tmp_path / "one")
    assert names == on_disk(tmp_path / "other")
    for name in [*names, "manifest.json"]:
        one, other = (tmp_path / home / "archive" / name for home in ("one", "other"))
        assert one.read_bytes() == other.read_bytes(), name


def test_pages_carry_checksums_and_a_flipped_bit_is_found(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    archive(tmp_path)
    file = manifest_of(tmp_path).files[0]
    place = tmp_path / "archive" / file.path
    data = bytearray(place.read_bytes())
    column = pq.ParquetFile(place).metadata.row_group(0).column(0)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    place.write_bytes(data)
    with pytest.raises(Exception, match="checksums hold"):
        list(ArchiveFiles(tmp_path / "archive").tables(file))


# --- damage -------------------------------------------------------------------------------------------------------


def test_damage_is_noted_in_the_account_and_the_rest_is_archived(tmp_path: Path) -> None:
    path = segment(tmp_path / "log", [(number, request(number, at_us=START_US)) for number in range(10)])
    segment(tmp_path / "log", [(10, request(10, at_us=START_US))], number=1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    report = archive(tmp_path)
    account = manifest_of(tmp_path).accounts["w0/1"]
    assert report.rows == 9
    assert (report.lost_records, report.lost_holes) == (account.lost_records, account.lost_holes) == (1, 1)
    assert any("corrupt" in sentence for sentence in account.damages)


def test_records_lost_between_two_passes_are_noticed_by_the_second(tmp_path: Path) -> None:
    segment(tmp_path / "log", [(0, request(0, at_us=START_US))])
    segment(tmp_path / "log", [(5, request(5, at_us=START_US))], number=1)
    archive(tmp_path)
    segment(tmp_path / "log", [(6, request(6, at_us=START_US))], number=2)
    assert archive(tmp_path).lost_records == 4


def test_a_manifest_that_cannot_be_understood_stops_the_pass_and_nothing_is_touched(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    archive(tmp_path)
    files, place = on_disk(tmp_path), tmp_path / "archive" / "manifest.json"
    for wrong in (b"{", json.dumps({"format": 99}).encode(), b'{"files": [{"path": 1}]}'):
        place.write_bytes(wrong)
        with pytest.raises(ManifestInvalid, match=r"manifest\.json: .*expected.*nothing was archived"):
            archive(tmp_path)
        assert on_disk(tmp_path) == files


def test_two_passes_do_not_run_at_once(tmp_path: Path) -> None:
    with ArchiveFiles(tmp_path / "archive").locked(), pytest.raises(PassRunning, match="another pass"):
        archive(tmp_path)


def test_what_is_not_ours_is_not_swept(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    archive(tmp_path)
    folder = tmp_path / "archive" / Path(manifest_of(tmp_path).files[0].path).parent
    (folder / "notes.parquet").write_bytes(b"mine")
    (folder / "w0-00000009-00000000-00000001-0.parquet").write_bytes(b"left by a pass that was killed")
    (folder / "w0-00000009-00000000-00000001-1.parquet.new").write_bytes(b"")
    assert archive(tmp_path).swept == 2
    assert (folder / "notes.parquet").exists()


# --- disks (ends at every border: tests/promises/faults/archiver.py) ---------------------------------------------------


def test_a_full_disk_stops_the_pass_and_the_next_one_finishes_it(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, descriptor: int, data: bytes | memoryview) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rows = write_log(tmp_path / "log")
    before = segments(tmp_path)
    with pytest.raises(OSError, match="No space"):
        archive(tmp_path, keep=RAW_GOES, disk=Full())
    assert segments(tmp_path) == before, "what is not archived stays"
    assert on_disk(tmp_path) == [], "nothing half written is left on a full disk"
    assert archive(tmp_path).rows == rows


# --- merging ------------------------------------------------------------------------------------------------------


def test_small_files_of_a_day_that_is_over_become_one_with_the_same_rows(tmp_path: Path) -> None:
    for _ in range(4):
        write_log(tmp_path / "log", epochs=1, requests=10)
        archive(tmp_path)
    before = rows_in(tmp_path)
    write(tmp_path / "log", [request(0, at_us=START_US + DAY_US)])
    report = archive(tmp_path)
    after = rows_in(tmp_path)
    assert report.merged > 0
    assert len(after) == len(set(after)) == len(before) + 1
    closed = [file for file in manifest_of(tmp_path).files if file.date == "2024-10-04" and file.table == "requests"]
    assert len(closed) == 3, "one a folder"
    assert all("/merged-" in file.path for file in closed)
    assert on_disk(tmp_path) == [file.path for file in manifest_of(tmp_path).files]
    assert archive(tmp_path).merged == 0
    table = pq.ParquetFile(tmp_path / "archive" / next(f.path for f in closed if "version=1" in f.path)).read()
    assert table.column_names[-3:] == ["a", "city", "sum"]
    assert set(table["city"].to_pylist()) == {"oslo"}


def test_a_damaged_file_is_left_and_named_and_its_neighbours_go_on(tmp_path: Path) -> None:
    for _ in range(2):
        write_log(tmp_path / "log", epochs=1, requests=10)
        archive(tmp_path)
    broken = next(file.path for file in manifest_of(tmp_path).files if "version=1" in file.path)
    (tmp_path / "archive" / broken).write_bytes(b"PAR1 no more")
    write(tmp_path / "log", [request(0, at_us=START_US + DAY_US)])
    report = archive(tmp_path)
    assert len(report.damaged) == 1 and broken in report.damaged[0]
    assert report.merged > 0
    assert (tmp_path / "archive" / broken).read_bytes() == b"PAR1 no more"


# --- retention ----------------------------------------------------------------------------------------------------


def test_a_segment_goes_only_when_it_is_archived_read_and_not_the_newest(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    names = segments(tmp_path)
    archive(tmp_path, keep=RAW_GOES, keep_from={})
    assert segments(tmp_path) == names, "the monitor has read nothing"
    report = archive(tmp_path, keep=RAW_GOES, keep_from={"w0": (1, 2, 99)})
    assert segments(tmp_path) == names[2:]
    assert report.let_go_segments == 2
    archive(tmp_path, keep=RAW_GOES)
    assert segments(tmp_path) == names[-1:]
    assert manifest_of(tmp_path).let_go.segments == len(names) - 1


def test_segments_stay_for_their_time_and_go_before_it_where_they_are_too_many(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    names = segments(tmp_path)
    now_us = int((tmp_path / "log" / "w0" / names[-1]).stat().st_mtime * 1e6)
    assert archive(tmp_path, keep=FOR_EVER._replace(raw_age_us=DAY_US), now_us=now_us).let_go_segments == 0
    sizes = [(tmp_path / "log" / "w0" / name).stat().st_size for name in names]
    archive(tmp_path, keep=FOR_EVER._replace(raw_age_us=DAY_US, raw_bytes=sum(sizes[3:])), now_us=now_us)
    assert segments(tmp_path) == names[3:]


def test_old_days_of_the_archive_go_and_are_counted(tmp_path: Path) -> None:
    rows = write_log(tmp_path / "log")
    archive(tmp_path)
    old = [file for file in manifest_of(tmp_path).files if file.date == "2024-10-04"]
    report = archive(tmp_path, keep=FOR_EVER._replace(archive_days=1), now_us=START_US + 2 * DAY_US)
    found = manifest_of(tmp_path)
    assert report.let_go_files == found.let_go.files == len(old)
    assert {file.date for file in found.files} == {"2024-10-05"}
    assert found.let_go.rows + len(rows_in(tmp_path)) == rows
    assert on_disk(tmp_path) == [file.path for file in found.files]
    assert not list((tmp_path / "archive").rglob("date=2024-10-04")), "empty folders go too"


def test_an_archive_that_is_too_large_loses_its_oldest_files_first(tmp_path: Path) -> None:
    write_log(tmp_path / "log")
    archive(tmp_path)
    newer = sum(file.bytes for file in manifest_of(tmp_path).files if file.date == "2024-10-05")
    archive(tmp_path, keep=FOR_EVER._replace(archive_bytes=newer))
    assert {file.date for file in manifest_of(tmp_path).files} == {"2024-10-05"}


def test_a_reader_takes_up_where_the_segments_begin_and_reports_no_hole(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    everything = ids(read(tmp_path / "log")[0])
    archive(tmp_path, keep=RAW_GOES, keep_from={"w0": (1, 2, 0)})
    left, lost = read(tmp_path / "log")
    assert lost == []
    assert 0 < len(ids(left)) < len(everything) and ids(left) == everything[-len(ids(left)) :]


def test_a_reader_on_its_way_is_told_what_it_missed(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    reader = LogReader(tmp_path / "log", {"w0": (1, 1, 0)})
    archive(tmp_path, keep=RAW_GOES, keep_from={"w0": (1, 3, 0)})
    assert [lost.reason for lost in read(tmp_path / "log", reader)[1]] == ["let go"]


def test_a_segment_that_is_missing_and_was_not_let_go_is_still_a_hole(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    names = segments(tmp_path)
    archive(tmp_path, keep=RAW_GOES, keep_from={"w0": (1, 2, 0)})
    (tmp_path / "log" / "w0" / names[2]).unlink()
    lost = read(tmp_path / "log")[1]
    assert "segment missing" in {one.reason for one in lost}


def test_the_log_still_adds_up_when_segments_were_let_go(tmp_path: Path) -> None:
    seconds = iter(range(0, 10**12, 1_000_000))
    write_log(tmp_path / "log", clock_us=lambda: next(seconds))
    before = audit(tmp_path / "log")
    assert before.whole
    archive(tmp_path, keep=RAW_GOES, keep_from={"w0": (2, 1, 0)})
    after = audit(tmp_path / "log")
    assert after.whole, after
    assert (after.received, after.outcomes) == (before.received, before.outcomes)
    archive(tmp_path, keep=RAW_GOES)
    assert audit(tmp_path / "log").outcomes == before.outcomes


def test_the_rows_of_a_request_are_its_values(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    archive(tmp_path)
    for file in manifest_of(tmp_path).files:
        if "model=sums" not in file.path or file.table != "requests":
            continue
        for row in pq.ParquetFile(tmp_path / "archive" / file.path).read().to_pylist():
            number = int(row["request_id"][1:])
            assert row["a"] == number + row["row"] / 10 and row["sum"] == number
            assert row["rows"] == 1 + number % 3
