"""When was the log last written, by its writers' own clock?

Law: event times, which clients may set, do not count; heads and ledgers are stamped by the wall clock.
"""

from collections.abc import Iterator
from pathlib import Path

from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.framing import Frame, scan
from service.featurelog.record import Head, Ledger, decode

HEAD_BYTES = 256  # more than any HEAD has
END_BYTES = 4 << 20  # of a segment: under load a ledger stands in each second of it


def newest_us(root: Path) -> int | None:
    """µs since 1970; None where nothing is logged."""
    stamps = [
        stamp
        for _, directory in list_writers(root)
        for segment in list_segments(directory)[-1:]
        for stamp in _stamps(segment)
    ]
    return max(stamps, default=None)


def _stamps(segment: SegmentFile) -> Iterator[int]:
    size = segment.path.stat().st_size
    end = segment.read(max(0, size - END_BYTES), END_BYTES)
    for data in (segment.read(0, HEAD_BYTES), end):
        for found in scan(data):
            if isinstance(found, Frame):
                try:
                    match decode(found.payload):
                        case Head(created_us=at_us) | Ledger(at_us=at_us):
                            yield at_us
                except RecordInvalid:
                    continue
