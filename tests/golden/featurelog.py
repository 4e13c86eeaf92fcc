"""Which records stand in the golden feature log, and how it is written.

`python -m tests.golden.featurelog DIRECTORY` writes it anew. The committed copy of a format version is never replaced: a
later version gets a directory of its own.
"""

import asyncio
import math
import struct
import sys
from pathlib import Path

from models.contract import Kind
from service.featurelog.record import (
    Block,
    Feedback,
    Outcome,
    Problem,
    Record,
    Request,
    Schema,
    SchemaColumn,
    Shadow,
    SkewKind,
    TensorNote,
)
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog

AT_US = 1_764_000_000_000_000  # the clock of the golden log stands still
COLUMNS = (
    SchemaColumn("amount", Kind.FLOAT),
    SchemaColumn("count", Kind.INT),
    SchemaColumn("returning", Kind.BOOL),
    SchemaColumn("city", Kind.STRING, ("oslo", "rome")),
)
SCHEMAS = (
    Schema(0, "payments", "1", "sha256:" + "1" * 64, COLUMNS, (SchemaColumn("score", Kind.FLOAT),)),
    Schema(0, "payments", "2", "sha256:" + "2" * 64, COLUMNS, (SchemaColumn("score", Kind.FLOAT),)),
    Schema(0, "images", "1", "sha256:" + "3" * 64, (), ()),
)
_ROW = struct.Struct("<dqqq").pack
ROWS = Block(
    4,
    _ROW(12.5, -3, 1, 0) + _ROW(math.nan, 2**63 - 1, 0, 1) + _ROW(-math.inf, -(2**63), 0, -1) + _ROW(0.0, 0, 0, 0),
    bytes(12) + b"\x01\x00\x00\x01",
    [(2, 3, "Ålesund 🐟")],
)
SCORES = Block(4, struct.pack("<dddd", 0.25, math.inf, -0.0, math.nan))
FORGED = b"\x50\x4c\x42\xf1" + b"\x50\x4c\x42\xf2" + b"\x00\x01" * 4  # a client's bytes that look like a frame


def records() -> list[Record]:
    """One of every kind and of every outcome."""
    return [
        Request(AT_US, "id-0", Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 41, 3, 4, 12, 34, 56, ROWS, SCORES),
        Request(AT_US + 1, "id-1", Outcome.ANSWERED, 200, "", "v2", 1, "payments", "canary", 9999, 3, 4, 0, 1, 2, ROWS, SCORES),
        Shadow(AT_US + 1, "id-1", 0, Outcome.ANSWERED, "", 4, 77, SCORES),
        Shadow(AT_US + 1, "id-1", 0, Outcome.FAILED, "runtime_failed", 4, 78, None),
        Request(
            AT_US + 2, "id-2", Outcome.REJECTED, 400, "invalid_input", "v1", 0, "payments", "stable", 7, 3, 2, 0, 0, 9,
            None, None, [Problem(SkewKind.NULL, "amount", 2), Problem(SkewKind.UNKNOWN, "", 1)],
        ),
        Request(AT_US + 3, "id-3", Outcome.SHED, 503, "overloaded", "v1", 0, "payments", "stable", 7, 3, 4, 0, 0, 9, ROWS),
        Request(AT_US + 4, "id-4", Outcome.FAILED, 500, "internal", "native", -1, "no such model", "", -1, 0, 0, 0, 0, 9),
        Request(
            AT_US + 5, "id-5", Outcome.ANSWERED, 200, "", "v2", 2, "images", "pinned", -1, 3, 1, 5, 6, 7,
            tensors=[
                TensorNote("image", "float32", (1, 2, 2), "ab" * 32, 0.5, 0.1),
                TensorNote("text", "bytes", (1,), "cd" * 32, None, None),
            ],
        ),
        Request(
            AT_US + 6, "id-6", Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 1, 3, 1, 1, 1, 1,
            Block(1, FORGED + bytes(16)),
        ),
        Feedback(AT_US + 7, "id-0", 0, 1.0, AT_US + 7),
        Feedback(AT_US + 7, "id-0", 1, True, AT_US + 7),
        Feedback(AT_US + 7, "id-0", 2, "fraud", AT_US + 7),
        Feedback(AT_US + 7, "id-0", 3, None, AT_US + 7),
    ]  # fmt: skip


async def write(root: Path) -> None:
    """The golden log in `root`, through the writer of today."""
    log = FeatureLog(root, rotation=Rotation(1500, 1e9), fsync_interval_s=1.0, clock_us=lambda: AT_US)
    for schema in SCHEMAS:
        log.schema_id(schema)
    for record in records():
        await (log.append_request(record) if isinstance(record, Request) else log.append(record))
    await log.close()
    (log.directory / "lock").unlink()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
