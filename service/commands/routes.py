"""`plumbline routes …`: who answers whom, who changed it, and is the record of that whole?"""

from pathlib import Path

import click
import msgspec
from msgspec import UNSET

from service.commands.output import FOUND_FAULT, home_option, json_option, say_rows, settings_of, speaks_plainly
from service.commands.route_orders import changes
from service.errors import RoutesInvalid
from service.routes_audit import Entry, breaks
from service.routes_change import Abort, CanaryChange, Promote, Rollback, SetCanary, SetRoutes
from service.routes_document import ModelRoutes, Routes, ShadowEntry
from service.routes_file import RoutesFile

HISTORY_SHOWN = 20


@click.group()
def routes() -> None:
    """Show and change which versions answer."""


@routes.command()
@home_option
@json_option
@speaks_plainly
def show(home: Path | None, as_json: bool) -> None:
    """The routes as they stand.

    \b
    plumbline routes show
    """
    document = RoutesFile(settings_of(home).routes_path).read()
    if as_json:
        click.echo(msgspec.json.encode(document).decode())
        return
    click.echo(f"generation {document.generation}")
    say_rows([{"model": m, **_row(entry)} for m, entry in sorted(document.models.items())], as_json=False)


def _row(entry: ModelRoutes) -> dict[str, str]:
    return {
        "stable": entry.stable,
        "canary": f"{entry.canary.version} at {entry.canary.percent:g} %" if entry.canary else "-",
        "shadows": ", ".join(f"{s.version} at {s.sample:g} %" for s in entry.shadows) or "-",
        "key": entry.key or "each request",
    }


@routes.command("set")
@changes
@click.option("--stable", help="Version that answers.")
@click.option("--canary", help="Version that answers a share.")
@click.option("--percent", type=click.FloatRange(0, 100), help="Share of the canary.")
@click.option("--no-canary", is_flag=True, help="Remove the canary.")
@click.option("--shadow", "shadows", multiple=True, metavar="VERSION[=PERCENT]", help="Version that answers nobody.")
@click.option("--no-shadows", is_flag=True, help="Remove all shadows.")
@click.option("--key", help="What keeps a caller on one version: header:NAME or feature:NAME.")
def set_(
    model: str,
    *,
    stable: str | None,
    canary: str | None,
    percent: float | None,
    no_canary: bool,
    shadows: tuple[str, ...],
    no_shadows: bool,
    key: str | None,
) -> SetRoutes:
    """Change the routes of one model; what is not named stays.

    \b
    plumbline routes set payments --canary 2 --percent 5 --key header:x-customer-id
    """
    share = UNSET if canary is None and percent is None else CanaryChange(version=canary, percent=percent)
    return SetRoutes(
        stable=UNSET if stable is None else stable,
        canary=None if no_canary else share,
        shadows=() if no_shadows else tuple(_shadow(s) for s in shadows) or UNSET,
        key=UNSET if key is None else key,
    )


def _shadow(text: str) -> ShadowEntry:
    version, _, sample = text.partition("=")
    try:
        return ShadowEntry(version, float(sample or 100))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}, expected VERSION or VERSION=PERCENT") from error


@routes.command()
@changes
@click.argument("version")
@click.argument("percent", type=click.FloatRange(0, 100))
def canary(model: str, *, version: str, percent: float) -> SetCanary:
    """Give a version a share of the requests.

    \b
    plumbline routes canary payments 2 5
    """
    return SetCanary(version=version, percent=percent)


@routes.command()
@changes
def promote(model: str) -> Promote:
    """Make the canary stable.

    \b
    plumbline routes promote payments
    """
    return Promote()


@routes.command()
@changes
def abort(model: str) -> Abort:
    """Take the canary out; stable answers everything. Waits for nothing.

    \b
    plumbline routes abort payments
    """
    return Abort()


@routes.command()
@changes
@click.option("--to", help="Version to go back to.")
def rollback(model: str, *, to: str | None) -> Rollback:
    """Take the canary out; without one, back to the version that was stable before. Waits for nothing.

    \b
    plumbline routes rollback payments
    """
    return Rollback(to=to)


@routes.command()
@click.argument("model", required=False)
@click.option("--last", default=HISTORY_SHOWN, show_default=True, type=click.IntRange(1), help="How many changes.")
@home_option
@json_option
@speaks_plainly
def history(model: str | None, last: int, home: Path | None, as_json: bool) -> None:
    """Who changed what, newest last.

    \b
    plumbline routes history payments
    """
    found = [chained.entry for chained in RoutesFile(settings_of(home).routes_path).entries()]
    chosen = [entry for entry in found if model is None or model in entry.after][-last:]
    if as_json:
        click.echo(msgspec.json.encode(chosen).decode())
        return
    click.echo("\n".join(_change(entry, model) for entry in chosen) or "nothing was changed yet")


def _change(entry: Entry, model: str | None) -> str:
    named = [model] if model else list(entry.after)
    what = "; ".join(f"{name} {_differences(entry.before.get(name), entry.after.get(name))}" for name in named)
    by, why = f" {entry.by}" if entry.by else "", f" ({entry.why})" if entry.why else ""
    key = f" [{entry.key}]" if entry.key else ""
    return f"{entry.generation}  {entry.at}  {entry.via}{by}{key}: {what or 'nothing'}{why}"


def _differences(before: ModelRoutes | None, after: ModelRoutes | None) -> str:
    if after is None:
        return "no longer routed"
    old, new = _row(before) if before else {}, _row(after)
    return ", ".join(
        f"{key} {old.get(key, '-')} -> {value}" for key, value in new.items() if value != old.get(key, "-")
    )


@routes.command()
@home_option
@json_option
@speaks_plainly
def verify(home: Path | None, as_json: bool) -> None:
    """Hold the audit log against itself and the routes in use; exit code 1 where a line was changed, is missing or was cut.

    \b
    plumbline routes verify
    """
    file = RoutesFile(settings_of(home).routes_path)
    try:
        document, unread = file.read(), ""
    except RoutesInvalid as error:
        document, unread = Routes(), str(error)
    found = list(breaks(file.audit.lines(), document))
    _, torn_bytes = file.audit.newest()
    entries = file.entries()
    told = {
        "entries": len(entries),
        "head": entries[-1].hash if entries else "",
        "breaks": msgspec.to_builtins(found),
        "torn_bytes": torn_bytes,
        "entered": bool(entries) and entries[-1].entry.document == document.digest,
        "unread": unread,
        "ok": not found,
    }
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo(_verdict(told))
    if found:
        raise SystemExit(FOUND_FAULT)


def _verdict(told: dict[str, object]) -> str:
    lines = [f"{told['entries']} entries, head {told['head'] or '-'}: {'whole' if told['ok'] else 'NOT whole'}"]
    breaks_told = told["breaks"]
    assert isinstance(breaks_told, list)
    lines += [f"  line {one['line']}: {one['problem']}" for one in breaks_told]
    if told["torn_bytes"]:
        lines.append(
            f"  {told['torn_bytes']} bytes of an entry that was not completed stand at the end; its change was not made"
        )
    if told["unread"]:
        lines.append(f"  {told['unread']}")
    elif not told["entered"] and told["entries"]:
        lines.append("  the routes in use were changed by hand; the service, or the next change, enters that")
    return "\n".join(lines)
