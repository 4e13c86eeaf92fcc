"""`plumbline rollout status|replay`: what the evidence says about a canary. Changes nothing, sends nothing.

Exit codes: 0 done, 1 the canary is to be rolled back, 2 used wrongly (also: the document), 3 it could not do it.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table

from monitoring.cli import COULD_NOT, USED_WRONGLY
from monitoring.errors import MonitorError, RolloutInvalid, SettingsInvalid
from monitoring.events import stamp
from monitoring.moment import Moment
from monitoring.rollout.control import people_of
from monitoring.rollout.decide import findings
from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import Finding, Rollback
from monitoring.rollout.people import words
from monitoring.rollout.reading import Said, document, said
from monitoring.rollout.steering import abort, pause, promote, resume, start
from monitoring.rollout.words import sentence
from monitoring.settings import HOME, Settings, load
from monitoring.window import MINUTE_S
from service.featurelog.errors import FeatureLogError

FOUND_FAULT = 1
T = TypeVar("T")
_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    envvar="PLUMBLINE_HOME",
    show_default=True,
    help="Directory with the log, the registry and rollouts/.",
)
_FROM = click.option(
    "--from", "begin", type=Moment(), help="Of the log; by default `since` of the document, else all that is there."
)
_TO = click.option("--to", "end", type=Moment(), help="End of the last minute; by default the newest closed one.")


@click.group()
def rollout() -> None:
    """What the evidence says about a canary, and what a person says."""


for _command in (start, pause, resume, promote, abort):
    rollout.add_command(_command)


@rollout.command()
@click.argument("model")
@_HOME
@_FROM
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def status(model: str, home: Path, begin: datetime | None, as_json: bool) -> None:
    """What follows now, and what each guard has seen. Exit code 1: the canary is to be rolled back.

    \b
    plumbline rollout status payments
    """
    settings, plan = _opened(home, model)
    paused = people_of(_plainly(lambda: words(home, model))).paused
    last = next(iter(_read(settings, model, plan, begin, None)[-1:]), None)
    seen = [] if last is None or last.watched is None else findings(plan, *last.watched)
    if as_json:
        told: dict[str, object] = {
            "model": model,
            "version": plan.version,
            "paused": paused,
            "minute": None,
            "outcome": None,
            "guards": seen,
        }
        if last is not None:
            told |= {"minute": stamp(last.minute), "outcome": last.outcome}
        click.echo(msgspec.json.encode(told).decode())
    elif last is None:
        click.echo(f"{model}: the log has no closed minute of it")
    else:
        click.echo(f"{model}, canary {plan.version}, after {stamp(last.minute)}: {sentence(last.outcome, plan)}")
        _show(seen)
    if paused and not as_json:
        click.echo(f"{model}: paused, so no share rises before `plumbline rollout resume {model}`")
    if last is not None and isinstance(last.outcome, Rollback):
        raise SystemExit(FOUND_FAULT)


@rollout.command()
@click.argument("model")
@_HOME
@_FROM
@_TO
@click.option("--json", "as_json", is_flag=True, help="One line a minute; the same log gives the same bytes.")
def replay(model: str, home: Path, begin: datetime | None, end: datetime | None, as_json: bool) -> None:
    """What the core says after each minute of a piece of the log; for people only where it changes.

    \b
    plumbline rollout replay payments --from 2026-11-02T10:15:00Z --to 2026-11-02T12:00:00Z
    """
    settings, plan = _opened(home, model)
    before = ""
    for one in _read(settings, model, plan, begin, end):
        if as_json:
            click.echo(msgspec.json.encode({"minute": stamp(one.minute), "outcome": one.outcome}).decode())
        elif (now := type(getattr(one.outcome, "reason", one.outcome)).__name__) != before:
            before = now
            click.echo(f"{stamp(one.minute)}  {sentence(one.outcome, plan)}")


def _opened(home: Path, model: str) -> tuple[Settings, Rollout]:
    return _plainly(lambda: (load(home), document(home, model)))


def _read(settings: Settings, model: str, plan: Rollout, begin: datetime | None, end: datetime | None) -> list[Said]:
    return _plainly(lambda: list(said(settings, model, plan, from_minute=_minute(begin), to_minute=_minute(end))))


def _plainly(ask: Callable[[], T]) -> T:
    """Our own errors become one sentence on stderr and an exit code."""
    try:
        return ask()
    except (RolloutInvalid, SettingsInvalid) as error:
        click.echo(str(error), err=True)
        raise SystemExit(USED_WRONGLY) from error
    except (MonitorError, FeatureLogError, OSError) as error:
        click.echo(str(error), err=True)
        raise SystemExit(COULD_NOT) from error


def _minute(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp()) // MINUTE_S


def _show(seen: list[Finding]) -> None:
    table = Table(
        "guard",
        "compared",
        "canary",
        "stable",
        "may be above by",
        "evidence",
        "rolled back at",
        box=None,
        pad_edge=False,
    )
    for one in seen:
        shares = (f"{one.canary:.2%} of {one.canary_n}", f"{one.stable:.2%} of {one.stable_n}", f"{one.margin:.2%}")
        table.add_row(one.guard, one.what, *shares, f"10^{one.log10_evidence:.1f}", f"10^{one.log10_needed:.1f}")
    Console(soft_wrap=True).print(table)
