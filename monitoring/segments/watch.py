"""Which segments of a version are looked at when a minute is closed, and when are they known well enough to be?

Law: all segments of a model together have one part of the budget, shared among them, their windows, looks and checks, drift and
skew alike; a segment that has not learnt yet keeps its share.
"""

from collections.abc import Iterable

from monitoring.budget import Part, level
from monitoring.judge import SMALL_SAMPLE_MARGIN, Alphas, Look, look
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.skew import checks_of
from monitoring.state import ARM_SHADOW, State, Track, Version
from monitoring.tier import Scale
from monitoring.verdict import Check
from monitoring.watch import windows_of


def look_at_segments(
    state: State, version: Version, number: int, reference: Reference, rules: Rules, latched: Iterable[Check]
) -> list[Look]:
    """The looks at the windows that are due when `number` is closed, and at those of latched checks."""
    by_segment: dict[str, list[Check]] = {segment.name: [] for segment in reference.segments.segments}
    for check in latched:
        by_segment.get(check.segment, []).append(check)
    versions = max(1, state.versions_of(version.model))
    looks: list[Look] = []
    for name, held in by_segment.items():
        learnt = state.learnt.get((version, name))
        if learnt is None or not learnt.judges(number) or not learnt.fits(reference):
            continue
        windows = windows_of(state, version, number, reference, rules, held, segment=name)
        if windows:
            own = learnt.reference(reference)
            alphas = [_alphas(rules, own, versions, window.scale) for window in windows]
            looks += look(own, windows, rules, alphas, model=version.model)
    return looks


def _alphas(rules: Rules, reference: Reference, versions: int, scale: Scale) -> Alphas:
    def of(checks: int) -> float:
        return level(
            rules.budget_alarms_per_30_days / 2,
            Part.SEGMENTS,
            windows=len(rules.segment_scales),
            scale=scale,
            checks=checks * len(reference.segments.segments),
            versions=versions,
        )

    return Alphas(drift=of(len(reference.columns)) / SMALL_SAMPLE_MARGIN, skew=of(checks_of(reference)))


def learn(state: State, version: Version, number: int, reference: Reference, rules: Rules) -> None:
    """Ends the learning of the version's segments that have learnt enough by the end of this minute."""
    for segment in reference.segments.segments:
        learnt = state.learnt.get((version, segment.name))
        if learnt is not None and learnt.until is None:
            learnt.complete(
                number,
                [track.drift for track in _tracks(state, version, segment.name)],
                reference,
                learning_s=rules.segment_learning_s,
                rows_min=rules.segment_rows_min,
            )


def _tracks(state: State, version: Version, segment: str) -> list[Track]:
    return [
        track
        for key, track in state.tracks.items()
        if key.version == version and key.segment == segment and key.arm != ARM_SHADOW
    ]
