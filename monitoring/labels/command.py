"""`plumbline monitor labels`: how good the models are by their labels, as the running monitor knows it.

Exit codes: 0 done, 3 it could not do it: no monitor answers.
"""

import os

import click
import httpx
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.errors import UNDECODABLE
from monitoring.labels.measures import Measure
from monitoring.labels.said import LabelsSaid, NotAsked, VersionLabels, WindowSaid

TIMEOUT_S = 5.0
API_KEY = "PLUMBLINE_API_KEY"  # no setting: the key, of the scope `read`, for a monitor that lets nobody in without one
COULD_NOT = 3
DAY_S, HOUR_S = 86_400, 3_600


def show(address: str, model: str | None, *, as_json: bool) -> None:
    """Asks the monitor at this address and prints what it says. Raises SystemExit."""
    said = _asked(address, model)
    if as_json:
        click.echo(msgspec.json.encode(said).decode())
        return
    _tell(Console(soft_wrap=True), said)


def _tell(console: Console, said: LabelsSaid) -> None:
    for one in said.versions:
        _show(console, one)
    for left_out in said.not_asked:
        console.print(f"{_name(left_out)}: labels are not looked at: {escape(left_out.why)}", highlight=False)
    if not said.versions and not said.not_asked:
        console.print("no version has answered a request")
    fates = ", ".join(f"{n} {escape(name)}" for name, n in said.counters.items() if name != "received" and n)
    console.print(f"labels received: {said.counters.get('received', 0)}{f' ({fates})' if fates else ''}")


def _asked(url: str, model: str | None) -> LabelsSaid:
    try:
        params = {} if model is None else {"model": model}
        headers = {"x-api-key": key} if (key := os.environ.get(API_KEY)) else {}
        answer = httpx.get(f"{url}/api/labels", params=params, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=LabelsSaid)
    except (httpx.HTTPError, httpx.InvalidURL, *UNDECODABLE) as error:
        click.echo(f"{url}/api/labels: {error}; expected a monitor that answers (`plumbline monitor`)", err=True)
        raise SystemExit(COULD_NOT) from error


def _show(console: Console, told: VersionLabels) -> None:
    console.print(
        f"{_name(told)}: {told.task}, {escape(told.output)}"
        f"{f' of {escape(told.positive)}' if told.positive is not None else ''}; held against {_reference(told)}; "
        f"loss: {_alarm(told.alarm_loss, told.evidence_loss, told.evidence_needed_loss)}, "
        f"estimate: {_alarm(told.alarm_estimate, told.evidence_estimate, told.evidence_needed_estimate)}",
        highlight=False,
    )
    table = Table("window", "rows", "labelled", "delay p50, p90", "measure", "realised", "estimated", box=None)
    for window in told.windows:
        for place, measure in enumerate(window.measures):
            head = _head(window) if not place else ("", "", "", "")
            table.add_row(*head, measure.name, _realised(measure), _estimated(measure, told))
    console.print(table)


def _name(one: VersionLabels | NotAsked) -> str:
    return f"[bold]{escape(one.model)}[/] {escape(one.version)}"


def _reference(told: VersionLabels) -> str:
    if told.reference == "learning":
        return f"nothing yet: {told.reference_rows} of {told.reference_rows_needed} labelled rows seen"
    source = "held-out rows" if told.reference == "held_out" else "its own first labelled rows"
    return f"{told.reference_rows} {source}, loss {told.reference_loss:.4g}"


def _alarm(stands: bool, evidence: float | None, needed: float) -> str:
    if stands:
        return "[bold red]alarm[/]"
    return f"{max(0.0, (evidence or 0.0) / needed):.0%} of an alarm's evidence"


def _head(window: WindowSaid) -> tuple[str, str, str, str]:
    share = "-" if window.labelled_share is None else f"{window.labelled_share:.0%}"
    delays = (window.delay_s["p50"], window.delay_s["p90"])
    return (
        f"{window.window_s // DAY_S} d",
        str(window.rows),
        f"{window.labelled} ({share})",
        ", ".join(map(_delay, delays)),
    )


def _delay(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds / DAY_S:.3g} d" if seconds >= DAY_S else f"{seconds / HOUR_S:.3g} h"


def _realised(measure: Measure) -> str:
    if measure.realised is None:
        return "-"
    if measure.noise is not None:
        return f"{measure.realised:.4g} (chance alone {measure.noise:.2g})"
    return f"{measure.realised:.4g} ({_interval(measure.low, measure.high)})"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.4g} … {high:.4g}"


def _estimated(measure: Measure, told: VersionLabels) -> str:
    if measure.estimated is None:
        return "-"
    flattered = " (from training rows)" if told.estimate_from == "training" else ""
    return f"{measure.estimated:.4g}{flattered}"
