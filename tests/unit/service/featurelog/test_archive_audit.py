"""What `plumbline log verify` says of an archive: a table of damages, each of which is a fault, and what is none."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.featurelog.archive_audit import ArchiveAudit, audit_archive
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.errors import ArchiveDamaged
from service.featurelog.manifest import ArchiveFile, Manifest
from tests.unit.service.featurelog.archiving import (
    DAY_US,
    RAW_GOES,
    START_US,
    EndingDisk,
    archive,
    asked,
    manifest_of,
    write_log,
)
from tests.unit.service.featurelog.test_erase_archive import erase
from tests.unit.service.featurelog.writing import write

pytestmark = pytest.mark.slow

RETAINED = RAW_GOES._replace(archive_bytes=1)


def audited(home: Path, *, deep: bool = False) -> ArchiveAudit:
    return audit_archive(ArchiveFiles(home / "archive"), deep=deep)


def a_file(home: Path) -> tuple[ArchiveFile, Path]:
    file = max(manifest_of(home).files, key=lambda file: file.bytes)
    return file, home / "archive" / file.path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_log(tmp_path / "log", epochs=1, requests=12)
    archive(tmp_path)
    return tmp_path


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def no_parquet(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def other_rows(path: Path) -> None:
    """As long as it was, and Parquet, with fewer rows."""
    size, rows = path.stat().st_size, pq.read_table(path)
    pq.write_table(rows.slice(0, rows.num_rows - 1), path, compression="zstd", store_schema=False)
    data = path.read_bytes()
    assert len(data) <= size
    path.write_bytes(data[:4] + bytes(size - len(data)) + data[4:])


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "no file"),
    "longer": (grown, "bytes, expected"),
    "shorter": (cut, "bytes, expected"),
    "no Parquet": (no_parquet, "expected Parquet with"),
    "other rows": (other_rows, "rows, expected"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_what_the_manifest_says_is_a_fault_with_its_name(home: Path, damage: str) -> None:
    assert audited(home).whole
    file, path = a_file(home)
    inject, said = DAMAGES[damage]
    inject(path)
    (fault,) = audited(home).faults
    assert fault.startswith(str(path)) and said in fault
    assert file in manifest_of(home).files


def test_a_flipped_bit_of_a_page_is_found_where_all_is_read(home: Path) -> None:
    _, path = a_file(home)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    assert audited(home).whole
    (fault,) = audited(home, deep=True).faults
    assert fault.startswith(str(path))


def test_a_flipped_bit_of_a_footer_is_damage_and_never_an_error_of_the_system(home: Path) -> None:
    """So a pass names the file and goes on, and an erasure too."""
    file, path = a_file(home)
    whole, found = path.read_bytes(), 0
    for place in range(len(whole) - 1500, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            ArchiveFiles(home / "archive").open(file)
        except ArchiveDamaged:
            found += 1
    assert found > 1000
    path.chmod(0)
    if not os.access(path, os.R_OK):  # not as root
        with pytest.raises(PermissionError):
            ArchiveFiles(home / "archive").open(file)


def test_what_a_pass_leaves_that_was_cut_short_is_told_and_no_fault(home: Path) -> None:
    _, path = a_file(home)
    leftovers = [path.with_name("w0-00000009-00000000-00000000-0.parquet"), path.with_name(f"{path.name}.new")]
    for left in leftovers:
        shutil.copyfile(path, left)
    found = audited(home)
    assert (found.faults, set(found.unnamed)) == ((), set(map(str, leftovers)))
    assert archive(home).swept == 2
    assert audited(home).unnamed == ()


def test_a_parquet_file_that_no_pass_wrote_is_a_fault_and_other_files_are_told(home: Path) -> None:
    _, path = a_file(home)
    pq.write_table(pa.table({"request_id": ["r"]}), path.with_name("mine.parquet"))
    path.with_name("notes.txt").write_text("mine")
    found = audited(home)
    assert [fault.partition(":")[0] for fault in found.faults] == [str(path.with_name("mine.parquet"))]
    assert found.unnamed == (str(path.with_name("notes.txt")),)
    archive(home)
    assert path.with_name("mine.parquet").exists(), "a pass takes away only what it wrote"


def test_rows_that_retention_or_an_erasure_took_are_accounted_for(home: Path) -> None:
    assert erase(home, "a > 9").counts["archived_rows"] > 0
    assert audited(home, deep=True).whole
    assert archive(home, keep=RETAINED).let_go_files > 0
    assert audited(home, deep=True).whole
    manifest = manifest_of(home)
    (home / "archive" / "manifest.json").write_bytes(manifest.without_files(manifest.files[:1]).encode())
    assert audited(home).whole
    (home / "archive" / "manifest.json").write_bytes(Manifest(accounts=manifest.accounts).encode())
    (fault,) = audited(home).faults
    assert fault.startswith("manifest: ") and "rows archived" in fault


def a_merge_waits(home: Path) -> None:
    for number, day in enumerate((0, 0, 1)):
        write(home / "log", [asked(number, -1, at_us=START_US + day * DAY_US)])


def test_there_is_no_fault_at_any_moment_of_a_pass(tmp_path: Path) -> None:
    a_merge_waits(tmp_path / "0")
    found: list[tuple[str, ...]] = []

    def look_at(moment: int) -> None:
        home = tmp_path / str(moment)
        shutil.copytree(tmp_path / "0", home)
        disk = EndingDisk(moment, after=True, end=lambda: found.append(audited(home).faults))
        archive(home, keep=RETAINED, disk=disk)

    moments = 0
    while len(found) == moments:
        moments += 1
        look_at(moments)
    assert moments > 20
    assert set(found) == {()}


class Overtaken(ArchiveFiles):
    """An archive of which a pass changes all as soon as its manifest was read."""

    def load(self) -> Manifest:
        manifest = super().load()
        if manifest.files:
            write(self.root.parent / "log", [asked(9, -1, at_us=START_US + 2 * DAY_US)])
            archive(self.root.parent)
        return manifest


def test_a_pass_that_works_while_it_is_looked_makes_no_fault(tmp_path: Path) -> None:
    write(tmp_path / "log", [asked(0, -1, at_us=START_US)])
    archive(tmp_path)
    write(tmp_path / "log", [asked(1, -1, at_us=START_US)])
    archive(tmp_path)
    before = manifest_of(tmp_path).files
    assert audit_archive(Overtaken(tmp_path / "archive")).faults == ()
    assert not set(before) & set(manifest_of(tmp_path).files), "the day was over, so its files were merged"


def test_where_nothing_was_archived_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert audited(tmp_path) == ArchiveAudit(0, 0, (), ())
