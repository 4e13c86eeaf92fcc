"""`plumbline rollout start|pause|resume|promote|abort`: what a person says of a rollout.

`pause` writes a line in the home and needs no running service; the others also ask the admin API, so they need its token.

Exit codes: 0 done, 2 used wrongly (also: the document, or what the routes do not allow), 3 it could not do it.
"""

import getpass
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import click
import tomli_w

from models.durable import replace_durably
from monitoring.cli import COULD_NOT, USED_WRONGLY
from monitoring.errors import AdminRefused, MonitorError, RolloutInvalid, SettingsInvalid
from monitoring.rollout.admin import AdminApi
from monitoring.rollout.control import Share, Word
from monitoring.rollout.document import Rollout
from monitoring.rollout.people import say
from monitoring.rollout.reading import FOLDER, document
from monitoring.settings import HOME, Settings, load

BY_CHARS_MAX, WHY_CHARS_MAX = 64, 1000  # what the admin API takes
LOAD_WAIT_S = 30.0  # how long workers may take to load a version that begins
PATIENCE_S = 40.0  # of an answer, behind that
_FAULTS_OF_THE_USER = frozenset({"routes_refused", "routes_conflict", "not_authorised", "admin_disabled"})
_OPTIONS = (
    click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        default=HOME,
        envvar="PLUMBLINE_HOME",
        show_default=True,
        help="Directory with rollouts/ and plumbline.toml.",
    ),
    click.option("--by", default="", help="Who says so; absent: the user of this shell."),
    click.option("--why", default="", help="The reason."),
)


def _spoken(command: Callable[..., str]) -> Callable[..., None]:
    """A command on a model that returns what it did; our own errors become one sentence and an exit code."""

    @wraps(command)
    def run(*, model: str, home: Path, by: str, why: str, **own: Any) -> None:
        try:
            told = command(load(home), model, (by or getpass.getuser())[:BY_CHARS_MAX], why[:WHY_CHARS_MAX], **own)
        except (MonitorError, OSError) as error:
            click.echo(str(error), err=True)
            own_fault = isinstance(error, RolloutInvalid | SettingsInvalid)
            refused = isinstance(error, AdminRefused) and error.code in _FAULTS_OF_THE_USER
            raise SystemExit(USED_WRONGLY if own_fault or refused else COULD_NOT) from error
        click.echo(f"{model}: {told}")

    made: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        made = option(made)
    return click.argument("model")(made)


@click.command()
@_spoken
@click.argument("version")
@click.option("--steps", help="Shares in percent, rising, such as 1,5,25,50,100; absent: those of the document.")
def start(settings: Settings, model: str, by: str, why: str, *, version: str, steps: str | None) -> str:
    """Begin a rollout: write its document, or take up the one there is, and give the version its first share.

    \b
    plumbline rollout start payments 2 --steps 1,5,25,100
    """
    path = settings.home / FOLDER / f"{model}.toml"
    text = _begun(path, version, steps, datetime.now(UTC))
    plan = Rollout.decode(text, str(path))
    order = {"do": "canary", "version": version, "percent": plan.steps[0], "by": by, "why": why or "rollout start"}
    with _admin(settings) as admin:
        routes = admin.routes(model)
        present = None if routes.entry is None else routes.entry.canary
        if present is not None and present.version != version:
            found = f"version {present.version} at {present.percent:g} %"
            raise RolloutInvalid(f"routes of {model}, canary", found, "none, or this version: `rollout abort` ends it")
        order |= {"generation": routes.generation, "wait_s": LOAD_WAIT_S}
        begun = present == Share(version, plan.steps[0])
        if not begun:
            admin.change(model, {**order, "dry_run": True})  # refused before anything is written
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, text.encode())
        generation = routes.generation if begun else admin.change(model, order)
    say(settings.home, model, _word("start", by, why, generation))
    return f"version {version} has {plan.steps[0]:g} %, generation {generation}; {_who_goes_on(settings)}"


@click.command()
@_spoken
def pause(settings: Settings, model: str, by: str, why: str) -> str:
    """No share is raised until `resume`; a rollback is still made.

    \b
    plumbline rollout pause payments --why "a release of the caller"
    """
    document(settings.home, model)
    say(settings.home, model, _word("pause", by, why))
    return "paused; a rollback is still made"


@click.command()
@_spoken
def resume(settings: Settings, model: str, by: str, why: str) -> str:
    """End a pause, and hand routes that were changed by hand over again: the canary then gets its step's share.

    \b
    plumbline rollout resume payments
    """
    document(settings.home, model)
    with _admin(settings) as admin:
        generation = admin.routes(model).generation
    say(settings.home, model, _word("resume", by, why, generation))
    return f"resumed from generation {generation}; {_who_goes_on(settings)}"


@click.command()
@_spoken
def promote(settings: Settings, model: str, by: str, why: str) -> str:
    """Make the canary stable now, whatever the evidence says.

    \b
    plumbline rollout promote payments
    """
    return _ordered(settings, model, {"do": "promote", "by": by, "why": why})


@click.command()
@_spoken
def abort(settings: Settings, model: str, by: str, why: str) -> str:
    """Take the canary out now; it is not brought in again.

    \b
    plumbline rollout abort payments
    """
    return _ordered(settings, model, {"do": "abort", "by": by, "why": why})


def _ordered(settings: Settings, model: str, order: Mapping[str, Any]) -> str:
    """Of the canary that the document names, and no other."""
    plan = document(settings.home, model)
    with _admin(settings) as admin:
        routes = admin.routes(model)
        present = None if routes.entry is None else routes.entry.canary
        if present is None or present.version != plan.version:
            found = "no canary" if present is None else f"version {present.version}"
            raise RolloutInvalid(f"routes of {model}, canary", found, f"version {plan.version}, as in its document")
        generation = admin.change(model, {**order, "generation": routes.generation, "wait_s": LOAD_WAIT_S})
    done = "is stable" if order["do"] == "promote" else "is out"
    return f"version {plan.version} {done}, generation {generation}"


def _admin(settings: Settings) -> AdminApi:
    if not (token := settings.token()):
        raise SettingsInvalid("admin token", "none", "PLUMBLINE_ADMIN_TOKEN or admin_token_file, as the service has it")
    if not settings.service_url:
        raise SettingsInvalid("service_url", "none", "where the service's admin API answers")
    return AdminApi(settings.service_url, token, PATIENCE_S)


def _begun(path: Path, version: str, steps: str | None, now: datetime) -> str:
    """The document with this version and beginning; what else it says stays, its comments do not."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        table = {}
    except (OSError, ValueError) as error:
        raise RolloutInvalid(str(path), str(error), "a rollout as docs/rollouts.md describes it") from error
    if steps is not None:
        try:
            table["steps"] = [float(step) for step in steps.split(",")]
        except ValueError as error:
            raise RolloutInvalid("--steps", repr(steps), "shares in percent such as 1,5,25,50,100") from error
    return tomli_w.dumps({"version": version, "since": now.replace(microsecond=0), **_without(table)})


def _without(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in ("version", "since")}


def _word(do: Literal["start", "pause", "resume"], by: str, why: str, generation: int = -1) -> Word:
    return Word(datetime.now(UTC).isoformat(timespec="milliseconds"), do, by, why, generation)


def _who_goes_on(settings: Settings) -> str:
    if settings.rollout_apply:
        return "the monitor raises it by the evidence"
    return "the monitor only says what follows (rollout_apply is off)"
