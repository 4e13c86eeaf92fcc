"""`plumbline monitor doctor`: the part of `plumbline doctor` that only the monitor's settings can answer."""

import click
import msgspec

from models.finding import Level, line_of, worst
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
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            click.echo(line_of(finding))
    if worst(findings) is Level.BAD:
        raise click.exceptions.Exit(FOUND_FAULT)
