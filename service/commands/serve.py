"""`plumbline serve`: the service in the foreground."""

import os
import signal
import sys
from pathlib import Path

import click

from service.commands.output import home_option, settings_of, speaks_plainly
from service.settings import SUPERVISOR
from service.tracing import check_tracing


@click.command()
@home_option
@click.option("--host", default=None, help="Address to bind; 127.0.0.1 when absent.")
@click.option("--port", type=int, default=None, help="Port; 3000 when absent.")
@click.option("--workers", type=int, default=None, help="Worker processes; 1 when absent.")
@speaks_plainly
def serve(home: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the pinned models until Ctrl-C.

    \b
    plumbline serve --workers 2
    """
    given = {"home": home, "host": host, "port": port, "workers": workers}
    os.environ.update({f"PLUMBLINE_{key.upper()}": str(value) for key, value in given.items() if value is not None})
    settings = settings_of(None)
    check_tracing(settings)
    place = settings.home.absolute()
    environment = {
        **os.environ,
        "PLUMBLINE_HOME": str(place),
        SUPERVISOR: str(os.getpid()),  # exec keeps it
        "BENTOML_HOME": os.environ.get("BENTOML_HOME", str(place / "bentoml")),  # two services never share metric files
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.plumbline.workers={settings.workers}",
    }
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # its default is to end: nothing to reload until the supervisor listens
    os.execve(sys.executable, [sys.executable, "-m", "service.supervise"], environment)
