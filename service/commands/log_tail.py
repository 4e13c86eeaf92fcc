"""`plumbline log tail`: the newest records, and with -f those that come."""

import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from service.commands.log_filter import Filter, filter_options
from service.commands.log_options import while_listened_to
from service.commands.log_query import asked_plainly
from service.commands.output import home_option, settings_of, speaks_plainly
from service.featurelog.chunk import Chunk, Positions
from service.featurelog.files import list_segments, list_writers
from service.featurelog.reader import LogReader

RECORDS_A_READ = 10_000
POLL_MS = 200
_FURTHER_BACK = 4  # times as many segments when the last ones did not hold enough


@click.command()
@click.option("-n", "--lines", type=click.IntRange(min=0), default=10, help="How many of the newest records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@filter_options
@home_option
@speaks_plainly
def tail(lines: int, follow: bool, home: Path | None, **chosen: Any) -> None:
    """The newest records, one JSON object a line. Of what is archived, only what is still there as raw segments is shown.

    \b
    plumbline log tail -n 3 --model payments
    plumbline log tail -f --outcome answered --where "amount > 1000"
    """
    root = settings_of(home).log_root
    with while_listened_to(), asked_plainly():
        wanted = Filter.of(**chosen)
        newest, reader = _newest(root, lines, wanted)
        for record in newest:
            _say(record)
        if wanted.where is not None and wanted.where.unfit:
            if not follow:
                raise click.UsageError(f"--where: {wanted.where.unfit}")
            click.echo(f"plumbline: --where fits no record so far: {wanted.where.unfit}", err=True)
        if follow:
            _follow(reader, wanted)


def _newest(root: Path, lines: int, wanted: Filter) -> tuple[list[dict[str, Any]], LogReader]:
    """The last that are wanted, by event time, and a reader that stands behind them. Reads from the end, as far as it must."""
    back = 1
    while True:
        start, whole = _start(root, back)
        reader = LogReader(root, start)
        newest: list[dict[str, Any]] = []
        for chunk in _chunks(reader):
            found = [record for run in chunk.runs for record in wanted.records(run)]
            newest = sorted([*newest, *found], key=lambda record: record["at_us"])[-lines:] if lines else []
        if whole or len(newest) >= lines:
            return newest, reader
        back *= _FURTHER_BACK


def _start(root: Path, back: int) -> tuple[Positions, bool]:
    """Where the last `back` segments of each writer begin, and whether that is all there is."""
    start: Positions = {}
    whole = True
    for writer, directory in list_writers(root):
        segments = list_segments(directory)
        if len(segments) > back:
            start[writer] = (*segments[-back].key, 0)
            whole = False
    return start, whole


def _chunks(reader: LogReader) -> Iterator[Chunk]:
    while True:
        chunk = reader.read(RECORDS_A_READ)
        yield chunk
        if chunk.caught_up:
            return


def _follow(reader: LogReader, wanted: Filter) -> None:
    """Until somebody ends it. Raises BrokenPipeError when nobody reads what is written, also while nothing is."""
    listener = select.poll()
    listener.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told unasked
    while True:
        chunk = reader.read(RECORDS_A_READ)
        for run in chunk.runs:
            for record in wanted.records(run):
                _say(record)
        for hole in chunk.lost:
            where = f"{hole.writer} epoch {hole.epoch} segment {hole.number}"
            click.echo(f"plumbline: not readable: {where}: {hole.reason}", err=True)
        if chunk.caught_up and listener.poll(POLL_MS):
            raise BrokenPipeError


def _say(record: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(record).decode())
