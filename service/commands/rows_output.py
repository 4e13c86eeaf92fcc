"""Rows as a table for people, or as CSV, JSON, JSON lines or Parquet, written as they are computed.

NaN and ±inf are `nan`, `inf`, `-inf` in CSV and null in JSON, which has no word for them; null is empty in CSV.
"""

import csv
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

import click
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

TABLE_ROWS_MAX = 1_000  # more than anybody reads; the other formats have no end
ROW_GROUP_ROWS = 1 << 16


def write_rows(rows: pa.RecordBatchReader, form: str, out: Path | None) -> None:
    """To the file, which is there whole or not at all, or to stdout.

    Raises click.UsageError: Parquet to a terminal, or of a type that Parquet does not have.
    """
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("--format parquet to a terminal, expected --out FILE or a pipe")
    with opened(out) as file:
        try:
            _WRITERS[form](rows, file)
        except pa.ArrowNotImplementedError as error:
            raise click.UsageError(f"--format {form}: {error}; cast the column") from error


@contextmanager
def opened(out: Path | None) -> Iterator[BinaryIO]:
    """Stdout, or a file that appears when all is written."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with NamedTemporaryFile(dir=out.absolute().parent, prefix=f".{out.name}-", delete=False) as aside:
        try:
            yield aside  # type: ignore[misc]  # a wrapper of a BinaryIO
            aside.flush()
            Path(aside.name).chmod(0o644)
            Path(aside.name).replace(out)
        except BaseException:
            Path(aside.name).unlink(missing_ok=True)
            raise


def _table(rows: pa.RecordBatchReader, file: BinaryIO) -> None:
    table = Table(*rows.schema.names, box=None, pad_edge=False)
    shown, more = 0, False
    for batch in rows:
        for row in batch.to_pylist():
            if shown == TABLE_ROWS_MAX:
                more = True
                break
            table.add_row(*map(_shown, row.values()))
            shown += 1
        if more:
            break
    console = Console(soft_wrap=True)
    console.print(table, markup=False)
    if more:
        click.echo(f"the first {TABLE_ROWS_MAX} rows; --format csv has all", err=True)


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(rows: pa.RecordBatchReader, file: BinaryIO) -> None:
    nested = [place for place, field in enumerate(rows.schema) if pa.types.is_nested(field.type)]
    write = csv.writer(_Text(file), lineterminator="\n").writerow
    write(rows.schema.names)
    for batch in rows:
        columns = [_plain(column) for column in batch.columns]
        for place in nested:
            columns[place] = [None if v is None else _encode(v).decode() for v in columns[place]]
        for row in zip(*columns, strict=True):
            write(row)


def _plain(column: pa.Array) -> list[Any]:
    """Values as Python has them; times as ISO 8601, bools as other tools write them."""
    if pa.types.is_boolean(column.type):
        return [None if value is None else "true" if value else "false" for value in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return [None if moment is None else moment.isoformat() for moment in column.to_pylist()]
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return [None if value is None else b64encode(value).decode() for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


class _Text:
    """What `csv` writes to, without a second buffer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def _json(rows: pa.RecordBatchReader, file: BinaryIO) -> None:
    separator = b"[\n"
    for line in _objects(rows):
        file.write(separator + line)
        separator = b",\n"
    file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _encode(value: object) -> bytes:
    """What JSON and Python do not know (nanoseconds) is text."""
    return msgspec.json.encode(value, enc_hook=str)


def _jsonl(rows: pa.RecordBatchReader, file: BinaryIO) -> None:
    file.writelines(line + b"\n" for line in _objects(rows))


def _objects(rows: pa.RecordBatchReader) -> Iterator[bytes]:
    for batch in rows:
        for row in batch.to_pylist():
            yield _encode(row)


def _parquet(rows: pa.RecordBatchReader, file: BinaryIO) -> None:
    """Batches are gathered into row groups: small ones make large files."""
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(file, rows.schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in rows:
            waiting.append(batch)
            if sum(one.num_rows for one in waiting) >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))


_WRITERS: Mapping[str, Callable[[pa.RecordBatchReader, BinaryIO], None]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
FORMATS = tuple(_WRITERS)
