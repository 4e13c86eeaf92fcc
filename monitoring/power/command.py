"""`plumbline monitor power`: how small a change of each column would be seen, as the running monitor reckons it.

Exit codes: 0 done, 2 used wrongly, 3 it could not do it: no monitor answers.
"""

import os

import click
import httpx
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.errors import UNDECODABLE
from monitoring.power.card import HORIZONS_S, ROWS_PER_MINUTE_MAX, PowerCard, Within
from monitoring.power.shifts import Change
from monitoring.settings import Settings

COULD_NOT = 3
TIMEOUT_S = 30.0  # a card of hundreds of columns takes seconds
API_KEY = "PLUMBLINE_API_KEY"
_NAMES = {600: "10 minutes", 3600: "1 hour", 86_400: "1 day"}


@click.command("power")
@click.argument("model", required=False)
@click.option(
    "--monitor", "url", help="Address of the monitor, such as http://127.0.0.1:3001; else as the settings say."
)
@click.option(
    "--rows-per-minute",
    type=click.FloatRange(0, ROWS_PER_MINUTE_MAX),
    help="Reckon with this traffic instead of the present.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_obj
def power_command(
    settings: Settings, model: str | None, url: str | None, rows_per_minute: float | None, as_json: bool
) -> None:
    """The smallest change of each column that is seen within 10 minutes, an hour and a day, with a chance of 80 %.

    Numbers in σ of their training values, texts and nulls in points of the share of rows; beside it the PSI and the window that
    sees it. A monitor that asks for API keys is given that of PLUMBLINE_API_KEY.

    \b
    Example:
      plumbline monitor power payments
      plumbline monitor power payments --rows-per-minute 5 --json
    """
    cards = _asked(url or _address(settings), model, rows_per_minute)
    if as_json:
        click.echo(msgspec.json.encode(cards).decode())
        return
    console = Console(soft_wrap=True)
    if not cards:
        console.print("no version with a baseline is counted")
    for card in cards:
        _show(console, card)


def _address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # a comparison, nothing is bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _asked(url: str, model: str | None, rows_per_minute: float | None) -> list[PowerCard]:
    asked = {"model": model, "rows_per_minute": rows_per_minute}
    try:
        params = {name: value for name, value in asked.items() if value is not None}
        headers = {"x-api-key": key} if (key := os.environ.get(API_KEY)) else {}
        answer = httpx.get(f"{url}/api/power", params=params, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=list[PowerCard])
    except (httpx.HTTPError, httpx.InvalidURL, *UNDECODABLE) as error:
        click.echo(f"{url}/api/power: {error}; expected a monitor that answers (`plumbline monitor`)", err=True)
        raise SystemExit(COULD_NOT) from error


def _show(console: Console, card: PowerCard) -> None:
    console.print(f"[bold]{escape(f'{card.model}:{card.version}')}[/] at {card.rows_per_minute:,.3g} rows a minute")
    table = Table("column", "change", *(_NAMES[seconds] for seconds in HORIZONS_S), box=None)
    for one in card.columns:
        table.add_row(escape(one.column), one.unit.value, *(_cell(one.unit, within) for within in one.within))
    console.print(table)
    for why in sorted({within.why for one in card.columns for within in one.within if within.why}):
        console.print(f"  not within: {why}", markup=False)


def _cell(unit: Change, within: Within) -> str:
    if within.amount is None:
        return "not within"
    amount = f"{within.amount:.2g} σ" if unit is Change.SHIFT else f"{100 * within.amount:.2g} points"
    return f"{amount} (PSI {within.psi:.2g}, {_duration(within.window_s or 0)})"


def _duration(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:g} h"
