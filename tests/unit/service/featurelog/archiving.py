"""How does a test archive a log and look at what is in the archive?"""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from models.contract import Kind
from models.disk import Disk
from service.featurelog.archive import Archiver, Report
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.archive_plan import Keep
from service.featurelog.chunk import Positions
from service.featurelog.manifest import Manifest
from service.featurelog.record import Block, Feedback, Outcome, Record, Request, Schema, SchemaColumn, Shadow
from service.featurelog.segments import Rotation
from tests.unit.service.featurelog.writing import request, writer

DAY_US = 86_400_000_000
START_US = 20_000 * DAY_US
FOR_EVER = Keep(raw_age_us=1 << 62, raw_bytes=0, archive_days=0, archive_bytes=0)
RAW_GOES = FOR_EVER._replace(raw_age_us=-(1 << 62))  # whatever the clock says: all raw segments that may go, at once
SMALL = Rotation(2000, 1e9)
TABLES = ("requests", "shadows", "feedback")
Row = tuple[str, int, int, int]
"""(writer, epoch, seq, row)."""


def schema(version: str = "1", model: str = "sums") -> Schema:
    return Schema(
        0, model, version, f"sha256:{version}", (SchemaColumn("a", Kind.FLOAT), SchemaColumn("city", Kind.STRING, ("oslo",))),
        (SchemaColumn("sum", Kind.FLOAT),),
    )  # fmt: skip


def asked(number: int, schema_id: int, *, rows: int = 2, at_us: int = START_US) -> Request:
    """Row r of request n has a = n + r / 10 and sum = n."""
    cells = b"".join(struct.pack("<dq", number + row / 10, 0) for row in range(rows))
    base = request(number, at_us=at_us)
    return Request(
        at_us, base.request_id, Outcome.ANSWERED, 200, "", "v1", schema_id, "sums", "stable", 1, 1, rows, 1, 2, 3,
        Block(rows, cells), Block(rows, struct.pack(f"<{rows}d", *[float(number)] * rows)),
    )  # fmt: skip


def write_log(root: Path, *, epochs: int = 2, requests: int = 60, rotation: Rotation = SMALL, **given: object) -> int:
    """A log of two versions, two days, labels and shadows, in many segments; returns how many rows its archive has when all
    of it is sealed.
    """

    async def run() -> int:
        rows = 0
        for epoch in range(epochs):
            async with writer(root, rotation=rotation, **given) as log:
                ids = [log.schema_id(schema("1")), log.schema_id(schema("2"))]
                for number in range(requests):
                    for record, count in records_of(epoch, number, requests, ids):
                        waiting = log.append_request(record) if isinstance(record, Request) else log.append(record)
                        assert await waiting
                        rows += count
        return rows

    return asyncio.run(run())


def records_of(epoch: int, number: int, requests: int, ids: list[int]) -> list[tuple[Record, int]]:
    """What one turn writes, with the rows that it makes."""
    at_us = START_US + (DAY_US if epoch and number > requests // 2 else 0) + number
    found: list[tuple[Record, int]] = [
        (asked(number, ids[number % 2], rows=1 + number % 3, at_us=at_us), 1 + number % 3)
    ]
    if number % 5 == 0:
        found.append((Shadow(at_us, f"r{number}", ids[1], Outcome.ANSWERED, "", 1, 7, Block(1, bytes(8))), 1))
    if number % 7 == 0:
        found.append((Feedback(at_us, f"r{number}", 0, float(number), at_us), 1))
    if number % 11 == 0:
        found.append((request(number, Outcome.SHED, at_us=at_us), 1))
    return found


def archive(
    home: Path,
    *,
    keep: Keep = FOR_EVER,
    keep_from: Positions | None = None,
    now_us: int = START_US,
    disk: Disk | None = None,
) -> Report:
    """One pass."""
    return Archiver(home / "log", ArchiveFiles(home / "archive", disk), keep=keep, keep_from=keep_from).run(now_us)


def manifest_of(home: Path) -> Manifest:
    return ArchiveFiles(home / "archive").load()


def rows_in(home: Path, paths: list[str] | None = None) -> list[tuple[str, Row]]:
    """The key of every row that the manifest names, with its table; sorted, so that twice is seen."""
    found = []
    for path in [file.path for file in manifest_of(home).files] if paths is None else paths:
        table = pq.ParquetFile(home / "archive" / path).read(["writer", "epoch", "seq", "row"])
        keys = zip(*(table[name].to_pylist() for name in ("writer", "epoch", "seq", "row")), strict=True)
        found += [(path.split("/")[0], key) for key in keys]
    return sorted(found)


def on_disk(home: Path) -> list[str]:
    """Every file below the archive's tables."""
    root = home / "archive"
    return sorted(
        str(path.relative_to(root)) for table in TABLES for path in (root / table).rglob("*") if path.is_file()
    )


class EndingDisk(Disk):
    """Ends the process at the n-th call that changes the disk: before it when `after` is False, else when it was done."""

    def __init__(self, n: int, *, after: bool, end: Callable[[], None] = lambda: os._exit(17)) -> None:
        self._left, self._after, self._end = n, after, end

    def _turn(self, call: Callable[[], object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._after:
            self._end()
        done = call()
        if self._left == 0:
            self._end()
        return done

    def create(self, path: Path) -> int:
        return self._turn(lambda: Disk.create(self, path))  # type: ignore[return-value]

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return self._turn(lambda: Disk.write(self, descriptor, data))  # type: ignore[return-value]

    def fsync(self, descriptor: int) -> None:
        self._turn(lambda: Disk.fsync(self, descriptor))

    def rename(self, source: Path, target: Path) -> None:
        self._turn(lambda: Disk.rename(self, source, target))

    def unlink(self, path: Path) -> None:
        self._turn(lambda: Disk.unlink(self, path))

    def sync_directory(self, directory: Path) -> None:
        self._turn(lambda: Disk.sync_directory(self, directory))
