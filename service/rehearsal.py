"""Does a new version answer what the running one was asked last? Asked before it is routable, out of the feature log.

Laws
- Each recorded request is run as it came, alone, with its own number of rows; nothing is logged, counted or answered (P4).
- They are run in a process of its own first: a version that ends it is refused, and never runs them here.
- Bounded: the ends of the newest segments, REQUESTS_MAX requests, REHEARSAL_S.
- Otherwise it warms and warns, and refuses nothing: rows that the new version cannot be asked, or a log that has none, leave
  the sample that warmed it before (models/pool.py).

Not by way of Arrow, as a replay is: its first column imports pandas where that is there, 2 s and 60 MiB of a worker.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from models.contract import Column, Kind
from models.errors import ModelError, Reason
from models.rehearsing import REHEARSAL_S
from models.tensors import Array
from models.verdict import Refusal
from service.featurelog.cells import Joined, join
from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.framing import Frame, scan
from service.featurelog.record import Outcome, PartRequest, Request, Schema, SchemaColumn, decode
from service.rows import INT_HIGH, INT_LOW, Inputs, Matrix, Row, Table, int_bounds
from service.served import ServedVersion

REQUESTS_MAX = 64
HEAD_BYTES = 1 << 16  # of a segment: most schemas stand at its beginning
TAILS_BYTES = 1 << 14, 1 << 17  # the second only where the first has too few: to decode it takes milliseconds
# It works for so long at a time. Who pauses after every request instead is woken so often that this costs more than the work:
# the event loop and it take the interpreter from each other each time.
WORK_S, PAUSE_S = 0.000_5, 0.005
FAILED_SHARE = 0.5  # above it is said aloud

_SCHEMA = b"\xa6schema"  # the tag of its record, as msgpack writes it

Apart: TypeAlias = Callable[[Sequence[Mapping[str, Array]]], Refusal | None]
"""Runs input tensors in a process of its own, and says what came of it."""


class Rehearsed(NamedTuple):
    """`why`: of the last failure."""

    ran: int
    failed: int
    why: str = ""

    @property
    def bad(self) -> bool:
        return self.failed > FAILED_SHARE * self.ran

    def __str__(self) -> str:
        if not self.ran:
            return ""
        told = f"warm_failed: {self.failed} of {self.ran} recorded requests, the last: {self.why}"
        return told if self.bad else f"warmed by {self.ran - self.failed} of {self.ran} recorded requests"


def rehearse(served: ServedVersion, answered: Sequence[tuple[Schema, Request]], apart: Apart) -> Rehearsed:
    """On what another version answered; blocking. Raises ArtifactRefused."""
    runs: list[Mapping[str, Array]] = []
    pace = _Pace()
    for schema, request in answered:
        if (inputs := _asked(served, schema, request)) is not None:
            runs.append(served.tensors(inputs))
        pace()
    refusal = apart(runs) if runs else None
    if refusal is not None:
        error = refusal.error(served.pin.ref)
        if refusal.reason is Reason.CRASH:
            raise error
        return Rehearsed(len(runs), len(runs), str(error))  # too slow or too large for a trial: not for its routes
    failed, why, end_s = 0, "", monotonic() + REHEARSAL_S
    for ran, tensors in enumerate(runs, 1):
        try:
            served.session.run(tensors)
        except ModelError as error:
            failed, why = failed + 1, str(error)
        if monotonic() > end_s:
            return Rehearsed(ran, failed, why)
        pace()
    return Rehearsed(len(runs), failed, why)


class _Pace:
    """Calls of one piece of work, which pauses where it has worked for WORK_S."""

    def __init__(self) -> None:
        self._until_s = monotonic() + WORK_S

    def __call__(self) -> None:
        if monotonic() >= self._until_s:
            sleep(PAUSE_S)
            self._until_s = monotonic() + WORK_S


class Own(NamedTuple):
    """The log that this process writes, and what it declares the running version as; that may stand anywhere in it."""

    writer: str
    epoch: int
    schema: Schema


def recent(log_root: Path, digest: str, own: Own | None = None) -> list[tuple[Schema, Request]]:
    """The newest requests that this version answered, at most REQUESTS_MAX, newest first; what is damaged is passed over.

    Of other writers only where their newest segment declares it in what is read.
    """
    found: list[tuple[Schema, Request]] = []
    pace = _Pace()
    for tail_bytes in TAILS_BYTES:
        found.clear()
        try:
            for writer, directory in list_writers(log_root):
                for segment in list_segments(directory)[-1:]:
                    mine = own if own is not None and (own.writer, own.epoch) == (writer, segment.epoch) else None
                    found += _answered(segment, digest, tail_bytes, mine.schema if mine is not None else None)
                    pace()
        except OSError:  # let go while it was looked at
            pass
        if len(found) >= REQUESTS_MAX:
            break
    return sorted(found, key=lambda one: -one[1].at_us)[:REQUESTS_MAX]


def _answered(
    segment: SegmentFile, digest: str, tail_bytes: int, declared: Schema | None
) -> list[tuple[Schema, Request]]:
    begins = max(0, segment.path.stat().st_size - tail_bytes)  # it grows while it is read
    tail = list(_payloads(segment.read(begins, tail_bytes)))
    schemas = {one.id: one for one in tail if isinstance(one, Schema)}
    if declared is not None:
        schemas[declared.id] = declared
    elif begins:
        head = _payloads(segment.read(0, min(HEAD_BYTES, begins)), _SCHEMA)
        schemas |= {one.id: one for one in head if isinstance(one, Schema)}
    requests = [one for one in tail if isinstance(one, Request) and not isinstance(one, PartRequest)]
    return [
        (schemas[one.schema], one)
        for one in requests
        if one.outcome is Outcome.ANSWERED
        and one.features is not None
        and one.schema in schemas
        and schemas[one.schema].digest == digest
    ][-REQUESTS_MAX:]


def _asked(served: ServedVersion, schema: Schema, request: Request) -> Inputs | None:
    """The rows as the version takes them; None where it cannot be asked them as they were given."""
    block, contract = request.features, served.contract
    places = {
        column.name: place for place, column in enumerate(schema.features) if column.name not in (schema.private or {})
    }
    if block is None or not block.n or any(feature.name not in places for feature in contract.features):
        return None
    joined = join([block], [block.n], schema.features)
    columns = [_values(joined, places[f.name], schema.features[places[f.name]], f) for f in contract.features]
    if joined.malformed or any(column is None for column in columns):
        return None
    rows: list[Row] = list(zip(*(column for column in columns if column is not None), strict=True))
    bounds = int_bounds(contract)
    for place, feature in enumerate(contract.features):
        low, high = bounds.get(feature.name, (INT_LOW, INT_HIGH))
        if feature.kind is Kind.INT and any(row[place] is not None and not low <= row[place] <= high for row in rows):
            return None
    if not Matrix.fits(contract):
        return Table(rows)
    return Matrix(np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64))


def _values(joined: Joined, place: int, recorded: SchemaColumn, wanted: Column) -> list[Any] | None:
    """One feature of all rows; None where it is of another kind, or null where the version takes none."""
    if recorded.kind is not wanted.kind and (recorded.kind, wanted.kind) != (Kind.INT, Kind.FLOAT):
        return None
    cells, null = joined.cells[place], None if joined.null is None else joined.null[place]
    if null is not None and null.any() and not wanted.nullable:
        return None
    match recorded.kind:
        case Kind.FLOAT:
            values: list[Any] = cells.view(np.float64).tolist()
        case Kind.BOOL:
            values = cells.astype(np.bool_).tolist()
        case Kind.STRING:
            names = dict(enumerate(recorded.categories or ()))
            values = [names.get(code, "") for code in cells.tolist()]
            for row, text in zip(*joined.text.get(place, ([], [])), strict=True):
                values[row] = text
        case Kind.INT:
            values = cells.tolist()
    if null is not None:
        values = [None if gone else value for value, gone in zip(values, null.tolist(), strict=True)]
    return values


def _payloads(data: bytes, begins: bytes = b"") -> Iterator[Schema | Request | object]:
    """Those that begin so, behind the byte that says how many fields they have."""
    for frame in scan(data):
        if isinstance(frame, Frame) and frame.payload[1 : 1 + len(begins)] == begins:
            try:
                yield decode(frame.payload)
            except RecordInvalid:
                continue
