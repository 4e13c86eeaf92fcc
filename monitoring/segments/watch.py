"""Which windows of a version's segments are judged when a minute is closed, and when are segments known well enough to be?

Law: a segment is judged in the minutes after it was learnt, by the reference of its own.
"""

from collections.abc import Iterable

from monitoring.judge import Window
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State, Version
from monitoring.verdict import Check
from monitoring.watch import windows_of


def segments_of(
    state: State, version: Version, number: int, reference: Reference, rules: Rules, latched: Iterable[Check]
) -> list[tuple[Reference, list[Window]]]:
    """Of each segment its reference, the windows that are due when `number` is closed, and those of latched checks."""
    held, found = list(latched), []
    for segment in reference.segments.segments:
        learnt = state.learnt.get((version, segment.name))
        if learnt is None or not learnt.judges(number) or not learnt.fits(reference):
            continue
        own = learnt.reference(reference)
        windows = windows_of(state, version, number, own, rules, held, segment=segment.name)
        if windows:
            found.append((own, windows))
    return found


def learn(state: State, version: Version, number: int, reference: Reference, rules: Rules) -> None:
    """Ends the learning of the version's segments that have learnt enough by the end of this minute."""
    for segment in reference.segments.segments:
        learnt = state.learnt.get((version, segment.name))
        if learnt is not None and learnt.until is None:
            learning_s, rows_min = rules.segment_learning_s, rules.segment_rows_min
            learnt.complete(number, reference, learning_s=learning_s, rows_min=rows_min)
