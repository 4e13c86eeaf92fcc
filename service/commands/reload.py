"""`plumbline reload`: a rolling restart of the running service, from the shell."""

import os
import signal
import time
from pathlib import Path

import click
import msgspec

from models.looking import look_until
from service.commands.output import CANNOT, home_option, json_option, say, settings_of, speaks_plainly
from service.presence import Reload, ServiceSign, read_sign
from service.settings import Settings


class NotReloaded(OSError):
    """Nothing was replaced, or not everything, or nobody knows."""


@click.command()
@home_option
@json_option
@speaks_plainly
def reload(home: Path | None, as_json: bool) -> None:
    """Replace every worker by a new one, one at a time, without a failed request.

    The new ones read `plumbline.toml` and the models again; host, port and the number of workers stay.
    Exit code 3 where no service runs over this home, or where a new worker failed and the old ones stayed.

    \b
    plumbline reload --home /var/lib/plumbline
    """
    result = _reload(settings_of(home))
    took = f"{result.replaced} workers replaced in {result.took_s:.1f} s"
    say(msgspec.to_builtins(result), as_json=as_json, text=result.failed or took)
    if result.failed:
        raise SystemExit(CANNOT)


def _reload(settings: Settings) -> Reload:
    """Asks for a reload and waits for it. Raises NotReloaded."""
    asked_ns = time.monotonic_ns()
    service = _service(settings)
    os.kill(service.pid, signal.SIGHUP)
    per_worker_s = settings.start_s_max + settings.drain_s + settings.grace_s
    within_s = (service.workers + 1) * per_worker_s * 2  # a reload that runs already is ended first

    def ended() -> Reload | None:
        reload = _service(settings).reload
        return reload if reload is not None and reload.begun_ns >= asked_ns else None

    if (reload := look_until(ended, within_s)) is None:
        raise NotReloaded(f"reload: process {service.pid} has not ended it within {within_s:g} s")
    return reload


def _service(settings: Settings) -> ServiceSign:
    found = read_sign(settings.service_path, ServiceSign)
    if found is None:
        raise NotReloaded(f"reload: no service runs over {settings.home.absolute()}; start it with `plumbline serve`")
    return found
