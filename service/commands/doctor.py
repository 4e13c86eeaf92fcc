"""`plumbline doctor`: is this machine fit to serve, and what to do where it is not?"""

import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from models.errors import ModelError
from models.key_errors import KeysError
from models.key_file import KeyFile
from models.keys import asked_for
from models.lock_file import LockFile
from service.commands.output import FOUND_FAULT, home_option, json_option, say_rows, settings_of, speaks_plainly
from service.settings import Settings
from service.sources import registry_of

DISK_FREE_BYTES_MIN = 1 << 30  # below it a day of logs may not fit


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` only where it is not well."""

    what: str
    well: bool
    found: str
    advice: str = ""


@click.command()
@home_option
@json_option
@speaks_plainly
def doctor(home: Path | None, as_json: bool) -> None:
    """Look at versions, disk, permissions, ports and the registry; exit code 1 when something is not well.

    \b
    plumbline doctor
    """
    findings = list(_look(settings_of(home)))
    rows = [
        {"": "ok" if f.well else "NOT WELL", "what": f.what, "found": f.found, "do": f.advice if not f.well else ""}
        for f in findings
    ]
    say_rows(rows, as_json=as_json)
    if not all(finding.well for finding in findings):
        raise SystemExit(FOUND_FAULT)


def _look(settings: Settings) -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python ≥ 3.11")
    for package in ("bentoml", "onnxruntime", "numpy", "pyarrow"):
        yield Finding(package, True, version(package))
    yield Finding("sqlite", True, sqlite3.sqlite_version)
    yield _home(settings.home)
    free = shutil.disk_usage(_existing(settings.home)).free
    yield Finding(
        "disk", free >= DISK_FREE_BYTES_MIN, f"{free >> 20} MiB free", "free space, or move the home directory"
    )
    for name, port in (("service port", settings.port), ("monitor port", 3001)):
        yield Finding(
            name, _free(settings.host, port), f"{settings.host}:{port}", "in use: stop its owner or take --port"
        )
    if asked_for(settings.api_keys, settings.host):
        yield _keys(settings)
    registry = registry_of(settings)
    for pin in LockFile(settings.lock_path).read().pins:
        try:
            registry.read_files(pin.digest, pin.ref)
            yield Finding(f"model {pin.ref}", True, "as pinned")
        except ModelError as error:
            yield Finding(f"model {pin.ref}", False, str(error), "plumbline models sync")


def _keys(settings: Settings) -> Finding:
    try:
        found = KeyFile(settings.keys_path).read().keys
    except (KeysError, OSError) as error:
        return Finding("api keys", False, str(error), "mend the file, or make it readable for this user")
    live = sum(key.live(datetime.now(UTC)) for key in found)
    return Finding("api keys", live > 0, f"{live} live", "plumbline keys add NAME --scope predict")


def _home(home: Path) -> Finding:
    place = _existing(home)
    well = os.access(place, os.W_OK | os.X_OK)
    return Finding("home", well, str(home.absolute()), f"make {place} writable for this user")


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
