"""How does a test write a feature log and read it back?"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from models.contract import Kind
from service.featurelog.chunk import Chunk, Lost
from service.featurelog.framing import frame
from service.featurelog.reader import LogReader
from service.featurelog.record import Head, Outcome, Payload, Record, Request, Schema, SchemaColumn, encode
from service.featurelog.segments import Rotation, segment_name
from service.featurelog.writer import FeatureLog

NEVER = Rotation(1 << 40, 1e9)
SCHEMA = Schema(0, "payments", "1", "sha256:" + "0" * 64, (SchemaColumn("x", Kind.FLOAT),), ())
EVERY_KIND = (
    SchemaColumn("amount", Kind.FLOAT),
    SchemaColumn("count", Kind.INT),
    SchemaColumn("flag", Kind.BOOL),
    SchemaColumn("city", Kind.STRING, ("oslo", "rome")),
)
MIXED = Schema(3, "payments", "2", "sha256:" + "a" * 64, EVERY_KIND, (SchemaColumn("score", Kind.FLOAT),))


def request(number: int, outcome: Outcome = Outcome.ANSWERED, *, text: str = "", at_us: int | None = None) -> Request:
    """A request record without rows; `text` makes it as large as wanted."""
    at_us = number if at_us is None else at_us
    return Request(at_us, f"r{number}", outcome, 200, text, "v1", -1, "m", "stable", 0, 1, 1, 0, 0, 0)


@asynccontextmanager
async def writer(root: Path, **given: object) -> AsyncIterator[FeatureLog]:
    """A log that is closed at the end; its clock stands still unless one is given."""
    settings = {"rotation": NEVER, "fsync_interval_s": 0.5, "clock_us": lambda: 0, **given}
    log = FeatureLog(root, **settings)  # type: ignore[arg-type]
    try:
        yield log
    finally:
        await log.close()


def write(root: Path, records: Iterable[Record], **given: object) -> None:
    """One epoch with these records, each in a write of its own, closed in order."""

    async def run() -> None:
        async with writer(root, **given) as log:
            for record in records:
                waiting = log.append_request(record) if isinstance(record, Request) else log.append(record)
                assert await waiting

    asyncio.run(run())


def segment(root: Path, payloads: Iterable[tuple[int, Payload]], *, epoch: int = 1, number: int = 0) -> Path:
    """A segment file of w0 written frame by frame: (seq, payload) after a HEAD."""
    directory = root / "w0"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / segment_name(epoch, number)
    frames = [frame(encode(payload), seq) for seq, payload in payloads]
    path.write_bytes(frame(encode(Head(1, "w0", epoch, number, 0)), 0) + b"".join(frames))
    return path


def chunks(reader: LogReader, records_max: int = 1000) -> list[Chunk]:
    """Everything that is there to read now."""
    found = [reader.read(records_max)]
    while not found[-1].caught_up:
        found.append(reader.read(records_max))
    return found


def read(root: Path, reader: LogReader | None = None, records_max: int = 1000) -> tuple[list[Record], list[Lost]]:
    """Every record in the order in which it is handed out, and every hole."""
    found = chunks(reader or LogReader(root), records_max)
    records = [record for chunk in found for run in chunk.runs for _, record in run.records]
    return records, [lost for chunk in found for lost in chunk.lost]


def ids(records: Iterable[Record]) -> list[str]:
    """The request ids, ledgers and others left out."""
    return [record.request_id for record in records if isinstance(record, Request)]
