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
from models.tensors import Array
from models.trying import REHEARSAL_S
from models.verdict import Refusal
from service.featurelog.cells import Joined, join
from service.featurelog.errors import RecordInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.framing import Frame, scan
from service.featurelog.record import Outcome, PartRequest, Request, Schema, SchemaColumn, decode
from service.rows import INT_HIGH, INT_LOW, Inputs, Matrix, Row, Table, int_bounds
from service.served import ServedVersion

REQUESTS_MAX = 64
HEAD_BYTES, TAIL_BYTES = 1 << 16, 1 << 17  # of a segment: schemas stand at its beginning; more holds the interpreter
PAUSE_S = 0.002  # between two, so that the event loop never waits for the interpreter longer than one takes
FAILED_SHARE = 0.5  # above it is said aloud

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


def rehearse(served: ServedVersion, digest: str, log_root: Path, apart: Apart) -> Rehearsed:
    """On what the version with this digest answered last; blocking. Raises ArtifactRefused."""
    asked = [_asked(served, schema, request) for schema, request in recent(log_root, digest)]
    runs = [served.tensors(inputs) for inputs in asked if inputs is not None]
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
        sleep(PAUSE_S)
    return Rehearsed(len(runs), failed, why)


def recent(log_root: Path, digest: str) -> list[tuple[Schema, Request]]:
    """The newest requests that this version answered, at most REQUESTS_MAX, newest first; what is damaged is passed over."""
    found: list[tuple[Schema, Request]] = []
    try:
        for _, directory in list_writers(log_root):
            for segment in list_segments(directory)[-1:]:
                found += _answered(segment, digest)
    except OSError:  # let go while it was looked at
        pass
    return sorted(found, key=lambda one: -one[1].at_us)[:REQUESTS_MAX]


def _answered(segment: SegmentFile, digest: str) -> list[tuple[Schema, Request]]:
    begins = max(0, segment.path.stat().st_size - TAIL_BYTES)  # it grows while it is read
    tail, head = segment.read(begins, TAIL_BYTES), segment.read(0, min(HEAD_BYTES, begins))
    schemas: dict[int, Schema] = {}
    requests: list[Request] = []
    for payload in (*_payloads(head), *_payloads(tail)):
        if isinstance(payload, Schema):
            schemas[payload.id] = payload
        elif isinstance(payload, Request) and not isinstance(payload, PartRequest):
            requests.append(payload)
    return [
        (schemas[one.schema], one)
        for one in requests[-REQUESTS_MAX * 4 :]  # of other models among them
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


def _payloads(data: bytes) -> Iterator[Schema | Request | object]:
    for frame in scan(data):
        if isinstance(frame, Frame):
            try:
                yield decode(frame.payload)
            except RecordInvalid:
                continue
