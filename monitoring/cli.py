"""The `monitor` command: runs the sidecar, replays a piece of the log; what people say of alerts is dispatch/command.py's.

Exit codes: 0 done, 1 what is to be replayed is not all there any more, 2 used wrongly, 3 it could not do it.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import click
import structlog

from monitoring.backtest.command import replay_command
from monitoring.dispatch.command import ack_command, answer_command, events_command, silence_group
from monitoring.doctor.command import doctor_command
from monitoring.errors import MonitorError, SettingsInvalid
from monitoring.explainer import COMMAND as EXPLAIN
from monitoring.labels.command import show as show_labels
from monitoring.power.command import power_command
from monitoring.settings import HOME, Settings, load
from monitoring.wiring import bind, lock, run

USED_WRONGLY, COULD_NOT = 2, 3
_HOME_OPTION = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    envvar="PLUMBLINE_HOME",
    show_default=True,
    help="Directory with the log, the registry and the monitor's state.",
)


@click.group(invoke_without_command=True)
@_HOME_OPTION
@click.option("--host", help="Address that /metrics, /healthz and /api/status listen on.")
@click.option("--monitor-port", type=click.IntRange(0, 65_535), help="Port of the same; 0 lets the kernel choose.")
@click.pass_context
def monitor(ctx: click.Context, home: Path, host: str | None, monitor_port: int | None) -> None:
    """Watch the feature log: rates, latency, skew, drift; call the webhook when a model version must be retrained.

    \b
    Example:
      PLUMBLINE_WEBHOOK_SECRET=whsec_… plumbline monitor --home .plumbline --monitor-port 3001
      curl http://127.0.0.1:3001/api/status
    """
    settings = _settings(home, host=host, port=monitor_port)
    ctx.obj = settings
    if ctx.invoked_subcommand is None:
        _run(settings)


for command in (
    silence_group,
    ack_command,
    answer_command,
    events_command,
    replay_command,
    power_command,
    doctor_command,
):
    monitor.add_command(command)


@monitor.command("explain")
@click.argument("event_id")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="As of `monitor`; may stand here too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_obj
def explain_command(settings: Settings, event_id: str, home: Path | None, as_json: bool) -> None:
    """How far an incident moves the predictions, and what tells its rows from those before it.

    Runs in a process of its own, `plumbline log explain`, with the model's runtime, which the monitor does without.

    \b
    Example:
      plumbline monitor explain evt_1f0c2a…
    """
    command = [*EXPLAIN, "--home", str(settings.home if home is None else home), *(["--json"] if as_json else [])]
    raise click.exceptions.Exit(subprocess.run([*command, "--", event_id], check=False).returncode)


@monitor.command("labels")
@click.argument("model", required=False)
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="As of `monitor`; may stand here too.")
@click.option("--monitor", "url", help="Address of the monitor, in place of what the settings say.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_obj
def labels_command(settings: Settings, model: str | None, home: Path | None, url: str | None, as_json: bool) -> None:
    """How good the models are: by labels as far as they came, and by an estimate; of all models or of one MODEL.

    A monitor that asks for API keys is given that of PLUMBLINE_API_KEY.

    \b
    Example:
      plumbline monitor labels payments
    """
    show_labels(url or _address(settings if home is None else _settings(home)), model, as_json=as_json)


def _address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # a comparison, nothing is bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _settings(home: Path, **flags: object) -> Settings:
    try:
        return load(home, **flags)
    except SettingsInvalid as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(USED_WRONGLY) from error


def _run(settings: Settings) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        lock(settings.home)
        listening = bind(settings.host, settings.port)
        port = listening.getsockname()[1]

        def ready() -> None:
            structlog.get_logger().info("monitor_ready", host=settings.host, port=port)

        asyncio.run(run(settings, listening, ready))
    except MonitorError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(USED_WRONGLY if isinstance(error, SettingsInvalid) else COULD_NOT) from error


if __name__ == "__main__":
    monitor(prog_name="plumbline monitor")
