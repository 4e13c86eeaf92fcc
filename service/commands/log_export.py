"""`plumbline log export`: the log as files that other tools read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pyarrow as pa

from service.commands.log_filter import Filter, filter_options
from service.commands.log_options import from_option, to_option, while_listened_to
from service.commands.log_query import ROWS_A_BATCH, asked_plainly, tell_gaps
from service.commands.output import home_option, settings_of, speaks_plainly
from service.commands.rows_output import opened, write_rows
from service.featurelog.floors import load_manifest
from service.featurelog.reader import LogReader
from service.featurelog.view import MEMORY_BYTES, database

RECORDS_A_READ = 10_000
RECORDS = "records"
_TABLES = (RECORDS, "requests", "shadows", "feedback", "labelled")


@click.command()
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv", "parquet"]), default="jsonl", help="How it is written."
)
@click.option(
    "--table",
    type=click.Choice(_TABLES),
    help="records: raw records, nested (JSON lines only, the default there); otherwise rows, archived ones too.",
)
@click.option("--labelled", is_flag=True, help="The answered rows whose label is known, with it: --table labelled.")
@from_option
@to_option
@filter_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="To this file, whole or not at all.")
@home_option
@speaks_plainly
def export(form: str, table: str | None, labelled: bool, out: Path | None, home: Path | None, **chosen: Any) -> None:
    """Records, or rows with features and outputs as columns.

    \b
    plumbline log export --format jsonl > log.jsonl
    plumbline log export --labelled --model payments --from -30d --format parquet --out train.parquet
    """
    if labelled and table not in (None, "labelled"):
        raise click.UsageError(f"--labelled with --table {table}, expected one of them")
    table = "labelled" if labelled else table or (RECORDS if form == "jsonl" else "requests")
    if table == RECORDS and form != "jsonl":
        raise click.UsageError(f"--table records with --format {form}, expected jsonl: records are nested")
    settings = settings_of(home)
    with while_listened_to(), asked_plainly():
        if table == RECORDS:
            _say_what_is_gone(settings.archive_root)
            with opened(out) as file:
                for line in _records(settings.log_root, Filter.of(**chosen)):
                    file.write(line + b"\n")
        else:
            write_table(settings.home, table, form, out, chosen)


def _say_what_is_gone(archive_root: Path) -> None:
    if gone := load_manifest(archive_root).let_go.segments:
        click.echo(f"plumbline: {gone} segments were archived and let go; --table requests has their rows", err=True)


def _records(root: Path, wanted: Filter) -> Iterator[bytes]:
    reader = LogReader(root)
    caught_up = False
    while not caught_up:
        chunk = reader.read(RECORDS_A_READ)
        for run in chunk.runs:
            for record in wanted.records(run):
                yield msgspec.json.encode(record)
        caught_up = chunk.caught_up


def write_table(home: Path, table: str, form: str, out: Path | None, chosen: dict[str, Any]) -> None:
    """The rows of a view that fulfil every condition."""
    conditions, given = conditions_of(table, **chosen)
    with database(home, model=chosen["model"], memory_bytes=MEMORY_BYTES) as (connection, found):
        tell_gaps(found, chosen["model"])
        sql = f"SELECT * FROM {table} WHERE {' AND '.join(['true', *conditions])}"
        rows: pa.RecordBatchReader = connection.sql(sql, params=given).to_arrow_reader(ROWS_A_BATCH)
        write_rows(rows, form, out)


def conditions_of(
    table: str, *, from_us: int | None, to_us: int | None, where: str | None, **equal: str | None
) -> tuple[list[str], list[Any]]:
    """Conditions of SQL and their parameters. Raises click.UsageError where the view has no such column."""
    known = {"feedback": ("request_id",), "shadows": ("model", "version", "outcome", "code", "request_id")}.get(
        table, tuple(equal)
    )
    if odd := [name for name, value in equal.items() if value is not None and name not in known]:
        raise click.UsageError(f"--{odd[0].replace('_', '-')}: {table} have no such column")
    pairs: list[tuple[str, Any]] = [(f"{name} = ?", value) for name, value in equal.items()]
    pairs += [
        ("arrived_at >= make_timestamptz(?::BIGINT)", from_us),
        ("arrived_at < make_timestamptz(?::BIGINT)", to_us),
    ]
    chosen = [(condition, value) for condition, value in pairs if value is not None]
    own = [] if where is None else [f"({where})"]
    return [*(condition for condition, _ in chosen), *own], [value for _, value in chosen]
