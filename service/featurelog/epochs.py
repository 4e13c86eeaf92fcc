"""When did each epoch of the log begin, and does one that is over end as its writer ended it?"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.framing import Frame, scan
from service.featurelog.record import Head, Ledger, Payload, Schema, Seal, decode
from service.featurelog.segments import segment_name

HEAD_BYTES = 256  # more than any HEAD has


class Epoch(NamedTuple):
    """One writer's life. `begun_us` is of its oldest segment that is there; `cut` says what is missing at its end."""

    writer: str
    epoch: int
    begun_us: int
    cut: str


def epochs_of(root: Path) -> Iterator[Epoch]:
    """Every epoch that has segments, a writer's in order."""
    for writer, directory in list_writers(root):
        by_epoch: dict[int, list[SegmentFile]] = defaultdict(list)
        for segment in list_segments(directory):
            by_epoch[segment.epoch].append(segment)
        newest = max(by_epoch, default=0)
        for epoch, segments in by_epoch.items():
            head = next(_payloads(segments[0], HEAD_BYTES), None)
            begun_us = head.created_us if isinstance(head, Head) else 0
            yield Epoch(writer, epoch, begun_us, _cut(segments[-1]) if epoch < newest else "")


def _cut(last: SegmentFile) -> str:
    """A writer that closes in order writes its account, then the SEAL; one that was killed writes no SEAL, or was about to
    give the next segment its name, which then still lies aside.
    """
    if last.path.with_name(f"{segment_name(last.epoch, last.number + 1)}.new").exists():
        return ""
    found = [one for one in _payloads(last, last.path.stat().st_size) if not isinstance(one, Head | Schema)]
    if len(found) < 2 or not isinstance(found[-1], Seal) or isinstance(found[-2], Ledger):
        return ""
    return f"segment {last.number} is sealed without a last account: what followed it is missing"


def _payloads(segment: SegmentFile, size: int) -> Iterator[Payload]:
    for found in scan(segment.read(0, size)):
        if isinstance(found, Frame):
            try:
                yield decode(found.payload)
            except RecordInvalid:
                continue
