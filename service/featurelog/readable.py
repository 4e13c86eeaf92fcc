"""Records as plain objects with features and outputs by name; ● no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import Any

import msgspec

from models.contract import Kind
from service.featurelog.chunk import Run
from service.featurelog.record import Block, Erased, Feedback, Ledger, Request, Schema, SchemaColumn, Shadow

_NARROW = "f"
_FORMATS = {Kind.FLOAT: "d", Kind.INT: "q", Kind.BOOL: "q", Kind.STRING: "q"}


def readable(run: Run) -> Iterator[dict[str, Any]]:
    """One object a record of the run, with its identity."""
    for seq, record in run.records:
        identity = {"writer": run.writer, "epoch": run.epoch, "seq": seq}
        match record:
            case Request():
                yield {"type": "request", **identity, **_request(record, run.schemas.get(record.schema))}
            case Shadow():
                yield {"type": "shadow", **identity, **_shadow(record, run.schemas.get(record.schema))}
            case Feedback():
                yield {"type": "feedback", **identity, **msgspec.structs.asdict(record)}
            case Erased():
                about = {"at_us": record.at_us, "outcome": record.outcome, "rows": record.rows}
                yield {"type": "erased", **identity, **about}
            case Ledger():
                yield {"type": "ledger", **identity, **msgspec.structs.asdict(record)}


def rows(block: Block, columns: Sequence[SchemaColumn]) -> list[dict[str, Any]]:
    """The block's rows by column name; null is None, a code is its text."""
    if not columns:
        return [{} for _ in range(block.n)]
    kinds = [column.kind for column in columns]
    formats = _NARROW * len(kinds) if block.narrow(kinds) else "".join(_FORMATS[kind] for kind in kinds)
    unpack = Struct("<" + formats).iter_unpack(block.cells)
    text = {(row, place): value for row, place, value in block.text or ()}
    width = len(columns)
    return [
        {
            column.name: None
            if block.nulls and block.nulls[number * width + place]
            else _value(column, cells[place], text.get((number, place)))
            for place, column in enumerate(columns)
        }
        for number, cells in enumerate(unpack)
    ]


def _value(column: SchemaColumn, cell: Any, text: str | None) -> Any:
    match column.kind:
        case Kind.STRING:
            return text if cell < 0 else (column.categories or ())[cell]
        case Kind.BOOL:
            return bool(cell)
        case _:
            return cell


def _request(record: Request, schema: Schema | None) -> Mapping[str, Any]:
    fields = msgspec.structs.asdict(record)
    fields.pop("schema")
    fields.pop("pad", None)
    fields["version"] = schema.version if schema else None
    fields["digest"] = schema.digest if schema else None
    fields["features"] = rows(record.features, schema.features) if record.features and schema else None
    fields["outputs"] = rows(record.outputs, schema.outputs) if record.outputs and schema else None
    for name in ("problems", "tensors"):
        fields[name] = [msgspec.structs.asdict(item) for item in fields[name] or ()] or None
    return fields


def _shadow(record: Shadow, schema: Schema | None) -> Mapping[str, Any]:
    fields = msgspec.structs.asdict(record)
    fields.pop("schema")
    fields.pop("pad", None)
    fields["model"] = schema.model if schema else None
    fields["version"] = schema.version if schema else None
    fields["outputs"] = rows(record.outputs, schema.outputs) if record.outputs and schema else None
    return fields
