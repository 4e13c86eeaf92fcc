"""`plumbline log replay`: recorded inputs through a version, compared with what was answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import duckdb

from models.baseline import Baseline, ColumnBaseline
from models.contract import Contract
from models.errors import ArtifactMissing, ModelError
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import BASELINE, CONTRACT
from models.pool import Pool
from models.registry import Registry
from service.commands.log_export import conditions_of
from service.commands.log_options import from_option, to_option, while_listened_to
from service.commands.log_query import ROWS_A_BATCH, asked_plainly, tell_gaps
from service.commands.output import (
    CANNOT,
    FOUND_FAULT,
    home_option,
    json_option,
    say,
    say_rows,
    settings_of,
    speaks_plainly,
)
from service.comparison import Comparison
from service.featurelog.columns import REQUESTS
from service.featurelog.snapshot import Source
from service.featurelog.view import database, rows_of
from service.replay import KEY_COLUMNS, Replay, Replayed
from service.replay_plan import ABOUT, Reason, Refused, plan
from service.served import ServedVersion
from service.sources import registry_of
from service.trying import trials_of

NO_KEY = b"no record is written here"  # a version that hashes features asks for a key; replay writes nothing


# Rows that a request was asked and that are no longer there; its others still say how many there were.
_ERASED = """SELECT coalesce(sum(asked - present), 0) FROM (
    SELECT max("rows") AS asked, count(*) AS present FROM {rows}
    WHERE outcome = 'answered' AND "row" >= 0 AND {where} GROUP BY writer, epoch, seq)"""


class Chosen(NamedTuple):
    """Conditions of SQL and their parameters; `whole`: they never divide a request."""

    conditions: list[str]
    given: list[Any]
    whole: bool


@click.command()
@click.option("--model", required=True, help="Whose recorded inputs.")
@click.option("--version", required=True, help="The pinned version that is asked.")
@click.option(
    "--answered-by", help="Only what this version answered; otherwise every version's rows, each reported apart."
)
@from_option
@to_option
@click.option("--where", help="Only rows that fulfil a condition of SQL.")
@click.option("--sample", type=click.IntRange(min=1), help="So many requests, chosen by the hash of their identity.")
@click.option(
    "--by", help="Divide by a feature, or a column such as arm: numbers on the bins of the version's baseline."
)
@home_option
@json_option
@speaks_plainly
def replay(
    model: str,
    version: str,
    answered_by: str | None,
    from_us: int | None,
    to_us: int | None,
    where: str | None,
    sample: int | None,
    by: str | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Ask a pinned version what was asked before, and compare with what was answered.

    The version that gave the answer must give it again bit for bit (exit code 1 if not); of others the differences are told.

    \b
    plumbline log replay --model payments --version 1 --from -1d
    plumbline log replay --model payments --version 2 --sample 10000 --by country
    """
    settings = settings_of(home)
    pin = LockFile(settings.lock_path).read().find(model, version)
    if pin is None:
        raise ArtifactMissing(f"{model}:{version}", str(settings.lock_path))
    registry = registry_of(settings)
    served = ServedVersion(Pool(registry, threads=settings.model_threads, trials=trials_of(settings)).load(pin), NO_KEY)
    conditions, given = conditions_of(REQUESTS, from_us=from_us, to_us=to_us, where=where)
    with asked_plainly(), database(settings.home, model=model) as (connection, found):
        tell_gaps(found, model)
        sources = [s for s in found.sources if s.table == REQUESTS and answered_by in (None, s.version)]
        if sample is not None:
            _choose(connection, sample, conditions, given)
            conditions = [*conditions, "(writer, epoch, seq) IN (SELECT writer, epoch, seq FROM chosen)"]
        done = list(
            _replayed(
                connection, registry, served, sources, Chosen(conditions, given, where is None and sample is None), by
            )
        )
    if by is not None and done and not any(one.comparison.segments for one in done if one.comparison.rows):
        raise click.UsageError(f"--by {by}: no such column among {model}'s, expected a feature")
    _tell(pin, done, as_json)


def _choose(connection: duckdb.DuckDBPyConnection, sample: int, conditions: list[str], given: list[Any]) -> None:
    where = " AND ".join(["outcome = 'answered'", '"row" >= 0', *conditions])
    connection.execute(
        f"CREATE TEMP TABLE chosen AS SELECT writer, epoch, seq FROM requests WHERE {where} "
        f"GROUP BY writer, epoch, seq ORDER BY md5(concat_ws('/', writer, epoch, seq)) LIMIT {sample}",
        given,
    )


def _replayed(
    connection: duckdb.DuckDBPyConnection,
    registry: Registry,
    served: ServedVersion,
    sources: list[Source],
    chosen: Chosen,
    by: str | None,
) -> Iterator[Replayed]:
    """One a recorded version and digest."""
    runner = Replay(served)
    bins = _bins(registry, served.pin, by)
    for source in sources:
        rows = f"({rows_of(source)})"
        where = " AND ".join(["digest = ?", *chosen.conditions])
        digests = connection.execute(
            f"SELECT DISTINCT digest FROM {rows} WHERE digest IS NOT NULL ORDER BY 1"
        ).fetchall()
        for (digest,) in digests:
            given = [digest, *chosen.given]
            found = Replayed(source.version, digest, digest == served.pin.digest, Comparison([]))
            counts = f"""SELECT coalesce(sum("rows") FILTER (outcome = 'answered' AND "row" < 0), 0),
                count(*) FILTER (outcome != 'answered' AND "row" >= 0), count(*) FILTER (outcome = 'answered' AND "row" >= 0)
                FROM {rows} WHERE {where}"""
            ((by_digest, unanswered, answered),) = connection.execute(counts, given).fetchall()
            found.not_replayed.update({Reason.BY_DIGEST_ONLY: int(by_digest), Reason.NO_ANSWER: unanswered})
            if chosen.whole:
                ((erased,),) = connection.execute(_ERASED.format(rows=rows, where=where), given).fetchall()
                found.not_replayed[Reason.ERASED] = int(erased)
            columns = connection.sql(f"FROM {rows}").columns
            way = plan(served.contract, _contract(registry, source, digest, served), columns)
            if isinstance(way, Refused):
                found.not_replayed[way.reason] += answered
                found.refused_column = way.column
            else:
                found.only_recorded, found.only_replayed = way.only_recorded, way.only_replayed
                found.comparison = Comparison([(name, kind) for name, kind, _ in way.outputs])
                place = next((c for c in columns if c == by), None)
                names = dict.fromkeys(
                    [*KEY_COLUMNS, *way.features, *(o[2] for o in way.outputs), *([place] if place else [])]
                )
                listed = ", ".join(_quoted(name) for name in names)
                sql = f"SELECT {listed} FROM {rows} WHERE outcome = 'answered' AND \"row\" >= 0 AND {where}"
                runner.run(connection.sql(sql, params=given).to_arrow_reader(ROWS_A_BATCH), way, found, place, bins)
            yield found


def _contract(registry: Registry, source: Source, digest: str, served: ServedVersion) -> Contract:
    """Of the version that answered; where its bytes are gone, it is taken to be as the one that is asked."""
    try:
        return Contract.decode(registry.read_files(digest, f"{source.model}:{source.version}")[CONTRACT])
    except ModelError:
        return served.contract


def _bins(registry: Registry, pin: Pin, by: str | None) -> ColumnBaseline | None:
    data = registry.read_files(pin.digest, pin.ref).get(BASELINE)
    columns = () if data is None or by is None else Baseline.decode(data).features
    return next((column for column in columns if column.name == by), None)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _tell(pin: Pin, done: list[Replayed], as_json: bool) -> None:
    broken = [
        one
        for one in done
        if one.is_same and (one.comparison.rows != one.comparison.equal or one.not_replayed[Reason.RUN_FAILED])
    ]
    with while_listened_to():
        _print(pin, done, as_json)
    if broken:
        raise SystemExit(FOUND_FAULT)
    if not any(one.comparison.rows for one in done):
        click.echo(
            f"plumbline: no recorded row of {pin.name} could be compared with {pin.ref}, expected at least one",
            err=True,
        )
        raise SystemExit(CANNOT)


def _print(pin: Pin, done: list[Replayed], as_json: bool) -> None:
    if as_json:
        report = {
            "model": pin.name,
            "version": pin.version,
            "digest": pin.digest,
            "recorded": [_as_json(one) for one in done],
        }
        say(report, as_json=True, text="")
    else:
        for one in done:
            _tell_one(pin, one)


def _as_json(one: Replayed) -> dict[str, Any]:
    return {
        "version": one.version,
        "digest": one.digest,
        "same": one.is_same,
        "equal_alone": one.equal_alone,
        **one.comparison.as_json(),
        "not_replayed": {reason.value: n for reason, n in one.not_replayed.items() if n},
        "outputs_only_recorded": list(one.only_recorded),
        "outputs_only_replayed": list(one.only_replayed),
    }


def _tell_one(pin: Pin, one: Replayed) -> None:
    told = one.comparison.as_json()
    relation = "the same bytes: must be equal" if one.is_same else "other bytes"
    click.echo(f"answered by {pin.name}:{one.version} ({relation}), asked again of {pin.ref}")
    click.echo(
        f"  {told['equal']} of {told['rows']} rows equal"
        + (f", {one.equal_alone} of them when run alone" if one.equal_alone else "")
    )
    for reason, n in one.not_replayed.items():
        if n:
            click.echo(
                f"  {n} rows not replayed: they {ABOUT[reason]}"
                + (f" ({one.refused_column})" if one.refused_column else "")
            )
    if told["rows"]:
        click.echo()
        say_rows([_output_row(output) for output in told["outputs"]], as_json=False)
    for title, rows in (
        ("segments", [_segment_row(segment) for segment in told["segments"]]),
        ("worst rows", [{name: _short(value) for name, value in row.items()} for row in told["worst"]]),
    ):
        if rows:
            click.echo(f"\n{title}")
            say_rows(rows, as_json=False)
    click.echo()


def _segment_row(segment: dict[str, Any]) -> dict[str, Any]:
    """Of a class the share that agrees, of a number how far nine of ten rows lie apart at most."""
    outputs = {
        name: f"≤ {_short(one['difference']['p90'])}" if "difference" in one else f"{one['agreement']:.2%}"
        for name, one in segment["outputs"].items()
    }
    return {"segment": segment["segment"], "rows": segment["rows"], **outputs}


def _short(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _output_row(output: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: "" if value is None else f"{value:.3g}" for name, value in output.get("difference", {}).items()}
    changes = ", ".join(f"{change}: {n}" for change, n in list(output.get("changes", {}).items())[:5])
    empty = dict.fromkeys(("p50", "p90", "p99", "max"), "")
    return {
        "output": output["output"],
        "agreement": f"{output['agreement']:.4%}",
        **(numbers or empty),
        "changes": changes,
    }
