"""`plumbline doctor`: is this machine fit to serve, and what to do where it is not?"""

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from models.finding import Finding, Level, looked, told, worst
from service.commands.output import FOUND_FAULT, home_option, json_option
from service.doctor import home as place
from service.doctor import machine, versions
from service.doctor.watching import watching
from service.settings import Settings

Look = Callable[[], Iterable[Finding]]


@click.command()
@click.option("--deep", is_flag=True, help="Read every byte of the pinned versions, not only their sizes.")
@home_option
@json_option
def doctor(deep: bool, home: Path | None, as_json: bool) -> None:
    """Look at versions, disk, clock, ports, permissions, models, routes, settings and receivers: one line each.

    A line says ok, warn or bad, what was found, what was expected and what to do. Exit code 1 where one is bad.

    \b
    plumbline doctor
    plumbline doctor --deep --json
    """
    before_s = machine.offset_s()
    settings, findings = place.settings_of(home)
    for check, look in _looks(settings, deep=deep, before_s=before_s).items():
        findings.extend(looked(check, look))
    click.echo(told(findings, as_json=as_json))
    if worst(findings) is Level.BAD:
        raise SystemExit(FOUND_FAULT)


def _looks(settings: Settings, *, deep: bool, before_s: float) -> dict[str, Look]:
    """Every check by name, in the order in which it is told; the clock last, as it looks at how long the others took."""
    return {
        "environment": place.environment,
        "python": machine.python,
        "packages": lambda: machine.packages(machine.asked_of("plumbline")),
        "home": lambda: place.directory(settings),
        "secrets": lambda: place.secrets(settings),
        "api keys": lambda: place.keys(settings),
        "disk": lambda: machine.disk(settings),
        "file descriptors": lambda: machine.descriptors(settings),
        "service port": lambda: place.port(settings),
        "models": lambda: versions.pinned(settings, deep=deep),
        "routes": lambda: versions.routed(settings),
        "monitor": lambda: watching(settings.home.absolute()),
        "clock": lambda: machine.clock(settings, before_s),
    }
