"""Erases from segments: which of their records match, and each rewritten in place, byte for byte as long as it was."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.disk import Disk
from service.featurelog.columns import request_layout, request_rows
from service.featurelog.erasing import without_record, without_rows
from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile
from service.featurelog.framing import Damage, Frame, Tail, scan
from service.featurelog.matching import Matcher
from service.featurelog.record import Feedback, Payload, Request, Schema, Shadow, decode, row_numbers

ASIDE = ".erasing"
RECORDS_AT_ONCE = 10_000  # as Arrow columns: a segment of 64 MiB has some hundred thousand

Rows = set[int] | None
"""Numbers of rows of a request; None is all of it."""


@dataclass(slots=True)
class Named:
    """What an erasure takes: requests by id, and how many rows that is in segments."""

    ids: dict[str, Rows] = field(default_factory=dict)
    rows: int = 0

    def add(self, request_id: str, rows: Rows) -> None:
        """More rows of a request; of two with one id the rows of both."""
        known = self.ids.get(request_id, set())
        self.ids[request_id] = None if rows is None or known is None else known | rows


class Content(NamedTuple):
    """A segment as it was read: frames with what they say, stretches that are no frames, frames that nobody here can read."""

    frames: list[tuple[Frame, Payload]]
    damage: list[tuple[int, int]]
    unread: int


def read(path: Path) -> Content:
    """The whole segment."""
    frames: list[tuple[Frame, Payload]] = []
    damage: list[tuple[int, int]] = []
    unread = 0
    for found in scan(path.read_bytes()):
        if isinstance(found, Damage | Tail):
            damage.append((found.offset, found.end))
            continue
        try:
            frames.append((found, decode(found.payload)))
        except RecordInvalid:
            unread += 1  # of a newer version: it stays, and the receipt says so
    return Content(frames, damage, unread)


def matching(
    content: Content, writer: str, segment: SegmentFile, matcher: Matcher, model: str | None
) -> dict[int, tuple[Request, Rows]]:
    """The requests that match, by the offset of their frame, and which of their rows. Raises WhereInvalid."""
    schemas = {payload.id: payload for _, payload in content.frames if isinstance(payload, Schema)}
    for schema in schemas.values():
        matcher.declared(request_layout(schema).names)
    by_schema: dict[int, list[tuple[Frame, Request]]] = defaultdict(list)
    for frame, payload in content.frames:
        if isinstance(payload, Request) and model in (None, payload.model):
            by_schema[payload.schema if payload.schema in schemas else -1].append((frame, payload))
    found: dict[int, tuple[Request, Rows]] = {}
    for number, items in by_schema.items():
        for start in range(0, len(items), RECORDS_AT_ONCE):
            some = items[start : start + RECORDS_AT_ONCE]
            found |= dict(_matching(some, writer, segment.epoch, matcher, schemas.get(number)))
    return found


def _matching(
    items: list[tuple[Frame, Request]], writer: str, epoch: int, matcher: Matcher, schema: Schema | None
) -> Iterator[tuple[int, tuple[Request, Rows]]]:
    table, _ = request_rows(writer, epoch, [(place, record) for place, (_, record) in enumerate(items)], schema)
    private = (schema.private if schema else None) or {}
    model, version = (schema.model, schema.version) if schema else (items[0][1].model, "")
    mask = matcher.rows(table, private, model=model, version=version)
    rows: dict[int, set[int]] = defaultdict(set)
    hits = np.flatnonzero(mask)
    places, numbers = table["seq"].to_numpy(), table["row"].to_numpy()
    for place, number in zip(places[hits].tolist(), numbers[hits].tolist(), strict=True):
        rows[place].add(number)
    for place, gone in rows.items():
        frame, record = items[place]
        yield frame.offset, (record, None if -1 in gone or gone >= _all_rows(record) else gone)


def _all_rows(record: Request | Shadow) -> set[int]:
    blocks = [record.outputs, record.features if isinstance(record, Request) else None]
    return {number for block in blocks if block is not None for number in row_numbers(record, block.n)} or {-1}


def replaced_followers(content: Content, ids: Mapping[str, Rows]) -> dict[int, bytes]:
    """New frames, by offset, for labels and shadow answers of these requests."""
    changes: dict[int, bytes] = {}
    for frame, payload in content.frames:
        if not isinstance(payload, Feedback | Shadow) or payload.request_id not in ids:
            continue
        rows, size = ids[payload.request_id], frame.end - frame.offset
        if isinstance(payload, Feedback):
            if rows is None or payload.row in rows:
                changes[frame.offset] = without_record(payload, 1, frame.seq, size)
            continue
        there = _all_rows(payload)
        if rows is None or rows >= there:
            changes[frame.offset] = without_record(payload, max(0, payload.rows), frame.seq, size)
        elif gone := rows & there:
            changes[frame.offset] = without_rows(payload, gone, frame.seq, size)
    return changes


def replaced_requests(content: Content, hits: Mapping[int, tuple[Request, Rows]]) -> dict[int, bytes]:
    """New frames, by offset, for the requests that match."""
    changes: dict[int, bytes] = {}
    for frame, _ in content.frames:
        if frame.offset in hits:
            record, rows = hits[frame.offset]
            size = frame.end - frame.offset
            if rows is None:
                changes[frame.offset] = without_record(record, record.rows, frame.seq, size)
            else:
                changes[frame.offset] = without_rows(record, rows, frame.seq, size)
    return changes


def rewrite(path: Path, changes: Mapping[int, bytes], blank: list[tuple[int, int]], disk: Disk) -> bool:
    """The segment with these frames in place of what stood there, and zeros for `blank`; False where that is what it is."""
    before = path.read_bytes()
    data = bytearray(before)
    for offset, frame in changes.items():
        data[offset : offset + len(frame)] = frame
    for start, end in blank:
        data[start:end] = bytes(end - start)
    if data == before:
        return False
    aside = path.with_name(path.name + ASIDE)
    descriptor = disk.create(aside)
    try:
        view = memoryview(data)
        while view:
            view = view[disk.write(descriptor, view) :]
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
    status = path.stat()
    shutil.copymode(path, aside)
    os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))  # its age decides when it is let go
    disk.rename(aside, path)
    disk.sync_directory(path.parent)
    return True
