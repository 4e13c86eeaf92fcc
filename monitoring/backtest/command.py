"""The `monitor replay` command: a piece of the log under these rules or others, and its pages beside those that were sent.

Exit codes: 0 done, 1 what is to be replayed is not all there any more, 2 used wrongly, 3 it could not do it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitoring.alert import Alert
from monitoring.backtest.other_rules import read_rules
from monitoring.backtest.pages import Column, Page, beside
from monitoring.backtest.sent import kept
from monitoring.backtest.standing import standing_at
from monitoring.errors import RecordsLetGo, SettingsInvalid
from monitoring.events import Event, opening_of
from monitoring.moment import Moment
from monitoring.settings import Settings, load
from monitoring.state import Version
from monitoring.window import MINUTE_US
from monitoring.wiring import OUTBOX, replayed
from service.featurelog.errors import FeatureLogError

NOT_ALL_THERE, USED_WRONGLY, COULD_NOT = 1, 2, 3
PIPED_CHARS = 160  # where no terminal says how wide it is


class _Line(msgspec.Struct):
    """A page as `--json` prints it; `event` is its body, byte for byte."""

    id: str
    column: Column
    same_bytes: bool | None
    event: msgspec.Raw


@click.command("replay")
@click.option(
    "--from", "begin", type=Moment(), required=True, help="First minute to judge; the windows are filled before it."
)
@click.option("--to", "end", type=Moment(), required=True, help="End of the last minute to judge.")
@click.option(
    "--rules",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="TOML with the keys of [monitor] that mean rules, in place of those in force.",
)
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="As of `monitor`; may stand here too.")
@click.option("--json", "as_json", is_flag=True, help="One page a line, with the very bytes of its event.")
@click.pass_obj
def replay_command(
    settings: Settings, begin: datetime, end: datetime, rules: Path | None, home: Path | None, as_json: bool
) -> None:
    """Fold a piece of the log again, and print the pages that it makes beside those that were sent. Sends nothing.

    With unchanged rules a page is the one that was sent, byte for byte; `--rules` tries others. What was sent is what the
    outbox still keeps (outbox_delivered_kept); an incident that stood at --from by it is no page of the piece.
    Reads raw records. Exit code 1 where retention let go of some of the piece; where it did so only of the windows before
    it, a warning on stderr.

    \b
    Example:
      plumbline monitor replay --from 2026-11-02T10:15:00Z --to 2026-11-02T10:17:00Z
      plumbline monitor replay --from 2026-11-01 --to 2026-11-08 --rules stricter.toml --json
    """
    if end <= begin:
        raise click.UsageError(f"--to {end.isoformat()} is not after --from {begin.isoformat()}")
    settings = _settings(settings, home, rules)
    from_minute, to_minute = _minute(begin), _minute(end)
    sent = kept(settings.home / OUTBOX)
    standing = standing_at(sent, from_minute, settings.cooldown_s)
    made = _replayed(settings, from_minute, to_minute, standing)
    openings = [event for event in sent if opening_of(event.id) is None]
    pages = beside(openings, made, from_minute=from_minute, to_minute=to_minute)
    if as_json:
        for page in pages:
            line = _Line(page.id, page.column, page.same_bytes, msgspec.Raw(page.body))
            click.echo(msgspec.json.encode(line))
    else:
        _print(pages)


def _settings(settings: Settings, home: Path | None, rules: Path | None) -> Settings:
    try:
        if home is not None:
            settings = load(home)
        return settings if rules is None else load(settings.home, **read_rules(rules))
    except SettingsInvalid as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(USED_WRONGLY) from error


def _replayed(settings: Settings, from_minute: int, to_minute: int, standing: Mapping[Version, Alert]) -> list[Event]:
    try:
        events, windows_cut = replayed(settings, from_minute, to_minute, standing)
    except (RecordsLetGo, FeatureLogError) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(NOT_ALL_THERE if isinstance(error, RecordsLetGo) else COULD_NOT) from error
    if windows_cut is not None:
        click.echo(f"warning: {windows_cut}", err=True)
    return events


def _print(pages: Sequence[Page]) -> None:
    if not pages:
        click.echo("no event")
        return
    table = Table("time", "id", *Column, "what")
    for column in table.columns:
        column.overflow = "fold"  # shortened, a time or an id is of no use
    for page in pages:
        marks = ["×" if page.column is column else "" for column in Column]
        if page.same_bytes is False:
            marks[-1] = "other bytes"
        table.add_row(page.said.time.strftime("%Y-%m-%dT%H:%M:%SZ"), page.id, *marks, escape(page.said.data.reason))
    console = Console()
    (console if console.is_terminal else Console(width=PIPED_CHARS)).print(table)


def _minute(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) // MINUTE_US
