"""The archive's part of an erasure: rows go from Parquet, what is left is what it was, also after a kill at every call."""

import asyncio
import os
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.disk import Disk
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.erase import Eraser, Order, Report
from service.featurelog.errors import PassRunning, WhereInvalid
from service.featurelog.ledger import audit
from tests.unit.service.featurelog.archiving import RAW_GOES, EndingDisk, archive, manifest_of, on_disk
from tests.unit.service.featurelog.test_erase import (
    CLAUSES,
    KEY,
    ODD,
    REQUESTS,
    SCHEMA,
    SOME,
    Requests,
    contents,
    holding,
    named,
    request,
    write,
)
from tests.unit.service.featurelog.writing import writer

pytestmark = pytest.mark.slow

PERSON = "customer = 'customer-1'"


def erase(home: Path, where: str = PERSON, *, disk: Disk | None = None, wait_s: float = 5) -> Report:
    return Eraser(home, Order(where, None, KEY, "tests"), wait_s=wait_s, disk=disk).run()


def sealed(home: Path) -> dict[tuple[str, object], tuple[str, str]]:
    """Every row of the archive by table and key: of which request, and all of it as text."""
    found = {}
    for file in manifest_of(home).files:
        for row in pq.ParquetFile(home / "archive" / file.path).read().to_pylist():
            key = (file.table, (row["writer"], row["epoch"], row["seq"], row["row"]))
            assert key not in found
            found[key] = (row["request_id"], repr(row))
    return found


def texts(home: Path) -> set[str]:
    """Every text that a Parquet file holds: in dictionaries also of values that no row has, in statistics."""
    found: set[str] = set()
    for path in (home / "archive").rglob("*.parquet"):
        file = pq.ParquetFile(path)
        for name, column in zip(file.schema_arrow.names, file.read().columns, strict=True):
            if pa.types.is_dictionary(column.type):
                found |= {text for chunk in column.chunks for text in chunk.dictionary.to_pylist()}
            elif pa.types.is_string(column.type):
                found |= set(column.to_pylist())
            assert name
        for group in range(file.num_row_groups):
            columns = [file.metadata.row_group(group).column(place) for place in range(file.metadata.num_columns)]
            ends = [column.statistics for column in columns if column.statistics and column.statistics.has_min_max]
            found |= {str(end) for one in ends for end in (one.min, one.max)}
    return found


@ODD
@given(requests=REQUESTS, clause=st.sampled_from(sorted(CLAUSES)), raw_stays=st.booleans())
def test_what_a_clause_names_is_gone_from_the_archive_and_all_else_is_what_it_was(
    tmp_path_factory: pytest.TempPathFactory, requests: Requests, clause: str, raw_stays: bool
) -> None:
    home = tmp_path_factory.mktemp("home")
    write(home, requests)
    archive(home)
    raw = len(list(home.rglob("*.seg")))
    if not raw_stays:
        archive(home, keep=RAW_GOES, keep_from=dict(manifest_of(home).position))
        assert len(list(home.rglob("*.seg"))) < raw
    before, hot, gone, said = sealed(home), contents(home), named(requests, clause), audit(home / "log")
    try:
        report = erase(home, clause)
    except WhereInvalid:
        assert not gone
        return

    def stays(key: tuple[str, object], row: tuple[str, str]) -> bool:
        return key[1][3] not in gone.get(row[0], set())  # type: ignore[index]

    assert sealed(home) == {key: row for key, row in before.items() if stays(key, row)}
    assert contents(home) == {key: row for key, row in hot.items() if stays(key, row)}
    assert on_disk(home) == [file.path for file in manifest_of(home).files]
    assert (audit(home / "log").outcomes, audit(home / "log").whole) == (said.outcomes, said.whole)
    taken = len(before) - len(sealed(home))
    assert sum(manifest_of(home).erased.values()) == taken
    assert report.counts["archived_rows"] + report.counts["archived_followers"] == taken
    assert all(file.rows for file in manifest_of(home).files)
    archived = archive(home)
    assert (archived.damaged, archived.lost_records, archived.malformed) == ((), 0, 0)


def test_no_text_of_a_person_is_left_in_a_file_nor_in_a_dictionary_nor_in_statistics(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    archive(tmp_path)
    assert {"customer-1", "label of customer-1"} <= texts(tmp_path)
    report = erase(tmp_path)
    assert {text for text in texts(tmp_path) if "customer-1" in text} == set()
    assert "customer-2" in texts(tmp_path)
    assert holding(tmp_path) == []
    assert report.counts["archived_rows"] == 4
    receipt = msgspec.json.decode(report.receipt.read_bytes())  # type: ignore[union-attr]
    written = {name for name, one in receipt["files"].items() if name.startswith("archive/") and not one["before"]}
    assert written == {f"archive/{file.path}" for file in manifest_of(tmp_path).files if "merged-" in file.path}


def test_labels_in_the_archive_go_with_a_request_that_is_still_hot(tmp_path: Path) -> None:
    """The label came first, and was archived; the request stands in the segment that is written."""

    async def late() -> None:
        async with writer(tmp_path / "log") as log:
            log.schema_id(SCHEMA)
            await log.append_request(request(0, SOME[1][0]))

    write(tmp_path, [SOME[1]])
    archive(tmp_path)
    for path in list((tmp_path / "log" / "w0").glob("*.seg")):
        path.unlink()
    asyncio.run(late())
    erase(tmp_path)
    assert sealed(tmp_path) == {}


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_every_call_that_changes_the_disk_is_mended_by_the_same_command(tmp_path: Path, after: bool) -> None:
    write(tmp_path / "0", SOME)
    archive(tmp_path / "0")
    expected, hot = None, None
    for n in range(1, 200):
        home = tmp_path / str(n)
        os.system(f"cp -a {tmp_path / '0'} {home}")
        if (pid := os.fork()) == 0:
            erase(home, disk=EndingDisk(n, after=after))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 17)
        archived = archive(home)  # a pass may come between
        assert archived.damaged == ()
        report = erase(home)
        assert holding(home) == []
        assert {text for text in texts(home) if "customer-1" in text} == set()
        assert on_disk(home) == [file.path for file in manifest_of(home).files]
        expected, hot = expected or sealed(home), hot or contents(home)
        assert (sealed(home), contents(home)) == (expected, hot)
        assert audit(home / "log").whole
        (receipt,) = (msgspec.json.decode(path.read_bytes()) for path in (home / "receipts").glob("*.json"))
        assert receipt["state"] == "done"
        assert report.counts["rows"] in (0, 4)
        if status == 0:
            assert n > 20
            return
    raise AssertionError("it never ended by itself")


def test_a_pass_that_runs_is_waited_for_and_then_told(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    archive(tmp_path)
    with ArchiveFiles(tmp_path / "archive").locked(), pytest.raises(PassRunning):
        erase(tmp_path, wait_s=0.05)
    assert holding(tmp_path) != []


def test_a_file_that_cannot_be_read_is_named_and_stays(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    archive(tmp_path)
    file = next(file for file in manifest_of(tmp_path).files if file.path.startswith("requests/model=loans"))
    (tmp_path / "archive" / file.path).write_bytes(b"no Parquet")
    report = erase(tmp_path)
    assert report.missed == (f"archive/{file.path}",)
    assert (tmp_path / "archive" / file.path).read_bytes() == b"no Parquet"


def test_an_archive_made_after_an_erasure_counts_the_erased_and_numbers_the_rest_as_before(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    erase(tmp_path)
    archive(tmp_path)
    accounts = manifest_of(tmp_path).accounts.values()
    assert sum(account.requests.get("answered", 0) for account in accounts) == 4
    rows = [key[1][3] for key, row in sealed(tmp_path).items() if key[0] == "requests" and row[0] == "r0"]  # type: ignore[index]
    assert rows == [1]
