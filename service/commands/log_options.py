"""Options that several of `plumbline log …` share, and how they leave when nobody listens any more."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from service.commands.when import moment_us


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases of click
    """A moment in µs since 1970."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else moment_us(str(value), time.time_ns() // 1000)
        except ValueError as error:
            self.fail(str(error), param, ctx)


model_option = click.option("--model", help="Only this model's requests.")
version_option = click.option("--version", help="Only what this version answered.")
from_option = click.option("--from", "from_us", type=Moment(), help="From this time on: ISO 8601, or -2h.")
to_option = click.option("--to", "to_us", type=Moment(), help="Before this time: ISO 8601, or -15m.")


@contextmanager
def while_listened_to() -> Iterator[None]:
    """Ctrl-C, and a pipe that was closed (`| head`), end the command in order."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)  # what is left in the buffer has nowhere to go when Python flushes it at the end
        os.close(quiet)
