"""`plumbline log archive`: one pass of the archive, as the monitor starts it or a person."""

import errno
import os
import time
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from models.errors import UNDECODABLE
from service.commands.output import CANNOT, FOUND_FAULT, home_option, json_option, settings_of
from service.featurelog.archive import Archiver, Report
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.archive_plan import Keep
from service.featurelog.chunk import Positions
from service.featurelog.errors import FeatureLogError, ManifestInvalid, PassRunning
from service.settings import Settings

HOUR_US = 3_600_000_000
NOBODY_ELSE = "archived"
_REASONS = {
    errno.ENOSPC: "no_space", errno.EDQUOT: "no_space", errno.EIO: "io_error", errno.EROFS: "read_only",
    errno.EACCES: "not_allowed", errno.EPERM: "not_allowed",
}  # fmt: skip


@click.command()
@click.option(
    "--keep-from",
    metavar="POSITIONS",
    help=f"What the monitor has saved as its positions, JSON; `{NOBODY_ELSE}`: nobody else reads. Without it no segment goes.",
)
@click.option("--nice", default=0, show_default=True, help="How far behind others this process is scheduled, 0 to 19.")
@home_option
@json_option
def archive(keep_from: str | None, nice: int, home: Path | None, as_json: bool) -> None:
    """Turn sealed segments into Parquet below <home>/archive, merge small files, let go what is too old.

    Exit code 1 where a file of the archive is damaged, 3 where it could not be done.

    \b
    plumbline log archive
    plumbline log archive --keep-from archived --json
    """
    positions = _positions(keep_from)
    if nice:
        os.nice(nice)
    started_s = time.monotonic()
    try:
        report = _pass(settings_of(home), positions)
    except (FeatureLogError, OSError, ValueError) as error:
        if as_json:
            click.echo(msgspec.json.encode({"failed": reason_of(error), "error": str(error)}).decode())
        click.echo(f"plumbline: {error}", err=True)
        raise SystemExit(CANNOT) from error
    _say(report, time.monotonic() - started_s, as_json=as_json)
    if report.damaged:
        raise SystemExit(FOUND_FAULT)


def _pass(settings: Settings, keep_from: Positions | None) -> Report:
    keep = Keep(
        raw_age_us=int(settings.log_raw_keep_h * HOUR_US),
        raw_bytes=settings.log_raw_bytes_max,
        archive_days=settings.archive_keep_days,
        archive_bytes=settings.archive_bytes_max,
    )
    files = ArchiveFiles(settings.archive_root)
    return Archiver(settings.log_root, files, keep=keep, keep_from=keep_from).run(time.time_ns() // 1000)


def _positions(given: str | None) -> Positions | None:
    """None: nobody else reads."""
    if given == NOBODY_ELSE:
        return None
    try:
        return msgspec.json.decode(given or "{}", type=Positions)
    except UNDECODABLE as error:
        raise click.BadParameter(
            f'{error}, expected {{"w0": [epoch, number, offset]}}', param_hint="--keep-from"
        ) from error


def reason_of(error: Exception) -> str:
    """A fixed word, so that a metric label stays bounded."""
    match error:
        case PassRunning():
            return "busy"
        case ManifestInvalid():
            return "manifest_invalid"
        case OSError():
            return _REASONS.get(error.errno or 0, "os_error")
        case FeatureLogError():
            return "log_error"
        case _:
            return "settings_invalid"


def _say(report: Report, took_s: float, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({**asdict(report), "took_s": round(took_s, 3)}).decode())
        return
    click.echo(
        f"archived {report.segments} segments ({report.segment_bytes:,} bytes, {report.records:,} records) as "
        f"{report.rows:,} rows in {report.files} files ({report.file_bytes:,} bytes) in {took_s:.1f} s"
    )
    click.echo(
        f"merged {report.merged} files; let go {report.let_go_segments} segments and {report.let_go_files} files"
    )
    if report.lost_records or report.lost_holes or report.malformed:
        click.echo(
            f"damaged: {report.lost_records} records lost, {report.lost_holes} holes, {report.malformed} blocks that "
            "contradict their schema; archive/manifest.json names them"
        )
    for sentence in report.damaged:
        click.echo(f"damaged: {sentence}")
