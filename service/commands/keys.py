"""`plumbline keys …`: who may ask this service, for what, how much and until when?"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from models.key_errors import KeysInvalid
from models.key_file import KeyFile, fresh
from models.keys import Key, asked_for
from service.commands.output import home_option, json_option, say, say_rows, settings_of, speaks_plainly
from service.settings import Settings

OVERLAP = "7d"
NEVER = "never"
_SPAN = re.compile(r"(\d{1,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXPECTED = "a time such as 90d, 12h or 30m, a date such as 2027-02-01 (UTC), or never"


@click.group()
def keys() -> None:
    """Make, show, change and revoke API keys. The service follows what is changed here, within a second."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="predict, predict:MODEL, read or admin; repeat it."
)
@click.option("--expires", default=NEVER, show_default=True, help="When it ends: 90d, 12h, 2027-02-01, never.")
@click.option(
    "--rows-per-s", type=float, help="Rows a second that it may ask for, over all workers; absent: any number."
)
@click.option("--burst-rows", type=int, help="Rows that it may ask for at once; absent: what a second gives.")
@home_option
@json_option
@speaks_plainly
def add(
    name: str,
    *,
    scopes: tuple[str, ...],
    expires: str,
    rows_per_s: float | None,
    burst_rows: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Make a key for NAME. Its text is printed once, on stdout, and kept nowhere.

    \b
    plumbline keys add rides-backend --scope predict:rides --scope read --expires 90d --rows-per-s 1000
    """
    now, settings = _now(), settings_of(home)
    like = Key(
        id="0" * 8,
        name=name,
        sha256="0" * 64,
        scopes=tuple(dict.fromkeys(scopes)),
        created=now,
        expires=_moment(expires, now),
        rows_per_s=rows_per_s,
        burst_rows=burst_rows,
    )
    text, key = fresh(like)
    KeyFile(settings.keys_path).add(text, key)
    _say_made(text, key, now, as_json=as_json)
    _say_asked(settings)


@keys.command("list")
@home_option
@json_option
@speaks_plainly
def list_(home: Path | None, as_json: bool) -> None:
    """Every key, without its text.

    \b
    plumbline keys list
    """
    now = _now()
    found = KeyFile(settings_of(home).keys_path).read().keys
    say_rows([_row(key, now) if as_json else _shown(key, now) for key in found], as_json=as_json)


@keys.command()
@click.argument("identifier", metavar="ID")
@home_option
@json_option
@speaks_plainly
def revoke(identifier: str, home: Path | None, as_json: bool) -> None:
    """End a key now; the service refuses it within a second.

    \b
    plumbline keys revoke 3f9a1c2b
    """
    KeyFile(settings_of(home).keys_path).revoke(identifier, _now())
    say({"id": identifier, "revoked": True}, as_json=as_json, text=f"{identifier} is revoked")


@keys.command()
@click.argument("identifier", metavar="ID")
@click.option("--overlap", default=OVERLAP, show_default=True, help="How long the old key still opens: 7d, 12h, 30m.")
@click.option("--expires", help="When the new key ends; absent: it lasts as long as the old one was made to.")
@home_option
@json_option
@speaks_plainly
def rotate(identifier: str, *, overlap: str, expires: str | None, home: Path | None, as_json: bool) -> None:
    """Make a second key like this one, and let the old one end after the overlap.

    \b
    plumbline keys rotate 3f9a1c2b --overlap 7d
    """
    now, settings = _now(), settings_of(home)
    if (span := _span(overlap)) is None:
        raise KeysInvalid("--overlap", repr(overlap), "a time such as 7d, 12h or 30m")
    file = KeyFile(settings.keys_path)
    text, key, old = file.rotate(identifier, span, now, _moment(expires, now) if expires else None)
    _say_made(text, key, now, as_json=as_json, replaces=old)


def _say_made(text: str, key: Key, now: datetime, *, as_json: bool, replaces: Key | None = None) -> None:
    """The text alone on stdout, so that a script takes it whole; what it is on stderr."""
    ends = {"replaces": {"id": replaces.id, "expires": replaces.expires}} if replaces is not None else {}
    say({**_row(key, now), "key": text, **ends}, as_json=as_json, text=text)
    if not as_json:
        told = "  ".join(f"{what} {value}" for what, value in _shown(key, now).items())
        click.echo(f"{told}\nkeep the key now: it is not shown again", err=True)
        if replaces is not None and replaces.expires is not None:
            click.echo(f"{replaces.id} opens until {_minute(replaces.expires)}", err=True)


def _say_asked(settings: Settings) -> None:
    if not asked_for(settings.api_keys, settings.host):
        where = "api_keys is off" if settings.api_keys == "off" else f"{settings.host} is loopback"
        click.echo(f'note: no key is asked for here ({where}); api_keys = "required" asks for one', err=True)


def _row(key: Key, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key, now),
        "scopes": key.scopes,
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "rows_per_s": key.rows_per_s,
        "burst_rows": key.burst_rows,
    }


def _shown(key: Key, now: datetime) -> dict[str, str]:
    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key, now),
        "scopes": ", ".join(key.scopes),
        "expires": NEVER if key.expires is None else _minute(key.expires),
        "rows/s": "any" if key.rows_per_s is None else f"{key.rows_per_s:g}",
    }


def _state(key: Key, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "live" if key.live(now) else "expired"


def _moment(text: str, now: datetime) -> datetime | None:
    """Raises KeysInvalid: not a time to come."""
    if text == NEVER:
        return None
    try:
        span = _span(text)
        moment = now + span if span is not None else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise KeysInvalid("--expires", repr(text), _EXPECTED) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise KeysInvalid("--expires", f"{text!r}, which has passed", _EXPECTED)
    return moment


def _span(text: str) -> timedelta | None:
    found = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
