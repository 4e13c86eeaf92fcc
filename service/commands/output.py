"""How a command speaks: tables for people, JSON for programs, exit codes for scripts."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from models.errors import ModelError
from models.key_errors import KeysError
from service.errors import RoutesInvalid
from service.featurelog.errors import FeatureLogError
from service.routes_errors import VersionsNotLoaded
from service.settings import Settings
from service.tracing_errors import TracingUnavailable

FOUND_FAULT, CANNOT = 1, 3  # 0 done, 2 used wrongly (click's own)
_OURS = (ModelError, KeysError, RoutesInvalid, VersionsNotLoaded, FeatureLogError, TracingUnavailable)

P = ParamSpec("P")
R = TypeVar("R")

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Directory of everything that changes.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def settings_of(home: Path | None) -> Settings:
    """The settings, with the home that the command line names."""
    return Settings() if home is None else Settings(home=home)


def speaks_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors become one sentence on stderr and exit code 3."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (*_OURS, ValidationError, TOMLDecodeError, OSError) as error:
            click.echo(f"plumbline: {error}", err=True)
            raise SystemExit(CANNOT) from error

    return run


def say(value: object, *, as_json: bool, text: str) -> None:
    """One result: the value for a program, the sentence for a person."""
    click.echo(msgspec.json.encode(value).decode() if as_json else text)


def say_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Rows with the same keys: JSON list or table."""
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    table = Table(*(str(key) for key in (rows[0] if rows else {"nothing to show": ""})), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(soft_wrap=True).print(table)
