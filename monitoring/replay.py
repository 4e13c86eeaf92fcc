"""What would the monitor have sent for a piece of the log?

Laws
- The same records and rules make the same events, byte for byte.
- Minutes before `from_minute` fill the windows and are not judged, so an incident that begins at `from_minute` is
  judged on whole windows, as it was when it happened; it gets the same id and the same body, unless records came later
  than `lateness_s` then.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from monitoring.events import Event
from monitoring.fold import References, close, fold
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.window import MINUTE_US
from service.featurelog.chunk import Chunk, Run


def replay(
    chunks: Iterable[tuple[Chunk, bool]],
    rules: Rules,
    references: Callable[[Chunk], References],
    *,
    from_minute: int,
    to_minute: int,
) -> Iterator[Event]:
    """The events of minutes [from_minute, to_minute); chunks: (chunk, settled), oldest first."""
    state = State(judge_from=from_minute)
    start_us, end_us = (from_minute - rules.longest_minutes) * MINUTE_US, to_minute * MINUTE_US
    known: References = {}
    for chunk, settled in chunks:
        known = references(chunk)
        piece = replace(chunk, runs=tuple(_within(run, start_us, end_us) for run in chunk.runs))
        yield from fold(state, piece, settled=settled, rules=rules, references=known)
    yield from close(state, to_minute - 1, rules, known)


def _within(run: Run, start_us: int, end_us: int) -> Run:
    records = [(seq, record) for seq, record in run.records if start_us <= record.at_us < end_us]
    return run._replace(records=records)
