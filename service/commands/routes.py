"""`plumbline routes …`: who answers whom."""

from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from models.lock_file import LockFile
from service.commands.output import home_option, json_option, say, say_rows, settings_of, speaks_plainly
from service.errors import RoutesInvalid
from service.routes_document import CanaryEntry, ModelRoutes, Routes, ShadowEntry
from service.routes_file import RoutesFile


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
    say_rows([_row(model, entry) for model, entry in sorted(document.models.items())], as_json=False)


def _row(model: str, entry: ModelRoutes) -> dict[str, str]:
    return {
        "model": model,
        "stable": entry.stable,
        "canary": f"{entry.canary.version} at {entry.canary.percent:g} %" if entry.canary else "-",
        "shadows": ", ".join(f"{s.version} at {s.sample:g} %" for s in entry.shadows) or "-",
        "key": entry.key or "each request",
    }


@routes.command("set")
@click.argument("model")
@click.option("--stable", help="Version that answers.")
@click.option("--canary", help="Version that answers a share.")
@click.option("--percent", type=click.FloatRange(0, 100), help="Share of the canary.")
@click.option("--no-canary", is_flag=True, help="Remove the canary.")
@click.option("--shadow", "shadows", multiple=True, metavar="VERSION[=PERCENT]", help="Version that answers nobody.")
@click.option("--no-shadows", is_flag=True, help="Remove all shadows.")
@click.option("--key", help="What keeps a caller on one version: header:NAME or feature:NAME.")
@click.option("--generation", type=int, help="Change only when this is still the present generation.")
@home_option
@json_option
@speaks_plainly
def set_(
    model: str,
    stable: str | None,
    canary: str | None,
    percent: float | None,
    no_canary: bool,
    shadows: tuple[str, ...],
    no_shadows: bool,
    key: str | None,
    generation: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Change the routes of one model; what is not named stays.

    \b
    plumbline routes set payments --canary 2 --percent 5 --key header:x-customer-id
    """
    settings = settings_of(home)
    file = RoutesFile(settings.routes_path)
    present = file.read()
    entry = present.models.get(model)
    if entry is None:
        if stable is None:
            raise RoutesInvalid(model, "no routes and no --stable", "--stable VERSION for a model's first route")
        entry = ModelRoutes(stable=stable)
    entry = replace(
        entry,
        stable=stable or entry.stable,
        key=key or entry.key,
        canary=None if no_canary else _canary(entry, canary, percent),
        shadows=() if no_shadows else tuple(_shadow(s) for s in shadows) or entry.shadows,
    )
    _pinned(LockFile(settings.lock_path), model, entry)
    _swap(file, present, model, entry, generation, as_json=as_json)


def _canary(entry: ModelRoutes, version: str | None, percent: float | None) -> CanaryEntry | None:
    if version is None and percent is None:
        return entry.canary
    if version is None and entry.canary is None:
        raise RoutesInvalid("canary", "--percent without a canary", "--canary VERSION")
    known = entry.canary
    share = percent if percent is not None else known.percent if known else 0.0
    return CanaryEntry(version or (known.version if known else ""), share)


def _shadow(text: str) -> ShadowEntry:
    version, _, sample = text.partition("=")
    try:
        return ShadowEntry(version, float(sample or 100))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}, expected VERSION or VERSION=PERCENT") from error


def _pinned(lock_file: LockFile, model: str, entry: ModelRoutes) -> None:
    pinned = {pin.version for pin in lock_file.read().versions(model)}
    canary = [entry.canary.version] if entry.canary else []
    for version in (entry.stable, *canary, *(shadow.version for shadow in entry.shadows)):
        if version not in pinned:
            raise RoutesInvalid(
                model, f"version {version!r}", f"a pinned version ({', '.join(sorted(pinned)) or 'none'})"
            )


def _swap(
    file: RoutesFile, present: Routes, model: str, entry: ModelRoutes, generation: int | None, *, as_json: bool
) -> None:
    changed = present.with_model(model, entry)
    file.swap(present.generation if generation is None else generation, changed)
    row = _row(model, entry)
    say(
        changed,
        as_json=as_json,
        text=f"generation {changed.generation}: " + ", ".join(f"{key} {value}" for key, value in row.items()),
    )


@routes.command()
@click.argument("model")
@home_option
@json_option
@speaks_plainly
def promote(model: str, home: Path | None, as_json: bool) -> None:
    """Make the canary stable.

    \b
    plumbline routes promote payments
    """
    _end_canary(model, home, promoted=True, as_json=as_json)


@routes.command()
@click.argument("model")
@home_option
@json_option
@speaks_plainly
def rollback(model: str, home: Path | None, as_json: bool) -> None:
    """Take the canary out; stable answers everything.

    \b
    plumbline routes rollback payments
    """
    _end_canary(model, home, promoted=False, as_json=as_json)


def _end_canary(model: str, home: Path | None, *, promoted: bool, as_json: bool) -> None:
    file = RoutesFile(settings_of(home).routes_path)
    present = file.read()
    entry = present.models.get(model)
    if entry is None or entry.canary is None:
        raise RoutesInvalid(model, "no canary", "a canary to promote or to take out")
    stable = entry.canary.version if promoted else entry.stable
    _swap(file, present, model, replace(entry, stable=stable, canary=None), None, as_json=as_json)
