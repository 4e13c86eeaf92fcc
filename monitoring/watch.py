"""What of the state is looked at: the windows of a version at a minute, and what an incident knows when it begins.

Law: a window is summed over the arms that are judged; a shadow's answers are its own affair, and its rows were judged where
they were answered.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from monitoring.events import Incident
from monitoring.judge import Judgement, Window
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import ARM_SHADOW, State, Track, Version
from monitoring.tier import Scale
from monitoring.verdict import LABEL, Check
from monitoring.window import MINUTE_S

Counts = npt.NDArray[np.int64]


def windows_of(
    state: State,
    version: Version,
    number: int,
    reference: Reference,
    rules: Rules,
    latched: Iterable[Check],
    segment: str = "",
) -> list[Window]:
    """The windows of a version, or of a segment of it, that are due when minute `number` is closed, and those of its latched
    checks; shortest first.
    """
    tracks = [track for _, track in _judged(state, version, segment)]
    wanted = {check.window_s for check in latched if check.segment == segment}
    found: list[Window] = []
    for minutes, scales in rules.tiers_of(segment).items():
        due = any(track.drift[minutes].due(number) for track in tracks)
        here = [scale for scale in scales if due or scale.window_s in wanted]
        if here:
            found.extend(_windows(tracks, minutes, here, number, reference.size, due, segment))
    return found


def _windows(
    tracks: list[Track], minutes: int, scales: list[Scale], number: int, size: int, due: bool, segment: str
) -> Iterable[Window]:
    lengths = [scale.slices for scale in scales]
    sums = np.zeros((len(scales), size), dtype=np.int64)
    for track in tracks:
        sums += track.drift[minutes].sums(number, lengths, size)
    for scale, counts in zip(scales, sums, strict=True):
        covered = max((track.drift[minutes].covered_minutes(number, scale.slices) for track in tracks), default=0)
        yield Window(scale, covered * MINUTE_S, counts, due, segment)


def incident_of(state: State, version: Version, number: int, began: int, judgement: Judgement) -> Incident:
    """What is known of a breach when it becomes an incident; its worst check's window is the evidence."""
    top = judgement.breaching[0].check
    if top.side == LABEL:
        return _incident_of_labels(state, version, number, began, judgement)
    evidence = judgement.evidence
    assert evidence is not None  # a breach is what was looked at
    window, reference = evidence.window, evidence.reference
    scale, marks = window.scale, state.marks.get(window.scale.slice_minutes)
    arms = {
        arm: track.drift[scale.slice_minutes].sums(number, [scale.slices], reference.size)[0]
        for arm, track in _judged(state, version, top.segment)
    }
    return Incident(
        model=version.model,
        version=version.version,
        digest=version.digest,
        began_minute=began,
        judged_minute=number,
        first_minute=scale.first_minute(number),
        last_minute=scale.last_minute(number),
        covered_s=window.covered_s,
        counts=window.counts,
        arms={arm: counts for arm, counts in arms.items() if counts.any()},
        breaching=judgement.breaching,
        log_range=marks.covering(scale.first_minute(number)) if marks else {},
        reference=reference,
    )


_NO_COLUMNS = Reference.laid_out(())


def _incident_of_labels(state: State, version: Version, number: int, began: int, judgement: Judgement) -> Incident:
    """No window of rows is the evidence of a loss: labels came in the days that its check names."""
    days_s = judgement.breaching[0].check.window_s
    first, longest = number + 1 - days_s // MINUTE_S, max(state.marks, default=0)
    return Incident(
        model=version.model,
        version=version.version,
        digest=version.digest,
        began_minute=began,
        judged_minute=number,
        first_minute=first,
        last_minute=number,
        covered_s=days_s,
        counts=np.zeros(_NO_COLUMNS.size, dtype=np.int64),
        arms={},
        breaching=judgement.breaching,
        log_range=state.marks[longest].covering(first) if longest else {},
        reference=_NO_COLUMNS,
    )


def _judged(state: State, version: Version, segment: str) -> list[tuple[str, Track]]:
    """The arms of a version, or of a segment of it, that are judged, by name."""
    return sorted(
        (
            (key.arm, track)
            for key, track in state.tracks.items()
            if key.version == version and key.segment == segment and key.arm != ARM_SHADOW
        ),
        key=lambda named: named[0],
    )
