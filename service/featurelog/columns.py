"""Records as rows of Arrow tables: what the archive holds and what a query sees of hot data (FORMAT.md §7).

Laws
- Every request, shadow and feedback record becomes at least one row, every instance of a request exactly one; a record without
  valid rows is one row with row = −1 and null values. `(writer, epoch, seq, row)` is the key of a row for ever.
- The same records give the same tables, whatever they are read together with.
- Rows of a record of which others were erased keep their numbers.
- A value is what the record holds: NaN, ±inf, −0.0 and null stay apart, a code is its text.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.contract import Kind
from service.featurelog.cells import Joined, is_sound, join
from service.featurelog.chunk import Run
from service.featurelog.record import (
    Block,
    Feedback,
    PartRequest,
    PartShadow,
    Request,
    Schema,
    SchemaColumn,
    Shadow,
    row_numbers,
)

REQUESTS, SHADOWS, FEEDBACK = "requests", "shadows", "feedback"
NOBODY = "__none__"  # in place of a model or a version that no schema names: a client's text makes no directories
DAY_US = 86_400_000_000

_WORD = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", tz="UTC")
_PROBLEMS = pa.list_(pa.struct([("kind", pa.string()), ("column", pa.string()), ("rows", pa.int64())]))
_TENSORS = pa.list_(
    pa.struct(
        [
            ("name", pa.string()),
            ("datatype", pa.string()),
            ("shape", pa.list_(pa.int64())),
            ("sha256", pa.string()),
            ("mean", pa.float64()),
            ("std", pa.float64()),
        ]
    )
)
_IDENTITY = [
    ("request_id", pa.string()),
    ("row", pa.int32()),
    ("arrived_at", _TIME),
    ("writer", pa.string()),
    ("epoch", pa.int64()),
    ("seq", pa.int64()),
]
REQUEST_FIELDS = pa.schema(
    [
        *_IDENTITY,
        ("outcome", _WORD),
        ("status", pa.int16()),
        ("code", _WORD),
        ("protocol", _WORD),
        ("arm", _WORD),
        ("bucket", pa.int32()),
        ("generation", pa.int64()),
        ("digest", _WORD),
        ("rows", pa.int32()),
        ("queue_us", pa.int64()),
        ("compute_us", pa.int64()),
        ("total_us", pa.int64()),
        ("asked_model", _WORD),
        ("problems", _PROBLEMS),
        ("tensors", _TENSORS),
    ]
)
SHADOW_FIELDS = pa.schema(
    [
        *_IDENTITY,
        ("outcome", _WORD),
        ("code", _WORD),
        ("digest", _WORD),
        ("rows", pa.int32()),
        ("compute_us", pa.int64()),
    ]
)
FEEDBACK_FIELDS = pa.schema(
    [
        *_IDENTITY,
        ("label_number", pa.float64()),
        ("label_text", pa.string()),
        ("label_bool", pa.bool_()),
        ("observed_at", _TIME),
    ]
)
# Names of the folders and of the joined view: a feature of that name would be hidden by them.
_TAKEN = ("model", "version", "date", "label", "label_number", "label_text", "label_bool", "observed_at")
_TYPES = {Kind.FLOAT: pa.float64(), Kind.INT: pa.int64(), Kind.BOOL: pa.bool_(), Kind.STRING: _WORD}


class Part(NamedTuple):
    """Rows of one folder of the archive; model and version are "" in `feedback`. `malformed`: blocks that contradict their
    schema, whose values are null.
    """

    table: str
    model: str
    version: str
    date: str
    rows: pa.Table
    malformed: int


def parts(run: Run) -> list[Part]:
    """The rows of a run by table, model, version and day of arrival (UTC), in the order of `seq` within each."""
    requests: dict[tuple[int, str, int], list[tuple[int, Request]]] = {}
    shadows: dict[tuple[int, int], list[tuple[int, Shadow]]] = {}
    feedback: dict[int, list[tuple[int, Feedback]]] = {}
    known = {schema.model for schema in run.schemas.values()}
    for seq, record in run.records:
        day = record.at_us // DAY_US
        if isinstance(record, Request):
            place = record.schema if record.schema in run.schemas else -1
            model = record.model if place < 0 and record.model in known else ""
            requests.setdefault((place, model, day), []).append((seq, record))
        elif isinstance(record, Shadow):
            shadows.setdefault((record.schema, day), []).append((seq, record))
        elif isinstance(record, Feedback):
            feedback.setdefault(day, []).append((seq, record))
    found = []
    for (place, model, day), some in requests.items():
        schema = run.schemas.get(place)
        found.append(_part(REQUESTS, schema, model, day, request_rows(run.writer, run.epoch, some, schema)))
    for (place, day), others in shadows.items():
        schema = run.schemas.get(place)
        found.append(_part(SHADOWS, schema, "", day, shadow_rows(run.writer, run.epoch, others, schema)))
    for day, labels in feedback.items():
        found.append(Part(FEEDBACK, "", "", _date(day), feedback_rows(run.writer, run.epoch, labels), 0))
    return found


def _part(table: str, schema: Schema | None, model: str, day: int, made: tuple[pa.Table, int]) -> Part:
    name, version = (schema.model, schema.version) if schema else (model, "")
    return Part(table, name or NOBODY, version or NOBODY, _date(day), *made)


def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))


def request_rows(
    writer: str, epoch: int, records: Sequence[tuple[int, Request]], schema: Schema | None
) -> tuple[pa.Table, int]:
    """The rows of requests of one schema, and how many of their blocks contradict it."""
    items = [record for _, record in records]
    features, outputs = (schema.features, schema.outputs) if schema else ((), ())
    counts = [_instances((r.features, features), (r.outputs, outputs)) for r in items]
    spread = _Spread([max(1, count) for count in counts])
    asked = join([r.features for r in items], spread.counts, features)
    said = join([r.outputs for r in items], spread.counts, outputs)
    columns = [
        *_identity(writer, epoch, records, spread, counts),
        spread.words([r.outcome.value for r in items]),
        spread.numbers([r.status for r in items], pa.int16()),
        spread.words([r.code for r in items]),
        spread.words([r.protocol for r in items]),
        spread.words([r.arm for r in items]),
        spread.numbers([r.bucket for r in items], pa.int32()),
        spread.numbers([r.generation for r in items], pa.int64()),
        spread.same(schema.digest if schema else None),
        spread.numbers([r.rows for r in items], pa.int32()),
        spread.numbers([r.queue_us for r in items], pa.int64()),
        spread.numbers([r.compute_us for r in items], pa.int64()),
        spread.numbers([r.total_us for r in items], pa.int64()),
        spread.words([r.model for r in items]),
        spread.firsts([_structs(r.problems) for r in items], _PROBLEMS),
        spread.firsts([_structs(r.tensors) for r in items], _TENSORS),
        *_values(asked, features),
        *_values(said, outputs),
    ]
    return pa.Table.from_arrays(columns, schema=request_layout(schema)), asked.malformed + said.malformed


def shadow_rows(
    writer: str, epoch: int, records: Sequence[tuple[int, Shadow]], schema: Schema | None
) -> tuple[pa.Table, int]:
    """The rows of shadow answers of one schema, and how many of their blocks contradict it."""
    items = [record for _, record in records]
    outputs = schema.outputs if schema else ()
    counts = [_instances((record.outputs, outputs)) for record in items]
    spread = _Spread([max(1, count) for count in counts])
    said = join([r.outputs for r in items], spread.counts, outputs)
    columns = [
        *_identity(writer, epoch, records, spread, counts),
        spread.words([r.outcome.value for r in items]),
        spread.words([r.code for r in items]),
        spread.same(schema.digest if schema else None),
        spread.numbers([r.rows for r in items], pa.int32()),
        spread.numbers([r.compute_us for r in items], pa.int64()),
        *_values(said, outputs),
    ]
    return pa.Table.from_arrays(columns, schema=shadow_layout(schema)), said.malformed


def feedback_rows(writer: str, epoch: int, records: Sequence[tuple[int, Feedback]]) -> pa.Table:
    """The rows of labels: a number, a text or a bool in the column of its kind; all three null is a label known to be none."""
    items = [record for _, record in records]
    labels = [record.label for record in items]
    columns = [
        pa.array([record.request_id for record in items], pa.string()),
        pa.array([record.row for record in items], pa.int32()),
        *_origin(writer, epoch, records, _Spread([1] * len(items))),
        pa.array(
            [float(v) if isinstance(v, int | float) and not isinstance(v, bool) else None for v in labels], pa.float64()
        ),
        pa.array([value if isinstance(value, str) else None for value in labels], pa.string()),
        pa.array([value if isinstance(value, bool) else None for value in labels], pa.bool_()),
        pa.array([record.observed_us for record in items], pa.int64()).cast(_TIME),
    ]
    return pa.Table.from_arrays(columns, schema=FEEDBACK_FIELDS)


def request_layout(schema: Schema | None) -> pa.Schema:
    """The columns of `requests` for a schema: fixed ones, features, outputs; a name that is taken gets a prefix."""
    if schema is None:
        return REQUEST_FIELDS
    return _layout(REQUEST_FIELDS, (("feature.", schema.features), ("output.", schema.outputs)))


def shadow_layout(schema: Schema | None) -> pa.Schema:
    """The columns of `shadows` for a schema."""
    return SHADOW_FIELDS if schema is None else _layout(SHADOW_FIELDS, (("output.", schema.outputs),))


def _layout(fixed: pa.Schema, sides: Iterable[tuple[str, Sequence[SchemaColumn]]]) -> pa.Schema:
    """Case does not tell names apart: to SQL they are the same."""
    taken = {name.casefold() for name in (*REQUEST_FIELDS.names, *_TAKEN)}
    fields = list(fixed)
    for prefix, columns in sides:
        for column in columns:
            name = column.name
            while name.casefold() in taken:
                name = prefix + name
            taken.add(name.casefold())
            fields.append(pa.field(name, _TYPES[column.kind]))
    return pa.schema(fields)


def _instances(*sides: tuple[Block | None, Sequence[SchemaColumn]]) -> int:
    """How many rows a record holds: those of its first sound block."""
    return next((block.n for block, columns in sides if block is not None and is_sound(block, columns)), 0)


class _Spread:
    """Values of records as values of their rows: each `counts[i]` times."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts, self.rows = counts, sum(counts)
        self._single = self.rows == len(counts)
        self._index = np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    def numbers(self, values: Sequence[int], kind: pa.DataType) -> pa.Array:
        return self._over(pa.array(values, kind))

    def texts(self, values: Sequence[str]) -> pa.Array:
        return self._over(pa.array(values, pa.string()))

    def words(self, values: Sequence[str]) -> pa.Array:
        """Few distinct texts."""
        return self._over(pa.array(values, pa.string()).dictionary_encode())

    def same(self, value: str | None) -> pa.Array:
        """One text for all, or null for all."""
        if value is None:
            return pa.nulls(self.rows, _WORD)
        return pa.DictionaryArray.from_arrays(np.zeros(self.rows, np.int32), pa.array([value], pa.string()))

    def firsts(self, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        """What belongs to the whole record stands in its first row."""
        if not any(values):
            return pa.nulls(self.rows, kind)
        if self._single:
            return pa.array(values, kind)
        rows: list[Any] = [None] * self.rows
        starts = np.cumsum([0, *self.counts[:-1]]).tolist()
        for start, value in zip(starts, values, strict=True):
            rows[start] = value
        return pa.array(rows, kind)

    def row_numbers(self, counts: Sequence[int]) -> pa.Array:
        """0, 1, … within each record; −1 for one without rows."""
        starts = np.repeat(np.cumsum([0, *self.counts[:-1]]), self.counts)
        empty = np.repeat(np.array(counts, np.int64) == 0, self.counts)
        return pa.array(np.where(empty, -1, np.arange(self.rows) - starts).astype(np.int32))

    def _over(self, values: pa.Array) -> pa.Array:
        return values if self._single else values.take(pa.array(self._index))


def _identity(
    writer: str, epoch: int, records: Sequence[tuple[int, Request | Shadow]], spread: _Spread, counts: Sequence[int]
) -> list[pa.Array]:
    ids = spread.texts([record.request_id for _, record in records])
    numbers = spread.row_numbers(counts)
    if any(isinstance(record, PartRequest | PartShadow) for _, record in records):
        items = zip((record for _, record in records), counts, strict=True)
        each = [number for record, n in items for number in (row_numbers(record, n) if n else (-1,))]
        numbers = pa.array(each, pa.int32())
    return [ids, numbers, *_origin(writer, epoch, records, spread)]


def _origin(
    writer: str, epoch: int, records: Sequence[tuple[int, Request | Shadow | Feedback]], spread: _Spread
) -> list[pa.Array]:
    return [
        spread.numbers([record.at_us for _, record in records], pa.int64()).cast(_TIME),
        pa.repeat(pa.scalar(writer, pa.string()), spread.rows),
        pa.repeat(pa.scalar(epoch, pa.int64()), spread.rows),
        spread.numbers([seq for seq, _ in records], pa.int64()),
    ]


def _structs(items: Sequence[Any] | None) -> list[dict[str, Any]] | None:
    """Fields by name, a word as its text."""
    if not items:
        return None
    return [{name: getattr(item, name) for name in item.__struct_fields__} for item in items]


def _values(joined: Joined, columns: Sequence[SchemaColumn]) -> list[pa.Array]:
    return [
        (_texts if column.kind is Kind.STRING else _numbers)(joined, place, column)
        for place, column in enumerate(columns)
    ]


def _numbers(joined: Joined, place: int, column: SchemaColumn) -> pa.Array:
    """Bits as they are: a mask of its own, so that no NaN is taken for null."""
    cells, null = joined.cells[place], None if joined.null is None else joined.null[place]
    validity = None if null is None or not null.any() else pa.py_buffer(np.packbits(~null, bitorder="little"))
    if column.kind is Kind.BOOL:
        bits = pa.py_buffer(np.packbits(cells != 0, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), len(cells), [validity, bits])
    return pa.Array.from_buffers(_TYPES[column.kind], len(cells), [validity, pa.py_buffer(cells)])


def _texts(joined: Joined, place: int, column: SchemaColumn) -> pa.Array:
    """Codes of the categories first, then of other texts in the order in which they came; a code without text is null."""
    categories = list(column.categories or ())
    codes = np.where(joined.cells[place] < len(categories), joined.cells[place], -1).astype(np.int32)
    places, values = joined.text.get(place, ([], []))
    known = {text: code for code, text in enumerate(categories)}
    codes[places] = [known.setdefault(value, len(known)) for value in values]
    null = codes < 0 if joined.null is None else (codes < 0) | joined.null[place]
    indices = pa.array(codes, mask=null) if null.any() else pa.array(codes)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(known), pa.string()))
