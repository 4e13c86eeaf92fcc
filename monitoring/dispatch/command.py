"""`plumbline monitor silence|ack|answer|events`: what people say of alerts, and how far events are.

They work on the home's files, under their lock, whether a monitor runs or not; a running one follows within a second.
"""

import getpass
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any, NoReturn

import click
import msgspec

from monitoring.dispatch import words
from monitoring.dispatch.hands import EVERYTHING, Hands, Word
from monitoring.dispatch.hands_file import HandsFile
from monitoring.dispatch.incidents import IncidentShown, SilenceShown, shown, silences
from monitoring.dispatch.shelf import incident_of, on_shelf
from monitoring.durations import seconds
from monitoring.errors import HandsFull, WordInvalid
from monitoring.settings import Settings

FOUND_FAULT, USED_WRONGLY, COULD_NOT = 1, 2, 3


class Length(click.ParamType[float]):
    """A length of time such as `2h`."""

    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = seconds(value)
        if not isinstance(found, int | float):
            self.fail(f"{value!r}: expected a length such as 30m, 2h or 7d", param, ctx)
        return float(found)


_HOME = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), help="As of `monitor`; may stand here too."
)
_BY = click.option("--by", default=getpass.getuser, help="Who says so; default: the user who runs this.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("silence")
def silence_group() -> None:
    """Keep incidents from being sent for a while: they are judged, kept and shown all the same."""


@silence_group.command("add")
@click.option("--for", "for_s", type=Length(), help="How long from now, such as 2h.")
@click.option("--until", help="Until when, such as 2026-11-02T18:00:00Z.")
@click.option("--model", default=EVERYTHING, show_default=True, help="Pattern of the model's name.")
@click.option("--version", default=EVERYTHING, show_default=True, help="Pattern of the version.")
@click.option("--feature", default=EVERYTHING, show_default=True, help="Pattern of the feature or output.")
@click.option("--check", default=EVERYTHING, show_default=True, help="Pattern of the check: drift, null, unseen, …")
@click.option("--why", required=True, help="Why; whoever looks later wants to know.")
@_BY
@_HOME
@click.pass_obj
def silence_add(settings: Settings, /, home: Path | None, until: str | None, for_s: float | None, **said: Any) -> None:
    """Silence what matches all patterns. Prints the silence's id.

    An incident is silenced only where all its checks match: what was not expected is sent.

    \b
    Example:
      plumbline monitor silence add --model payments --for 2h --why "backfill of October"
    """
    at_s = time()
    try:
        asked = words.SilenceAsked(for_s=for_s, until=None if until is None else _time(until), **said)
        word = words.silence(asked, secrets.token_hex(4), "", at_s)
    except (WordInvalid, ValueError) as error:
        raise click.UsageError(str(error)) from error
    _say(_file(settings, home), word, at_s)
    click.echo(word.id)


@silence_group.command("list")
@click.option("--all", "every", is_flag=True, help="Those that ended too.")
@_JSON
@_HOME
@click.pass_obj
def silence_list(settings: Settings, home: Path | None, every: bool, as_json: bool) -> None:
    """List the silences that hold."""
    found = [one for one in silences(_hands(settings, home), time()) if every or one.active]
    _print(found, as_json, _silence_line, "no silence")


@silence_group.command("expire")
@click.argument("silence")
@click.option("--why", default="", help="Why.")
@_BY
@_HOME
@click.pass_obj
def silence_expire(settings: Settings, home: Path | None, silence: str, by: str, why: str) -> None:
    """End a silence now. What it held and is not over is sent. Exit code 1 where there is no such silence."""
    if silence not in _hands(settings, home).silences:
        _fault(f"silence {silence!r}: expected one that `plumbline monitor silence list --all` shows")
    at_s = time()
    _say(_file(settings, home), _checked(lambda: words.expire(words.Said(by, why), silence, "", at_s)), at_s)


@click.command("ack")
@click.argument("event")
@click.option("--why", default="", help="What is known of it.")
@_BY
@_HOME
@click.pass_obj
def ack_command(settings: Settings, home: Path | None, event: str, by: str, why: str) -> None:
    """Say that you know of an incident: it is not told again, and shown as yours. Exit code 1 where there is none such."""
    incident = _known(settings, home, event)
    at_s = time()
    _say(_file(settings, home), _checked(lambda: words.ack(words.Said(by, why), incident, "", at_s)), at_s)


@click.command("answer")
@click.argument("event")
@click.argument("version")
@click.option("--why", default="", help="What is to be said of it.")
@_BY
@_HOME
@click.pass_obj
def answer_command(settings: Settings, home: Path | None, event: str, version: str, by: str, why: str) -> None:
    """Record which version came of a request for retraining. Exit code 1 where there is no such event."""
    incident = _known(settings, home, event)
    at_s = time()
    _say(_file(settings, home), _checked(lambda: words.answer(words.Said(by, why, version), incident, "", at_s)), at_s)


@click.command("events")
@_JSON
@_HOME
@click.pass_obj
def events_command(settings: Settings, home: Path | None, as_json: bool) -> None:
    """List incidents, newest first: where they stand, who knows of them, and how far they are with each receiver."""
    facts, deliveries = on_shelf(home or settings.home)
    found = shown(facts, deliveries, _hands(settings, home), time())
    _print(found, as_json, _incident_lines, "no event")


def _incident_lines(one: IncidentShown) -> str:
    marks = [one.phase]
    marks += [f"acknowledged by {one.acked.by}"] if one.acked else []
    marks += [f"silenced by {one.silenced_by}"] if one.silenced_by else []
    marks += [f"answered with version {one.answer.version}"] if one.answer else []
    lines = [f"{one.time}  {one.event}  {one.model}:{one.version}  {', '.join(marks)}", f"    {one.reason}"]
    for name, delivery in sorted(one.receivers.items()):
        why = (
            f" ({delivery['why']}{', ' + delivery['note'] if delivery.get('note') else ''})"
            if "why" in delivery
            else ""
        )
        lines.append(f"    {name}: {delivery['state']}{why}")
    return "\n".join(lines)


def _silence_line(one: SilenceShown) -> str:
    state = "" if one.active else "  (over)"
    named = f"model={one.model} version={one.version} feature={one.feature} check={one.check}"
    return f"{one.id}  until {one.until}{state}  {named}  {one.by}: {one.why}"


def _print(found: list[Any], as_json: bool, line: Callable[[Any], str], nothing: str) -> None:
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
    else:
        click.echo("\n".join(map(line, found)) if found else nothing)


def _known(settings: Settings, home: Path | None, event: str) -> str:
    """The incident that this event belongs to."""
    incident = incident_of(home or settings.home, event)
    if incident is None:
        _fault(f"event {event!r}: expected one that `plumbline monitor events` lists")
    return incident


def _checked(word: Callable[[], Word]) -> Word:
    try:
        return word()
    except WordInvalid as error:
        raise click.UsageError(str(error)) from error


def _say(file: HandsFile, word: Word, at_s: float) -> None:
    try:
        file.say(word, at_s)
    except (HandsFull, TimeoutError, OSError) as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(COULD_NOT) from error


def _hands(settings: Settings, home: Path | None) -> Hands:
    try:
        return _file(settings, home).hands()
    except OSError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(COULD_NOT) from error


def _file(settings: Settings, home: Path | None) -> HandsFile:
    return HandsFile((home or settings.home) / "monitor")


def _fault(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    raise click.exceptions.Exit(FOUND_FAULT)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return at if at.tzinfo else at.replace(tzinfo=UTC)
