"""Reads the feature log from stored positions and follows it while it grows.

Laws
- Reading from `positions` returns exactly the records after it, each once, in `seq` order within a writer.
- Between writers records come in event-time order as far as every writer with unread data reaches, so a reader that catches up
  sees the writers side by side, not one after the other.
- Damage is a value (`Lost`), never an exception; an unfinished frame at the end of the newest segment is waited for.
- Of a record that stands there twice after a failed fsync (FORMAT.md §2) one is handed out, also after damage and restarts.
- Segments that retention let go are no hole to a reader that begins there; one that was on its way is told ("let go").
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, chain
from math import inf
from pathlib import Path
from typing import NamedTuple

from service.featurelog.chunk import Chunk, Lost, Position, Positions, Run
from service.featurelog.errors import FeatureLogError, RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.floors import floors
from service.featurelog.framing import FRAME_BYTES, PAYLOAD_BYTES_MAX, Damage, Frame, scan
from service.featurelog.record import Again, Head, Record, Schema, Seal, decode

READ_BYTES = 1 << 20  # one read; larger than any usual frame, small enough to keep several writers in memory
HEAD_BYTES = 256  # more than any HEAD has
FRAME_BYTES_MAX = 1 << 27  # a frame that does not fit in twice its maximum payload is damage


class Entry(NamedTuple):
    """A decoded record that is not yet handed out, with the position just after it."""

    seq: int
    record: Record
    epoch: int
    schemas: Mapping[int, Schema]
    after: Position


@dataclass(slots=True)
class _Cursor:
    """Where one writer's directory is read, and what was decoded but not handed out."""

    writer: str
    directory: Path
    position: Position
    expected_seq: int | None = None
    heads: dict[tuple[int, int], float] = field(default_factory=dict)  # of later segments: from where on they repeat
    void_from: float = inf  # records of this segment from here on stand in a later one
    foreign: bool = False  # this segment is of another place
    again: bool = False  # this segment repeats records
    schemas: dict[int, Schema] = field(default_factory=dict)
    ready: list[Entry] = field(default_factory=list)
    handed: Position = (0, 0, 0)
    more: bool = True


class LogReader:
    """Follows every writer directory under `root`; not thread-safe; opens files only while it reads them."""

    def __init__(
        self,
        root: Path,
        positions: Positions | None = None,
        *,
        until: Mapping[str, tuple[int, int]] | None = None,
        seqs: Mapping[str, int] | None = None,
    ) -> None:
        """`until`: only these writers, each to the end of this sealed segment; may be raised between two reads. `seqs`: what is
        expected at the positions, where they are the beginning of a segment.
        """
        self._root = root
        self._start = dict(positions or {})
        self._until = until
        self._seqs = seqs or {}
        self._cursors: dict[str, _Cursor] = {}

    @property
    def positions(self) -> Positions:
        """Where the next read starts; only what was handed out counts."""
        handed = {writer: cursor.handed for writer, cursor in self._cursors.items()}
        return {**self._start, **handed}

    def next_seq(self, writer: str) -> int | None:
        """What is expected behind all that was read of this writer; None where the numbering is not known."""
        return self._cursors[writer].expected_seq if writer in self._cursors else None

    def lag_bytes(self) -> int:
        """Bytes in the log behind the positions: how far the reader is behind."""
        self._discover()
        return sum(
            max(0, segment.path.stat().st_size - (cursor.handed[2] if segment.key == cursor.handed[:2] else 0))
            for cursor in self._cursors.values()
            for segment in list_segments(cursor.directory)
            if segment.key >= cursor.handed[:2]
        )

    def read(self, records_max: int) -> Chunk:
        """At most `records_max` records (a few more where a read ends inside a segment); never blocks."""
        self._discover()
        lost: list[Lost] = []
        for cursor in self._cursors.values():
            if not cursor.ready:
                self._fill(cursor, lost)
        runs = self._release(records_max)
        waiting = any(cursor.ready or cursor.more for cursor in self._cursors.values())
        return Chunk(runs, tuple(lost), caught_up=not waiting)

    def close(self) -> None:
        """Forgets what was read ahead; positions stay."""
        self._start = self.positions
        self._cursors.clear()

    def _discover(self) -> None:
        for writer, directory in list_writers(self._root):
            if writer not in self._cursors and (self._until is None or writer in self._until):
                position = self._start.get(writer, (0, 0, 0))
                cursor = _Cursor(writer, directory, position, self._seqs.get(writer), handed=position)
                self._cursors[writer] = cursor
                _resume(cursor)

    def _release(self, records_max: int) -> tuple[Run, ...]:
        if len(self._cursors) == 1 and len((only := next(iter(self._cursors.values()))).ready) <= records_max:
            return tuple(_take(only, len(only.ready)))  # nobody to be merged with
        reaches = {
            cursor.writer: list(accumulate((entry.record.at_us for entry in cursor.ready), max))
            for cursor in self._cursors.values()
        }  # how far in event time each writer gets with each record
        horizons_us = [reaches[cursor.writer][-1] for cursor in self._cursors.values() if cursor.ready and cursor.more]
        if sum(map(len, reaches.values())) > records_max:
            horizons_us.append(sorted(chain(*reaches.values()))[records_max - 1])
        horizon_us = min(horizons_us, default=None)
        runs: list[Run] = []
        handed = 0
        for cursor in self._cursors.values():
            reach_us = reaches[cursor.writer]
            take = len(reach_us) if horizon_us is None else bisect_right(reach_us, horizon_us)
            take = min(take, max(0, records_max - handed))
            runs.extend(_take(cursor, take))
            handed += take
        return tuple(runs)

    def _fill(self, cursor: _Cursor, lost: list[Lost]) -> None:
        """Reads on until records are ready or the writer has nothing more."""
        cursor.more = True
        while not cursor.ready and cursor.more:
            segments = list_segments(cursor.directory)
            here = next((s for s in segments if s.key >= cursor.position[:2]), None)
            if here is None or (self._until is not None and here.key > self._until[cursor.writer]):
                cursor.more = False
                return
            if here.key != cursor.position[:2]:
                if self._past_floor(cursor, lost):
                    continue
                _enter(cursor, here, lost)
            try:
                cursor.void_from = _void_from(cursor, segments, here)
                self._read_segment(cursor, here, last=here is segments[-1] and self._until is None, lost=lost)
            except FileNotFoundError:  # let go since it was listed
                if not self._past_floor(cursor, lost):
                    raise

    def _past_floor(self, cursor: _Cursor, lost: list[Lost]) -> bool:
        """Goes on behind what was archived and let go; only a reader that was before it on its way has missed something."""
        try:
            floor = floors(self._root).get(cursor.writer)
        except (FeatureLogError, OSError):  # then what is missing is a hole
            return False
        epoch, number, _ = cursor.position
        if floor is None or floor.begin <= (epoch, number):
            return False
        if epoch > 0:
            lost.append(Lost(cursor.writer, epoch, number, None, "let go"))
        if floor.begin[0] != epoch:
            cursor.schemas = {}
        cursor.position, cursor.expected_seq = (*floor.begin, 0), floor.seq
        return True

    def _read_segment(self, cursor: _Cursor, segment: SegmentFile, *, last: bool, lost: list[Lost]) -> None:
        start = cursor.position[2]
        size = READ_BYTES
        data = segment.read(start, size)
        scanned = _scan(cursor, segment, data, start, lost)
        while scanned == 0 and len(data) == size and size < FRAME_BYTES_MAX:  # one frame larger than the read
            size *= 2
            data = segment.read(start, size)
            scanned = _scan(cursor, segment, data, start, lost)
        if scanned == 0 and len(data) >= FRAME_BYTES_MAX:  # no frame is that large: leave what can hold none
            scanned = len(data) - PAYLOAD_BYTES_MAX - FRAME_BYTES
            lost.append(Lost(cursor.writer, segment.epoch, segment.number, None, f"corrupt {scanned} bytes at {start}"))
        cursor.position = (*segment.key, start + scanned)
        if len(data) == size:
            return
        if last:
            cursor.more = False
            return
        void = cursor.foreign or (cursor.expected_seq or 0) >= cursor.void_from
        if scanned < len(data) and not void:
            lost.append(Lost(cursor.writer, segment.epoch, segment.number, None, "torn"))
        cursor.position = (segment.epoch, segment.number + 1, 0)


def _enter(cursor: _Cursor, segment: SegmentFile, lost: list[Lost]) -> None:
    """Moves to the beginning of a segment; one that is not there is one hole, whose size the numbering may tell later."""
    epoch, number, offset = cursor.position
    if offset > 0 or (epoch > 0 and segment.epoch == epoch) or (0 < epoch < segment.epoch - 1):
        lost.append(Lost(cursor.writer, epoch, number, None, "segment missing"))
    elif segment.epoch != epoch and segment.number != 0:
        lost.append(Lost(cursor.writer, segment.epoch, 0, None, "segment missing"))
    if segment.epoch != epoch:
        cursor.expected_seq = 0  # each epoch numbers its records and its schemas from the beginning
        cursor.schemas = {}
    cursor.position = (*segment.key, 0)
    cursor.foreign = cursor.again = False


def _void_from(cursor: _Cursor, segments: list[SegmentFile], here: SegmentFile) -> float:
    """The first seq that a later segment of the epoch holds in place of this one."""
    later = [segment for segment in segments if segment.epoch == here.epoch and segment.number > here.number]
    known = cursor.heads
    cursor.heads = {one.key: known[one.key] if one.key in known else _repeats_from(cursor, one) for one in later}
    return min(cursor.heads.values(), default=inf)


def _repeats_from(cursor: _Cursor, segment: SegmentFile) -> float:
    head = next(iter(scan(segment.read(0, HEAD_BYTES))), None)
    if not isinstance(head, Frame):
        return inf
    try:
        says = decode(head.payload)
    except RecordInvalid:
        return inf
    return head.seq if isinstance(says, Again) and _is_of(says, cursor, segment) else inf


def _is_of(head: Head, cursor: _Cursor, segment: SegmentFile) -> bool:
    return (head.writer, head.epoch, head.number) == (cursor.writer, *segment.key)


def _scan(cursor: _Cursor, segment: SegmentFile, data: bytes, start: int, lost: list[Lost]) -> int:
    """Decodes whole frames into `ready`; returns how many bytes were consumed."""
    consumed = 0
    damage: Damage | None = None
    for found in scan(data):
        if isinstance(found, Frame):
            if damage is not None and found.seq < cursor.void_from and not cursor.foreign:
                reason = f"corrupt {damage.end - damage.offset} bytes at {start + damage.offset}"
                lost.append(Lost(cursor.writer, segment.epoch, segment.number, None, reason))
            damage = None
            _accept(cursor, segment, found, start, lost)
        elif isinstance(found, Damage):
            damage = found
        else:
            break
        consumed = found.end
    return consumed


def _accept(cursor: _Cursor, segment: SegmentFile, frame: Frame, start: int, lost: list[Lost]) -> None:
    try:
        payload = decode(frame.payload)
    except RecordInvalid as error:
        if _is_next(cursor, segment, frame, lost):
            lost.append(Lost(cursor.writer, segment.epoch, segment.number, 1, str(error)))
            cursor.expected_seq = None  # it is not known whether this was a record
        return
    if isinstance(payload, Head):
        cursor.foreign, cursor.again = not _is_of(payload, cursor, segment), isinstance(payload, Again)
        if cursor.foreign:
            reason = f"of another place: its HEAD says {payload.writer} {payload.epoch}-{payload.number}"
            lost.append(Lost(cursor.writer, segment.epoch, segment.number, 0, reason))
    if not _is_next(cursor, segment, frame, lost) or isinstance(payload, Head | Seal):
        return
    expected = frame.seq if cursor.expected_seq is None else cursor.expected_seq
    if isinstance(payload, Schema):
        cursor.schemas = {**cursor.schemas, payload.id: payload}
    elif frame.seq >= expected:
        cursor.expected_seq = frame.seq + 1
        after = (segment.epoch, segment.number, start + frame.end)
        cursor.ready.append(Entry(frame.seq, payload, segment.epoch, cursor.schemas, after))
    elif not cursor.again:
        lost.append(Lost(cursor.writer, segment.epoch, segment.number, 0, f"record {frame.seq} repeated"))


def _is_next(cursor: _Cursor, segment: SegmentFile, frame: Frame, lost: list[Lost]) -> bool:
    """Whether the frame counts here; the numbering goes on with it, and a hole before it is reported."""
    if cursor.foreign or frame.seq >= cursor.void_from:
        return False
    expected = frame.seq if cursor.expected_seq is None else cursor.expected_seq
    if frame.seq > expected:
        lost.append(Lost(cursor.writer, segment.epoch, segment.number, frame.seq - expected, "gap"))
    cursor.expected_seq = max(expected, frame.seq)
    return True


def _take(cursor: _Cursor, take: int) -> list[Run]:
    """Hands out the first `take` of what is ready."""
    runs = _runs(cursor.writer, cursor.ready[:take])
    if take:
        cursor.handed = cursor.ready[take - 1].after
        del cursor.ready[:take]
    if not cursor.ready and cursor.position[2] > 0:  # the beginning of a segment does not say what was read before it
        cursor.handed = max(cursor.handed, cursor.position)
    return runs


def _runs(writer: str, entries: list[Entry]) -> list[Run]:
    """Splits at an epoch or schema border; schemas of a run are those known at its last record."""
    runs: list[Run] = []
    for entry in entries:
        if not runs or runs[-1].epoch != entry.epoch or runs[-1].schemas is not entry.schemas:
            runs.append(Run(writer, entry.epoch, [], entry.schemas))
        runs[-1].records.append((entry.seq, entry.record))
    return runs


def _resume(cursor: _Cursor) -> None:
    """Reads the schemas and the numbering that stand before a stored position in its segment."""
    epoch, number, offset = cursor.position
    if offset == 0:
        return
    segment = next((s for s in list_segments(cursor.directory) if s.key == (epoch, number)), None)
    if segment is None:
        return
    unheard: list[Lost] = []  # reported when it was read the first time
    for found in scan(segment.read(0, offset)):
        if isinstance(found, Frame):
            _accept(cursor, segment, found, 0, unheard)
    cursor.ready.clear()
