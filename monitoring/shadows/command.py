"""`plumbline shadows …`: how shadows compare with the answers that were given, as the running monitor knows it.

Exit codes: 0 done, 2 used wrongly, 3 it could not do it: no monitor answers.
"""

import os
from pathlib import Path

import click
import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from models.errors import UNDECODABLE
from monitoring.cli import COULD_NOT, USED_WRONGLY
from monitoring.errors import SettingsInvalid
from monitoring.settings import HOME, load
from monitoring.shadows.said import ShadowSaid, ShadowsSaid

TIMEOUT_S = 5.0
API_KEY = "PLUMBLINE_API_KEY"  # no setting: the key, of the scope `read`, for a monitor that lets nobody in without one
WORST_SHOWN = 5
_SAID = {
    "no_answer": "its answer was not in the log any more, or too long ago",
    "erased": "rows of it were erased",
    "nameless": "the log has lost which version it was",
}


@click.group()
def shadows() -> None:
    """How shadows compare with the answers that were given."""


@shadows.command()
@click.argument("model", required=False)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    envvar="PLUMBLINE_HOME",
    show_default=True,
    help="Directory whose plumbline.toml says where the monitor listens.",
)
@click.option("--monitor", "url", help="Address of the monitor, such as http://127.0.0.1:3001, in place of that.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def status(model: str | None, home: Path, url: str | None, as_json: bool) -> None:
    """Agreement, differences, latency and drift of every shadow, or of those of one MODEL, over the shadow window.

    A monitor that asks for API keys is given that of PLUMBLINE_API_KEY.

    \b
    plumbline shadows status payments
    """
    said = _asked(url or _address(home), model)
    if as_json:
        click.echo(msgspec.json.encode(said).decode())
        return
    console = Console(soft_wrap=True)
    if not said.compared:
        console.print("no shadow has answered a request in the window")
    for one in said.compared:
        _show(console, one)
    for found in said.unpaired:
        why = _SAID.get(found.reason, found.reason)
        console.print(f"{found.model} {found.shadow}: {found.n} answers compared with nothing: {why}")


def _address(home: Path) -> str:
    try:
        settings = load(home)
    except SettingsInvalid as error:
        click.echo(str(error), err=True)
        raise SystemExit(USED_WRONGLY) from error
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # a comparison, nothing is bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _asked(url: str, model: str | None) -> ShadowsSaid:
    try:
        params = {} if model is None else {"model": model}
        headers = {"x-api-key": key} if (key := os.environ.get(API_KEY)) else {}
        answer = httpx.get(f"{url}/api/shadows", params=params, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=ShadowsSaid)
    except (httpx.HTTPError, httpx.InvalidURL, *UNDECODABLE) as error:
        click.echo(f"{url}/api/shadows: {error}; expected a monitor that answers (`plumbline monitor`)", err=True)
        raise SystemExit(COULD_NOT) from error


def _show(console: Console, told: ShadowSaid) -> None:
    latency = {name: "-" if ms is None else f"{ms:+.3g}" for name, ms in told.latency_ms.items()}
    console.print(
        f"[bold]{told.model}[/]: shadow {told.shadow} beside {told.version}, {told.requests} requests, {told.rows} rows in "
        f"{told.covered_s} s; {told.failed} failed, {told.misfit} do not fit; "
        f"ms in the runtime p50 {latency['p50']}, p95 {latency['p95']}, p99 {latency['p99']}"
    )
    table = Table(
        "output", "agree", "same bits", "one side only", "mean difference", "p99 of its size", "drift", box=None
    )
    for output in told.outputs:
        apart = output.difference
        mean = f"{_n(apart.mean)} ({_n(apart.mean_low)} … {_n(apart.mean_high)})" if apart else "-"
        drift = f"{_n(output.drift)} ({_n(output.drift_low)} … {_n(output.drift_high)})"
        shares = (_share(output.agreement), _share(output.equal), str(output.unlike))
        table.add_row(output.output, *shares, mean, _n(apart.size_p99) if apart else "-", drift)
    console.print(table)
    for worst in told.worst[:WORST_SHOWN]:
        console.print(
            f"  {worst['request_id']} row {worst['row']}: {worst['output']} {worst['given']} → {worst['shadow']}",
            markup=False,
        )


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
