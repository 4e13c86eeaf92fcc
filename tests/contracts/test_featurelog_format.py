"""FORMAT.md: what a version of the feature log once wrote is read by every later one, and written the same until format 2."""

import asyncio
from pathlib import Path

import pytest

from service.featurelog.framing import Frame, scan
from service.featurelog.ledger import audit
from service.featurelog.reader import LogReader
from service.featurelog.record import Ledger, decode
from tests.golden import featurelog
from tests.unit.service.featurelog.writing import chunks, read

GOLDEN = Path(featurelog.__file__).parent / "featurelog-1"
SEGMENTS = sorted((GOLDEN / "w0").glob("*.seg"))


def test_the_golden_log_of_format_1_is_read_to_the_same_records() -> None:
    reader = LogReader(GOLDEN)
    found = [record for chunk in chunks(reader) for run in chunk.runs for _, record in run.records]
    assert read(GOLDEN)[1] == []
    assert [repr(record) for record in found[:-1]] == [repr(record) for record in featurelog.records()]
    assert isinstance(found[-1], Ledger)
    schemas = chunks(LogReader(GOLDEN))[-1].runs[-1].schemas
    assert [schemas[number].digest for number in sorted(schemas)] == [schema.digest for schema in featurelog.SCHEMAS]


def test_the_golden_log_adds_up() -> None:
    found = audit(GOLDEN)
    assert found.whole
    assert found.outcomes == {"answered": 4, "rejected": 1, "shed": 1, "failed": 1}


def test_the_golden_log_has_more_than_one_segment_and_a_stuffed_payload() -> None:
    assert len(SEGMENTS) > 1
    written = b"".join(path.read_bytes() for path in SEGMENTS)
    assert featurelog.FORGED not in written
    assert b"\x50\x4c\x42\xf2\x01" in written


def test_the_writer_of_today_writes_the_golden_log_byte_for_byte(tmp_path: Path) -> None:
    asyncio.run(featurelog.write(tmp_path))
    written = sorted((tmp_path / "w0").iterdir())
    assert [path.name for path in written] == [path.name for path in SEGMENTS]
    for path, golden in zip(written, SEGMENTS, strict=True):
        assert path.read_bytes() == golden.read_bytes(), path.name


@pytest.mark.parametrize("path", SEGMENTS, ids=lambda path: path.name)
def test_the_layout_is_that_of_the_document(path: Path) -> None:
    """Section 3 by hand: marker, length, seq, checksum, payload."""
    data = path.read_bytes()
    frames = [found for found in scan(data) if isinstance(found, Frame)]
    assert frames[0].offset == 0 and frames[-1].end == len(data)
    for found in frames:
        head = data[found.offset : found.offset + 20]
        assert head[:4] == bytes.fromhex("504c42f1")
        assert int.from_bytes(head[4:8], "little") & 0x7FFFFFFF == found.end - found.offset - 20
        assert int.from_bytes(head[8:16], "little") == found.seq
    assert type(decode(frames[0].payload)).__name__ == "Head"
    assert type(decode(frames[-1].payload)).__name__ == "Seal"
