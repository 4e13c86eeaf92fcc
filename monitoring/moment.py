"""How is a time said on the command line?"""

import re
from datetime import UTC, datetime

import click


class Moment(click.ParamType[datetime]):
    """A time as `2026-11-02T10:15:00Z`; without a zone it is UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", str(value)))
        except ValueError:
            self.fail(f"{value!r}: expected a time such as 2026-11-02T10:15:00Z", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
