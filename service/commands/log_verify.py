"""`plumbline log verify`: is the log whole?"""

from collections import Counter
from pathlib import Path

import click
import msgspec

from service.commands.output import FOUND_FAULT, home_option, json_option, settings_of, speaks_plainly
from service.featurelog.ledger import audit


@click.command()
@home_option
@json_option
@speaks_plainly
def verify(home: Path | None, as_json: bool) -> None:
    """Check every frame and the ledger; exit code 1 on any gap, damage or difference.

    \b
    plumbline log verify --json
    """
    found = audit(settings_of(home).log_root)
    if as_json:
        click.echo(msgspec.json.encode(found.as_json()).decode())
    else:
        dropped = Counter(found.log_dropped)
        click.echo(
            f"answered {found.answered} = logged {found.logged} + dropped {dropped.total()} {dict(dropped) or ''}"
        )
        for fault in (*found.gaps, *found.corrupt, *found.differences):
            click.echo(f"  {fault}")
        click.echo("the log is whole" if found.whole else "the log is NOT whole")
    if not found.whole:
        raise SystemExit(FOUND_FAULT)
