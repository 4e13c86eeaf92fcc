"""`plumbline log explain EVENT`: what an incident did to the answers, and what gives its rows away.

`plumbline monitor explain` is this command: the monitor starts without the runtime that it needs.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from models.contract import Column, Kind
from models.durable import replace_durably
from models.errors import ArtifactMissing
from models.lock import Pin
from models.lock_file import LockFile
from models.pool import Pool
from service.commands.log_query import asked_plainly, tell_gaps
from service.commands.output import home_option, json_option, say, say_rows, settings_of, speaks_plainly
from service.domain import Told, tell_apart
from service.featurelog.view import database
from service.put_back import Moved, Undo, answers, moved, restored
from service.replay_plan import ABOUT, Refused, plan, readable
from service.rows import Row
from service.served import ServedVersion
from service.settings import Settings
from service.sources import registry_of
from service.trying import trials_of

NO_KEY = b"no record is written here"
SAMPLE_MAX = 2000  # rows of each side: an AUC is then known to ± 0.02
EXAMPLES_MAX = 5
EXPLAINED = "explained"


class Sample(NamedTuple):
    """Rows of the log in the order of the contract, and the ids of their requests."""

    rows: list[Row]
    ids: list[str]


@click.command()
@click.argument("event_id")
@click.option(
    "--sample", type=click.IntRange(min=100), default=SAMPLE_MAX, show_default=True, help="Rows of each side."
)
@click.option("--nice", type=click.IntRange(0, 19), default=0, help="How far the process stands back.")
@home_option
@json_option
@speaks_plainly
def explain(event_id: str, sample: int, nice: int, home: Path | None, as_json: bool) -> None:
    """How far an incident moves the predictions, and what tells its rows from those before it.

    Reads the event from the monitor's outbox and its rows from the log, asks the version again with each changed column put
    back, and writes what it finds to monitor/explained/<event>.json as well.

    \b
    plumbline log explain evt_1f0c…
    """
    os.nice(nice)
    settings = settings_of(home)
    data = _event(settings.home, event_id)["data"]
    pin, served = _served(settings, data)
    with asked_plainly(), database(settings.home, model=pin.name) as (connection, found):
        tell_gaps(found, pin.name)
        report = _report(connection, served, data, sample)
    report = {"event": event_id, "model": pin.name, "version": pin.version, "digest": pin.digest, **report}
    target = settings.home / "monitor" / EXPLAINED / f"{event_id}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(target, msgspec.json.encode(report) + b"\n")
    _print(report, as_json)


def _event(home: Path, event_id: str) -> dict[str, Any]:
    """Raises UsageError where there is none."""
    outbox = home / "monitor" / "outbox"
    for path in (outbox / f"{event_id}.json", outbox / "delivered" / f"{event_id}.json"):
        if event_id.isidentifier() and path.is_file():
            event: dict[str, Any] = msgspec.json.decode(path.read_bytes())
            if "window" not in event["data"]:
                raise click.UsageError(f"{event_id}: an event of {event['type']}, expected one that begins an incident")
            return event
    raise click.UsageError(
        f"{event_id[:64]!r}: no such event in {outbox}, expected one that waits or was delivered lately"
    )


def _served(settings: Settings, data: dict[str, Any]) -> tuple[Pin, ServedVersion]:
    ref = f"{data['model']}:{data['version']}"
    pin = LockFile(settings.lock_path).read().find(data["model"], data["version"])
    if pin is None or pin.digest != data["digest"]:
        raise ArtifactMissing(ref, str(settings.lock_path))
    pool = Pool(registry_of(settings), threads=settings.model_threads, trials=trials_of(settings))
    return pin, ServedVersion(pool.load(pin), NO_KEY)


def _report(
    connection: duckdb.DuckDBPyConnection, served: ServedVersion, data: dict[str, Any], sample: int
) -> dict[str, Any]:
    story = data.get("story") or {}
    columns = [row[0] for row in connection.execute("DESCRIBE requests").fetchall()]
    way, places = plan(served.contract, served.contract, columns), readable(served.contract, columns)
    why_not = {"not_replayed": f"the rows {ABOUT[way.reason]} ({way.column})"} if isinstance(way, Refused) else {}
    features = [column for column in served.contract.features if column.name in places]
    if not features:
        return {**why_not, "story": story.get("sentence")}
    begin, end = _borders(data)
    after = _rows(connection, [*places.values()], data["digest"], begin[1], end, sample)
    before = _rows(connection, [*places.values()], data["digest"], None, begin[0], sample)
    told = tell_apart(
        [column.name for column in features],
        [column.kind is Kind.STRING for column in features],
        *_numbers(features, before.rows, after.rows),
    )
    unread = [column.name for column in served.contract.features if column.name not in places]
    return {
        "story": story.get("sentence"),
        "rows": {"before": len(before.rows), "after": len(after.rows)},
        **why_not,
        "put_back": [] if why_not else _put_back(served, story, before.rows, after.rows),
        "domain": None if told is None else _domain(told, unread),
        "examples": [one["request_id"] for one in story.get("examples", ())] or after.ids[:EXAMPLES_MAX],
    }


def _borders(data: dict[str, Any]) -> tuple[tuple[int, int], int]:
    """Between the last minute that is surely before the change and the first that is surely after it, and the end; µs."""
    window = {name: int(datetime.fromisoformat(data["window"][name]).timestamp()) for name in ("from", "to")}
    since = (data.get("story") or {}).get("since")
    first = (window["from"], window["from"]) if since is None else (since["earliest_s"], since["at_s"])
    return (first[0] * 1_000_000, first[1] * 1_000_000), window["to"] * 1_000_000


def _rows(
    connection: duckdb.DuckDBPyConnection,
    places: Sequence[str],
    digest: str,
    from_us: int | None,
    to_us: int,
    sample: int,
) -> Sample:
    """The newest rows before `to_us`, or a sample by hash of those since `from_us`."""
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in places)
    where = "outcome = 'answered' AND \"row\" >= 0 AND digest = ? AND epoch_us(arrived_at) < ?"
    given: list[Any] = [digest, to_us]
    order = 'arrived_at DESC, request_id, "row"'
    if from_us is not None:
        where += " AND epoch_us(arrived_at) >= ?"
        given.append(from_us)
        order = "md5(concat_ws('/', request_id, \"row\"))"
    sql = f"SELECT request_id, {names} FROM requests WHERE {where} ORDER BY {order} LIMIT {sample}"
    found = connection.execute(sql, given).fetchall()
    return Sample([tuple(row[1:]) for row in found], [row[0] for row in found])


def _numbers(
    features: Sequence[Column], *sides: Sequence[Row]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both sides as numbers; a text is its place among the most frequent ones of both, the rest one more."""
    columns = [[row[place] for rows in sides for row in rows] for place in range(len(features))]
    coded = [
        _codes(values) if column.kind is Kind.STRING else [np.nan if v is None else float(v) for v in values]
        for column, values in zip(features, columns, strict=True)
    ]
    table = np.array(coded, dtype=np.float64).reshape(len(features), -1).T
    return table[: len(sides[0])], table[len(sides[0]) :]


def _codes(values: Sequence[Any]) -> list[float]:
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    known = sorted((v for v in counts if v is not None), key=lambda v: (-counts[v], v))[:200]
    codes = {value: float(code) for code, value in enumerate(known)}
    return [np.nan if value is None else codes.get(value, 200.0) for value in values]


def _put_back(
    served: ServedVersion, story: dict[str, Any], before: Sequence[Row], after: Sequence[Row]
) -> list[dict[str, Any]]:
    came = answers(served, after)
    found: list[dict[str, Any]] = []
    done: set[str] = set()
    for told in story.get("columns", ()):
        undo = _undo(told, _segment(story, told))
        if told["side"] != "feature" or undo.column in done or undo.column not in served.features or not after:
            continue
        done |= {undo.column, undo.swapped_with}
        back = restored(after, served.contract.features, undo, before)
        how = "swapped back" if undo.swapped_with else "undone" if undo.factor else "drawn from the rows before"
        where = "" if undo.segment is None else f" where {undo.segment[0]} is {undo.segment[1]}"
        if back is None:
            found.append({"column": undo.column, "how": f"not put back: no rows to do so{where}", "outputs": []})
            continue
        effects = moved(served, came, answers(served, back))
        found.append({"column": undo.column, "how": how + where, "outputs": [one._asdict() for one in effects]})
    return found


def _segment(story: dict[str, Any], told: dict[str, Any]) -> tuple[str, str] | None:
    """Of the first column, whose segment it is, and of those that share its cause."""
    segment, first = story.get("segment"), story["columns"][0]
    if segment is None or first["column"] not in (told["column"], told.get("like")):
        return None
    return segment["feature"], segment["value"]


def _undo(told: dict[str, Any], segment: tuple[str, str] | None) -> Undo:
    """Only of what was done to all rows, or all of the segment: of a share of them which are hit is not known one by one."""
    undone = told.get("undo") if told.get("share", 1.0) >= 0.97 else None
    factor, by = undone or (None, 0.0)
    other = told.get("other", "") if told.get("looks") == "swapped" else ""
    return Undo(told["column"], factor, by, other, segment)


def _domain(told: Told, unread: Sequence[str]) -> dict[str, Any]:
    gives_away = [{"column": name, "auc_lost": lost} for name, lost in told.gives_away]
    return {**told._asdict(), "gives_away": gives_away, "unread": list(unread)}


def _print(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(report, as_json=True, text="")
        return
    click.echo(report["story"] or "the event holds no story")
    if "not_replayed" in report:
        click.echo(f"not replayed: {report['not_replayed']}")
    if "rows" not in report:
        return
    click.echo(f"{report['rows']['after']} rows after the change, {report['rows']['before']} before it\n")
    rows = [
        {"column": one["column"], "how": one["how"], **_shown(Moved(**output))}
        for one in report["put_back"]
        for output in one["outputs"]
    ]
    if rows:
        say_rows(rows, as_json=False)
    for one in report["put_back"]:
        if not one["outputs"]:
            click.echo(f"{one['column']}: {one['how']}")
    _print_domain(report["domain"])
    click.echo(f"\nexample requests: {', '.join(report['examples']) or 'none'}")


def _print_domain(domain: dict[str, Any] | None) -> None:
    if domain is None:
        click.echo("\ntoo few rows on one side, or no column with two values, for a classifier to tell them apart")
        return
    click.echo(f"\nrows after it are told from rows before it with an AUC of {domain['auc']:.3f} "
               f"({domain['low']:.3f} – {domain['high']:.3f}), by")  # fmt: skip
    say_rows([one for one in domain["gives_away"][:5] if one["auc_lost"] > 0], as_json=False)
    for word, names in (("hold one value", domain["left_out"]), ("cannot be read in the log", domain["unread"])):
        if names:
            click.echo(f"not asked: {', '.join(names)}, which {word}")


def _shown(one: Moved) -> dict[str, str]:
    return {
        "output": one.output,
        "mean as it came": f"{one.came:.4g}",
        "put back": f"{one.back:.4g}",
        "a row differs by": f"{one.difference_mean:.4g}",
        "p90": f"{one.difference_p90:.4g}",
        "rows that differ": f"{one.changed:.1%}",
    }
