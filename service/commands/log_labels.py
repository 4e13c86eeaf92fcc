"""`plumbline log labels`: which predictions have their label, and which labels no prediction."""

from pathlib import Path
from typing import Any

import click

from service.commands.log_options import from_option, model_option, to_option
from service.commands.log_query import asked_plainly, tell_gaps
from service.commands.output import home_option, json_option, say, say_rows, settings_of, speaks_plainly
from service.featurelog.labels import BY_VERSION, TOTALS, LabelReport, VersionLabels, report
from service.featurelog.view import database

_ABOUT = {
    "no_such_request": "name a request that is not in the log",
    "not_answered": "name a request that was not answered",
    "no_such_row": "name a row that their request does not have",
    "no_values": "belong to requests logged by digest only",
}


@click.command()
@model_option
@from_option
@to_option
@home_option
@json_option
@speaks_plainly
def labels(model: str | None, from_us: int | None, to_us: int | None, home: Path | None, as_json: bool) -> None:
    """What became of every label that was sent, and how many predictions have theirs.

    --model, --from and --to choose predictions by when they were asked; the totals are of all labels.

    \b
    plumbline log labels --from -30d
    """
    with asked_plainly(), database(settings_of(home).home) as (connection, snapshot):
        tell_gaps(snapshot)
        where, given = _chosen(model, from_us, to_us)
        versions = connection.execute(BY_VERSION.format(where=where), given).fetchall()
        found = report(connection.execute(TOTALS).fetchall(), versions)
    if as_json:
        say(found.as_json(), as_json=True, text="")
        return
    for line in _sentences(found):
        click.echo(line)
    say_rows([_row(one) for one in found.versions], as_json=False)


def _chosen(model: str | None, from_us: int | None, to_us: int | None) -> tuple[str, list[Any]]:
    given = [("model = ?", model), ("epoch_us(r.arrived_at) >= ?", from_us), ("epoch_us(r.arrived_at) < ?", to_us)]
    chosen = [(clause, value) for clause, value in given if value is not None]
    return " AND ".join(["true", *(clause for clause, _ in chosen)]), [value for _, value in chosen]


def _sentences(found: LabelReport) -> list[str]:
    unknown = sum(found.unknown.values())
    return [
        f"received {found.received} = joined {found.joined} + unknown {unknown} "
        f"+ duplicate {found.duplicate} + changed {found.changed}",
        *(f"  {n} {_ABOUT[fate]}" for fate, n in found.unknown.items()),
        *([f"  {found.repeated} belong to a request id that was used more than once"] if found.repeated else []),
        "",
    ]


def _row(one: VersionLabels) -> dict[str, object]:
    return {
        "model": one.model,
        "version": one.version,
        "answered": one.answered,
        "labelled": f"{one.share:.1%}",
        "waiting": one.waiting,
        "unknowable": one.unknowable,
        "median delay": "" if one.delay_s is None else f"{one.delay_s:.0f} s",
    }
