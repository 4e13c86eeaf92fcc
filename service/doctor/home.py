"""Is the home as it must be: settings that can be read, a directory of one's own, secrets that nobody else reads, a port?"""

import os
import stat
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from models.durable import stamp
from models.finding import Finding, bad, ok
from models.key_errors import KeysError
from models.key_file import KeyFile
from models.keys import asked_for
from models.machine import OURS, port_of, secret_of
from service.doctor import names
from service.doctor.machine import existing
from service.presence import ServiceSign, read_sign
from service.settings import Settings

FILE = "plumbline.toml"
LINKS = "tcp://"  # what Kubernetes and docker --link write into PLUMBLINE_PORT for a service of that name
_SETTINGS = "settings that docs/reference.md names"


def settings_of(home: Path | None) -> tuple[Settings, list[Finding]]:
    """The settings, or the defaults where they cannot be read, so that the machine is still looked at."""
    try:
        settings = Settings() if home is None else Settings(home=home)
    except (ValidationError, ValueError, OSError) as error:
        place = home or Path(os.environ.get("PLUMBLINE_HOME") or ".plumbline")
        return Settings.model_construct(home=place), [_unreadable(error, place)]
    odd = list(names.tables(_top(settings.home / FILE), str(settings.home / FILE)))
    return settings, odd or [ok("settings", str(settings.home.absolute() / FILE), _SETTINGS)]


def environment() -> Iterator[Finding]:
    yield from names.variables(os.environ, Settings.model_fields)


def directory(settings: Settings) -> Iterator[Finding]:
    """The home, or the place where it will be made."""
    expected = "a directory that this user, and not everybody, can write"
    try:
        place = existing(settings.home)
    except PermissionError as error:
        advice = "run it as the owner of the home: sudo -u plumbline plumbline doctor"
        yield bad("home", f"user {os.geteuid()} cannot reach it: {error}", expected, advice)
        return
    shown = str(settings.home.absolute()) + ("" if place == settings.home.absolute() else f", to be made in {place}")
    mode = place.stat().st_mode
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        advice = f"chown -R {os.geteuid()} {place}"
        yield bad("home", f"{shown}: user {os.geteuid()} cannot write it", expected, advice)
    elif mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield bad("home", f"{shown}: everybody can write it", expected, f"chmod o-w {place}")
    else:
        yield ok("home", shown, expected)


def secrets(settings: Settings) -> Iterator[Finding]:
    """Files that are there or that a setting names."""
    yield from _secret("api keys file", settings.keys_path, named=False)
    yield from _secret("privacy key", settings.privacy_key_path, named=settings.privacy_key_file is not None)
    if settings.sources_auth_file is not None:
        yield from _secret("sources_auth_file", settings.sources_auth_file, named=True)


def keys(settings: Settings) -> Iterator[Finding]:
    """Nothing where no key is asked for."""
    if not asked_for(settings.api_keys, settings.host):
        return
    expected = "a live key: without one every question is answered 401"
    try:
        found = KeyFile(settings.keys_path).read().keys
    except (KeysError, OSError) as error:
        yield bad(
            "api keys", str(error), expected, f"mend {settings.keys_path}: plumbline keys list says what is wrong"
        )
        return
    live = sum(key.live(datetime.now(UTC)) for key in found)
    if live:
        yield ok("api keys", f"{live} live", expected)
    else:
        yield bad("api keys", "0 live", expected, "plumbline keys add NAME --scope predict")


def port(settings: Settings) -> Iterator[Finding]:
    """Where this home's service runs, it may have been given another port by a flag: then it is that one which counts."""
    sign = read_sign(settings.service_path, ServiceSign)
    if sign is None:
        yield port_of("service port", settings.host, settings.port, "", "port in plumbline.toml, or --port")
    else:
        yield ok("service port", f"{sign.url} is held by this home's service, process {sign.pid}", OURS)


def _secret(check: str, path: Path, *, named: bool) -> Iterator[Finding]:
    if named or any(stamp(path)):  # one that cannot be reached is the home's finding, not the file's
        yield secret_of(check, path)


def _unreadable(error: Exception, home: Path) -> Finding:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if str(first.get("input", "")).startswith(LINKS):
            found = f"PLUMBLINE_{where.upper()} is the address of a Kubernetes service"
            return bad("settings", found, _SETTINGS, "enableServiceLinks: false in the pod, or another name")
        return bad(
            "settings", f"{where}: {first['msg']}", _SETTINGS, f"mend {where} in {home / FILE} or the environment"
        )
    return bad("settings", f"{home / FILE}: {error}", "TOML that can be read", f"mend {home / FILE}")


def _top(path: Path) -> list[str]:
    return list(tomllib.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []
