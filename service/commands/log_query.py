"""`plumbline log query "select …"`: SQL over sealed and hot data together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import duckdb

from service.commands.log_options import while_listened_to
from service.commands.output import CANNOT, home_option, settings_of, speaks_plainly
from service.commands.rows_output import FORMATS, write_rows
from service.featurelog.snapshot import Snapshot
from service.featurelog.view import MEMORY_BYTES, database

ROWS_A_BATCH = 10_000
WRONG_USE = 2
_ANSWERING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)  # MULTI: pivot
# What is wrong with the machine or the files, not with the question.
_OURS = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.InternalException, duckdb.FatalException)


@contextmanager
def asked_plainly() -> Iterator[None]:
    """DuckDB's own sentence, which names the place: exit code 2 where the question is wrong, 3 where it cannot be answered."""
    try:
        yield
    except duckdb.Error as error:
        click.echo(f"plumbline: {error}", err=True)
        raise SystemExit(CANNOT if isinstance(error, _OURS) else WRONG_USE) from error


def tell_gaps(found: Snapshot, model: str | None = None) -> None:
    """On stderr: what the answer does not hold, and a model that the log does not know."""
    for hole in found.lost:
        records = "" if hole.records is None else f", {hole.records} records"
        where = f"{hole.writer} epoch {hole.epoch} segment {hole.number}"
        click.echo(f"plumbline: not readable: {where}: {hole.reason}{records}", err=True)
    if model is not None and not any(source.model == model for source in found.sources):
        click.echo(f"plumbline: the log has no row of a model {model!r}", err=True)


def one_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """Raises click.UsageError unless it is one question."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type not in _ANSWERING:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise click.UsageError(f"SQL: {kinds}, expected one SELECT; the log is only read")
    return _spans_as_text(connection.sql(statements[0].query))


def _spans_as_text(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """INTERVAL is months, days and nanoseconds to Arrow: no file format has it, and nobody reads it."""
    names = ['"' + name.replace('"', '""') + '"' for name in rows.columns]
    spans = [
        f"{name}::VARCHAR AS {name}" for name, kind in zip(names, rows.types, strict=True) if str(kind) == "INTERVAL"
    ]
    return rows.project(f"* REPLACE ({', '.join(spans)})") if spans else rows


@click.command()
@click.argument("sql")
@click.option("--model", help="Only this model: its own columns and types.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How the rows are written.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="To this file, whole or not at all.")
@click.option(
    "--memory-mb",
    type=click.IntRange(min=64),
    default=MEMORY_BYTES >> 20,
    show_default=True,
    help="Memory of the database; what does not fit goes to TMPDIR.",
)
@home_option
@speaks_plainly
def query(sql: str, model: str | None, form: str, out: Path | None, memory_mb: int, home: Path | None) -> None:
    """SQL (DuckDB's) over what is archived and what is not yet, together.

    Views: requests, shadows, feedback, labels (one a row), labelled (answered requests with their known label). One row an
    instance; features and outputs are columns. The log is only read.

    \b
    plumbline log query "select version, avg(probability), count(*) from requests where model = 'payments' group by all"
    plumbline log query "select * from labelled" --model payments --format parquet --out train.parquet
    """
    settings = settings_of(home)
    with (
        while_listened_to(),
        asked_plainly(),
        database(settings.home, model=model, memory_bytes=memory_mb << 20) as found,
    ):
        connection, snapshot = found
        tell_gaps(snapshot, model)
        write_rows(one_statement(connection, sql).to_arrow_reader(ROWS_A_BATCH), form, out)
