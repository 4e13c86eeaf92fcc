"""Which segments on disk are sealed, and how many of them wait for the archive (FORMAT.md §2)?"""

from pathlib import Path
from typing import NamedTuple

from service.featurelog.archive_plan import RawSegment
from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.framing import Frame, scan
from service.featurelog.manifest import Manifest
from service.featurelog.record import Seal, decode

_TAIL_BYTES = 256  # a SEAL frame has about 40


class Waiting(NamedTuple):
    """Sealed segments that are not archived; `oldest_us` is when the oldest was last written, None where none waits."""

    segments: int
    bytes: int
    oldest_us: int | None


def segments_of(log_root: Path) -> dict[str, list[RawSegment]]:
    """Every segment of every writer, in writing order; one that vanishes meanwhile is left out."""
    return {writer: _raw(list_segments(directory)) for writer, directory in list_writers(log_root)}


def sealed_of(log_root: Path) -> dict[str, list[RawSegment]]:
    """The sealed ones."""
    found: dict[str, list[RawSegment]] = {}
    for writer, directory in list_writers(log_root):
        segments = list_segments(directory)
        found[writer] = _raw(segments if segments and _ends_with_seal(segments[-1]) else segments[:-1])
    return found


def waiting(log_root: Path, manifest: Manifest) -> Waiting:
    """What a pass would archive now."""
    left = [
        segment
        for writer, segments in sealed_of(log_root).items()
        for segment in segments
        if segment.key >= manifest.position.get(writer, (0, 0, 0))[:2]
    ]
    oldest_us = min((segment.changed_us for segment in left), default=None)
    return Waiting(len(left), sum(segment.bytes for segment in left), oldest_us)


def _raw(segments: list[SegmentFile]) -> list[RawSegment]:
    found = []
    for segment in segments:
        try:
            status = segment.path.stat()
        except FileNotFoundError:
            continue
        found.append(RawSegment(segment.epoch, segment.number, status.st_size, status.st_mtime_ns // 1000))
    return found


def _ends_with_seal(segment: SegmentFile) -> bool:
    try:
        size = segment.path.stat().st_size
        tail = segment.read(max(0, size - _TAIL_BYTES), _TAIL_BYTES)
        last = [found for found in scan(tail) if isinstance(found, Frame)][-1:]
        return any(isinstance(decode(found.payload), Seal) and found.end == len(tail) for found in last)
    except (FileNotFoundError, RecordInvalid):
        return False
