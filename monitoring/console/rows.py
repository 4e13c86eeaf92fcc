"""Which rows of an open incident can be shown: its examples, as the log holds them, without what is private.

Law: a feature that the contract calls private is named and not shown, whatever the log holds of it. Outputs are as logged.
"""

import struct
from collections.abc import Sequence

import msgspec

from models.contract import Kind
from monitoring.explain.story import HeldRow, Story
from service.featurelog.record import Schema, SchemaColumn

Value = float | int | str | bool | None
UNKEPT = "…"  # a text of which only the bin is kept


class RowShown(msgspec.Struct, frozen=True):
    """A row as the log names it; `values` in the order of the columns."""

    request_id: str
    row: int
    at_s: float
    values: tuple[Value, ...]


class RowsShown(msgspec.Struct, frozen=True):
    """`columns`: those that changed before the others; `changed`: how many they are; `hidden`: the private ones."""

    model: str
    version: str
    columns: tuple[str, ...]
    changed: int
    hidden: tuple[str, ...]
    rows: tuple[RowShown, ...]


def rows_of(story: Story, schema: Schema) -> RowsShown:
    """The examples of a story that are kept with their rows."""
    columns = (*schema.features, *schema.outputs)
    hidden = frozenset(schema.private or {})
    named = {one.column for one in story.columns}
    shown = [
        place for place, column in enumerate(columns) if column.name not in hidden or place >= len(schema.features)
    ]
    shown.sort(key=lambda place: columns[place].name not in named)
    rows = [
        RowShown(one.request_id, one.row, one.at_s, tuple(_value(held, place, columns[place]) for place in shown))
        for one, held in zip(story.examples, story.rows, strict=False)
        if len(held.cells) == len(columns)
    ]
    return RowsShown(
        model=schema.model,
        version=schema.version,
        columns=tuple(columns[place].name for place in shown),
        changed=sum(columns[place].name in named for place in shown),
        hidden=tuple(sorted(hidden)),
        rows=tuple(rows),
    )


def _value(held: HeldRow, place: int, column: SchemaColumn) -> Value:
    if place in held.nulls:
        return None
    cell = held.cells[place]
    match column.kind:
        case Kind.FLOAT:
            return _finite(struct.unpack("<d", struct.pack("<q", cell))[0])
        case Kind.INT:
            return cell
        case Kind.BOOL:
            return bool(cell)
        case Kind.STRING:
            return _text(cell, held.texts, place, column.categories or ())


def _finite(number: float) -> Value:
    """JSON has no NaN."""
    return number if abs(number) < float("inf") else str(number)


def _text(code: int, texts: Sequence[tuple[int, str]], place: int, categories: Sequence[str]) -> str:
    told = next((text for column, text in texts if column == place), None)
    if told is not None:
        return told
    return categories[code] if 0 <= code < len(categories) else UNKEPT
