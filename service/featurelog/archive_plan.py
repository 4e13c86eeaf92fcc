"""Which segments make a batch, which files are merged, what may go; ● decides, touches no file.

Laws
- Batches hold every sealed segment behind the position once, in order, and none of two epochs.
- What a merge plans has the same folder and columns; each merge makes the files fewer, so it comes to an end.
- Nothing is let go that is not archived, that `keep_from` has not passed, or that is the newest segment of its writer.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from service.featurelog.chunk import Positions
from service.featurelog.manifest import ArchivedSegment, ArchiveFile, Key, Manifest

BATCH_BYTES_MAX = 256 << 20  # raw bytes of one commit: what a crash makes the next pass do again
MERGED_BYTES = 64 << 20  # a file of this size is left alone; a reader opens few files and skips by row group inside
MERGE_FILES_MIN = (
    16  # of one size (to a factor of 16), in a day that goes on: a row is written a few times, not once a pass
)
MERGE_FILES_MAX = 1024  # of one merge: bounds the memory for their footers


class RawSegment(NamedTuple):
    """A segment on disk; `changed_us` is when it was last written."""

    epoch: int
    number: int
    bytes: int
    changed_us: int

    @property
    def key(self) -> Key:
        return (self.epoch, self.number)


class Keep(NamedTuple):
    """Limits of retention; 0 is no limit."""

    raw_age_us: int
    raw_bytes: int
    archive_days: int
    archive_bytes: int


def batches(sealed: Sequence[RawSegment], position: tuple[int, int, int]) -> list[list[RawSegment]]:
    """The sealed segments from `position` on, in commits of one epoch and at most BATCH_BYTES_MAX (or one segment)."""
    found: list[list[RawSegment]] = []
    size = 0
    for segment in sealed:
        if segment.key < position[:2]:
            continue
        if not found or found[-1][-1].epoch != segment.epoch or size + segment.bytes > BATCH_BYTES_MAX:
            found.append([])
            size = 0
        found[-1].append(segment)
        size += segment.bytes
    return found


def merges(files: Iterable[ArchiveFile]) -> list[list[ArchiveFile]]:
    """Small files of one folder and one layout that become one, in the order of their names."""
    groups: dict[tuple[str, str], list[ArchiveFile]] = defaultdict(list)
    newest: dict[str, str] = {}
    for file in files:
        newest[file.table] = max(newest.get(file.table, ""), file.date)
        if file.bytes < MERGED_BYTES // 2:
            groups[file.folder, file.layout].append(file)
    found = []
    for _, small in sorted(groups.items()):
        over = small[0].date < newest[small[0].table]
        found += [some for some in (_packed(small) if over else _tiers(small)) if len(some) > 1]
    return found


def _packed(files: list[ArchiveFile]) -> list[list[ArchiveFile]]:
    """A day that is over: as few files as MERGED_BYTES allows."""
    found: list[list[ArchiveFile]] = [[]]
    for file in files:
        if sum(held.bytes for held in found[-1]) + file.bytes > MERGED_BYTES or len(found[-1]) == MERGE_FILES_MAX:
            found.append([])
        found[-1].append(file)
    return found


def _tiers(files: list[ArchiveFile]) -> list[list[ArchiveFile]]:
    """A day that goes on: only where enough of one size lie there, so that no row is written often."""
    tiers: dict[int, list[ArchiveFile]] = defaultdict(list)
    for file in files:
        tiers[file.bytes.bit_length() // 4].append(file)
    return [some for tier in tiers.values() if len(tier) >= MERGE_FILES_MIN for some in _packed(tier)]


def files_to_let_go(files: Sequence[ArchiveFile], keep: Keep, first_day: str) -> list[ArchiveFile]:
    """Those of days before `first_day`, then the oldest until what stays fits."""
    size = sum(file.bytes for file in files)
    gone: list[ArchiveFile] = []
    for file in sorted(files, key=lambda file: (file.date, file.max_at_us, file.path)):
        if file.date >= first_day and not 0 < keep.archive_bytes < size:
            break
        gone.append(file)
        size -= file.bytes
    return gone


def segments_to_let_go(
    manifest: Manifest,
    present: Mapping[str, Sequence[RawSegment]],
    keep: Keep,
    keep_from: Positions | None,
    now_us: int,
) -> dict[str, list[ArchivedSegment]]:
    """By writer, the first of its archived segments. `keep_from`: how far the other reader came; None: nobody else reads."""
    size = sum(segment.bytes for segments in present.values() for segment in segments)
    on_disk = {(writer, segment.key): segment for writer, segments in present.items() for segment in segments}
    may_go = []
    for writer, raw in manifest.raw.items():
        newest = present[writer][-1].key if present.get(writer) else (0, 0)
        limit = newest if keep_from is None else min(newest, keep_from.get(writer, (0, 0, 0))[:2])
        changed_us = 0
        for segment in raw.kept:
            if segment.key >= limit:
                break
            found = on_disk.get((writer, segment.key), RawSegment(*segment.key, 0, 0))
            changed_us = max(changed_us, found.changed_us)  # a clock that was set back does not change the order
            may_go.append((changed_us, writer, segment, found.bytes))
    gone: dict[str, list[ArchivedSegment]] = {}
    held = set()
    for changed_us, writer, segment, segment_bytes in sorted(may_go, key=lambda one: (one[0], one[1], one[2].key)):
        due = now_us - changed_us > keep.raw_age_us or 0 < keep.raw_bytes < size
        if writer in held or not due:  # never one from the middle: what stays of a writer has no hole
            held.add(writer)
            continue
        gone.setdefault(writer, []).append(segment)
        size -= segment_bytes
    return gone
