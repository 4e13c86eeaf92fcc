"""What would the monitor have sent for a piece of the log?

Laws
- The same records and rules make the same events, byte for byte.
- Minutes before `from_minute` fill the windows and are not judged, so an incident that begins at `from_minute` is
  judged on whole windows, as it was when it happened; it gets the same id and the same body, unless records came later
  than `lateness_s` then.
- An incident that stood at `from_minute` goes on: it is no event of the piece, nor is a relapse of it.
- A segment that had been learnt is compared with what was learnt; one that had not is not judged.
- A piece of which raw records were let go is not judged: what is left of it would make other events, or none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum

from monitoring.alert import Alert
from monitoring.events import Event
from monitoring.fold import References, close, fold
from monitoring.rules import Rules
from monitoring.segments.learnt import Learnt
from monitoring.state import State, Version
from monitoring.window import MINUTE_US
from service.featurelog.chunk import Chunk, Run

NEVER_S = 10**12  # no piece of a log is so long: what was not learnt then is not learnt from a piece


class Reach(Enum):
    """How much of what a replay reads is still there."""

    WHOLE = "all of it"
    WINDOWS_CUT = "what is judged, but not all that fills the windows before it"
    CUT = "not all that is judged"


def reach(whole_from: int, from_minute: int, rules: Rules) -> Reach:
    """`whole_from`: the first minute from which on no raw record was let go."""
    if whole_from > from_minute:
        return Reach.CUT
    return Reach.WINDOWS_CUT if whole_from > from_minute - rules.longest_minutes else Reach.WHOLE


def whole_from(let_go_us: Iterable[int]) -> int:
    """The first minute behind the latest records that were let go, a time for each writer; 0 where there are none."""
    return max((at_us // MINUTE_US + 1 for at_us in let_go_us if at_us), default=0)


def replay(
    chunks: Iterable[tuple[Chunk, bool]],
    rules: Rules,
    references: Callable[[Chunk], References],
    *,
    from_minute: int,
    to_minute: int,
    learnt: Mapping[tuple[Version, str], Learnt] | None = None,
    standing: Mapping[Version, Alert] | None = None,
) -> Iterator[Event]:
    """The events of minutes [from_minute, to_minute); chunks: (chunk, settled), oldest first; `learnt`: what segments are
    compared with, `standing`: the alerts that had an incident when the piece began.
    """
    finished = {of: known for of, known in (learnt or {}).items() if known.until is not None}
    state = State(judge_from=from_minute, learnt=finished, alerts=dict(standing or {}))
    rules = replace(rules, segment_learning_s=NEVER_S)
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
