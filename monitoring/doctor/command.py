"""`plumbline monitor doctor`: the part of `plumbline doctor` that only the monitor's settings can answer."""

import click

from models.finding import Level, told, worst
from monitoring.doctor.look import look
from monitoring.settings import Settings

FOUND_FAULT = 1


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_obj
def doctor_command(settings: Settings, as_json: bool) -> None:
    """Look at the monitor's port, secrets, receivers and checkpoint; nothing is sent to anybody.

    `plumbline doctor` looks at this and at everything else. Exit code 1 where something is bad.

    \b
    Example:
      plumbline monitor --home .plumbline doctor
    """
    findings = look(settings)
    click.echo(told(findings, as_json=as_json))
    if worst(findings) is Level.BAD:
        raise click.exceptions.Exit(FOUND_FAULT)
