"""`plumbline log erase`: what is said of a person goes, with a receipt."""

import getpass
import os
from pathlib import Path

import click
import msgspec

from models.durable import replace_durably
from service.commands.output import CANNOT, FOUND_FAULT, home_option, json_option, settings_of, speaks_plainly
from service.featurelog.erase import Eraser, Order, Report
from service.featurelog.errors import WhereInvalid
from service.featurelog.key import deployment_key

MONITOR, ERASED = "monitor", "erased"  # the word by which the monitor forgets the rows that it remembers


@click.command()
@click.option("--where", required=True, help="Which rows: column = 'text', >, in (…), is null, joined by and, or.")
@click.option("--model", help="Only requests to this model.")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@click.option(
    "--wait-s", default=10.0, show_default=True, help="Time for live writers to let go of what they write now."
)
@home_option
@json_option
@speaks_plainly
def erase(where: str, model: str | None, dry_run: bool, wait_s: float, home: Path | None, as_json: bool) -> None:
    """Erase rows from the whole log, hot and archived, with their labels and shadow answers.

    Exit code 1 where a value that was named still stands in a file, 3 where a segment could not be reached: both are listed.

    \b
    plumbline log erase --where "customer_id = 'c-17'" --dry-run
    plumbline log erase --where "customer_id in ('c-17', 'c-18')" --model loans
    """
    settings = settings_of(home)
    key = deployment_key(settings.privacy_key_path, make=settings.privacy_key_file is None)
    try:
        eraser = Eraser(settings.home, Order(where, model, key, _whoami()), wait_s=wait_s)
        report = eraser.dry_run() if dry_run else eraser.run()
        if not dry_run and (settings.home / MONITOR).is_dir():
            replace_durably(settings.home / MONITOR / ERASED, b"")
    except WhereInvalid as error:
        raise click.UsageError(str(error)) from error
    _say(report, settings.home, dry_run=dry_run, as_json=as_json)
    if report.missed:
        raise SystemExit(CANNOT)
    if report.remains:
        raise SystemExit(FOUND_FAULT)


def _whoami() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"


def _say(report: Report, home: Path, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        said = {
            "dry_run": dry_run,
            "counts": report.counts,
            "files": report.files,
            "missed": report.missed,
            "remains": report.remains,
            "unread_frames": report.unread_frames,
            "receipt": None if report.receipt is None else str(report.receipt),
        }
        click.echo(msgspec.json.encode(said).decode())
        return
    what = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in report.counts.items())
    click.echo(f"{'would erase' if dry_run else 'erased'} {what} in {report.files} files")
    for path in report.missed:
        click.echo(f"  not reached: {home / path} is still written; run it again")
    for path in report.remains:
        click.echo(f"  still there: {home / path} holds a value that was named, in other rows or from training data")
    if report.unread_frames:
        click.echo(f"  {report.unread_frames} frames of a newer version could not be searched")
    if report.receipt is not None:
        click.echo(f"receipt: {report.receipt}")
