"""`plumbline log …`: what the service wrote down."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from service.commands.log_erase import erase
from service.commands.output import FOUND_FAULT, home_option, json_option, settings_of, speaks_plainly
from service.featurelog.chunk import Run
from service.featurelog.ledger import audit
from service.featurelog.readable import readable
from service.featurelog.reader import LogReader

RECORDS_A_READ = 10_000


@click.group()
def log() -> None:
    """Read and check the feature log."""


log.add_command(erase)


def _runs(root: Path) -> Iterator[Run]:
    reader = LogReader(root)
    while True:
        chunk = reader.read(RECORDS_A_READ)
        yield from chunk.runs
        if chunk.caught_up:
            return


@log.command()
@click.option("-n", "--lines", default=10, help="How many of the newest records.")
@click.option("--model", help="Only this model's requests.")
@home_option
@speaks_plainly
def tail(lines: int, model: str | None, home: Path | None) -> None:
    """The newest records, one JSON object a line.

    \b
    plumbline log tail -n 3 --model payments
    """
    newest: list[dict[str, Any]] = []
    for run in _runs(settings_of(home).log_root):
        found = [record for record in readable(run) if model is None or record.get("model") == model]
        newest = sorted([*newest, *found], key=lambda record: record["at_us"])[-lines:]
    for record in newest:
        click.echo(msgspec.json.encode(record).decode())


@log.command()
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", help="How the records are written.")
@home_option
@speaks_plainly
def export(form: str, home: Path | None) -> None:
    """Every record, one JSON object a line, features and outputs by name.

    \b
    plumbline log export --format jsonl > log.jsonl
    """
    for run in _runs(settings_of(home).log_root):
        for record in readable(run):
            click.echo(msgspec.json.encode(record).decode())


@log.command()
@home_option
@json_option
@speaks_plainly
def verify(home: Path | None, as_json: bool) -> None:
    """Check every frame and the ledger; exit code 1 on any gap, damage or difference.

    \b
    plumbline log verify --json
    """
    found = audit(settings_of(home).log_root)
    if as_json:
        click.echo(msgspec.json.encode(found.as_json()).decode())
    else:
        dropped = Counter(found.log_dropped)
        click.echo(
            f"answered {found.answered} = logged {found.logged} + dropped {dropped.total()} {dict(dropped) or ''}"
        )
        for fault in (*found.gaps, *found.corrupt, *found.differences):
            click.echo(f"  {fault}")
        click.echo("the log is whole" if found.whole else "the log is NOT whole")
    if not found.whole:
        raise SystemExit(FOUND_FAULT)
