"""What happened, minute by minute: records in, events out.

Laws
- Each closed minute is judged once, in order, on exactly the records of it and of the minutes before it; so neither the
  borders of chunks nor the order of writers can show in a verdict, as long as no record is later than `lateness_s`.
- A minute is closed when the watermark (newest event time seen, less `lateness_s`) has passed its end. The watermark
  moves only at a settled chunk, one that leaves no writer behind another.
- A record of a minute that was closed already is counted in every window that still holds its minute, and as late.
- Minutes in which nothing can change are not visited: a year of silence costs no more than the two days that empty the
  windows.

`fold` changes the state in place (see state.py) and returns the events to be sent, oldest first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from monitoring import alert as alerts
from monitoring.alert import Action, Alert
from monitoring.events import Event, Incident, request_retrain
from monitoring.explain.story import Story
from monitoring.explain.tell import Arm, tell
from monitoring.group import Minute, group
from monitoring.judge import Judgement, Window, judge
from monitoring.marks import MarkRing, widen
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import ARM_SHADOW, UNROUTED, Counters, Judged, Key, State, Version
from monitoring.tally import Tally, tally_requests, tally_shadows
from monitoring.window import MINUTE_S, MINUTE_US
from service.featurelog.chunk import Chunk, Lost

References = Mapping[str, Reference]  # by digest; a version that is missing is counted without columns
HOLES = (
    "gap",
    "torn",
    "corrupt",
    "segment missing",
)  # how the reader's reasons begin; anything else is a payload it cannot read


def fold(state: State, chunk: Chunk, *, settled: bool, rules: Rules, references: References) -> list[Event]:
    """Takes in a chunk; `settled`: it was read to the end, or cut where every writer had come equally far."""
    groups = group(chunk.runs)
    _count_holes(state.counters, chunk.lost)
    state.counters.records += groups.records
    state.counters.nameless += groups.nameless
    state.counters.feedback += groups.feedback
    state.max_at_us = max(state.max_at_us, groups.max_at_us)
    state.schemas.update((version.digest, schema) for version, schema in groups.schemas.items())
    if groups.minutes and state.closed is None:
        state.closed = min(groups.minutes) - 1
    if settled:
        state.watermark_us = max(state.watermark_us, state.max_at_us - rules.lateness_s * 1_000_000)
    closable = state.watermark_us // MINUTE_US - 1
    runs = zip(chunk.runs, groups.shadowed, strict=True)
    state.shadows.take(runs, rules.shadow_window_s, state.closed, references)
    events: list[Event] = []
    for number in sorted(groups.minutes):
        # Closing before the next minute is opened bounds the open ones, however much time a chunk spans.
        events += close(state, min(number - 1, closable), rules, references)
        _take_in(state, number, groups.minutes[number], rules, references)
    return events + close(state, closable, rules, references)


def close(state: State, until: int, rules: Rules, references: References) -> list[Event]:
    """Closes and judges every minute up to `until` in which something can change."""
    events: list[Event] = []
    while state.closed is not None and state.closed < until:
        number = max(state.closed + 1, _next_change(state, rules, until))
        if number > until:
            state.closed = until
            break
        events += _close_minute(state, number, rules, references)
    return events


def _count_holes(counters: Counters, lost: Iterable[Lost]) -> None:
    for hole in lost:
        if hole.records is None:
            counters.lost_unknown[_word(hole.reason)] += 1
        else:
            counters.lost[_word(hole.reason)] += hole.records


def _word(reason: str) -> str:
    """The kind of a hole without its offsets: a label must not grow with the log."""
    return next((kind for kind in HOLES if reason.startswith(kind)), "unreadable")


def _take_in(state: State, number: int, minute: Minute, rules: Rules, references: References) -> None:
    late = state.closed is not None and number <= state.closed
    tallies: dict[Key, Tally] = {}
    for key, requests in minute.requests.items():
        tallies[key] = tally_requests(requests, references.get(key.version.digest))
    for key, shadows in minute.shadows.items():
        tallies[key] = tally_shadows(shadows, references.get(key.version.digest))  # no request has this arm
    for key in sorted(tallies):
        tally = tallies[key]
        state.counters.malformed += tally.malformed
        track = state.track(key, number, references.get(key.version.digest), rules)
        if track is None:
            state.counters.refused += _records(minute, key)
            continue
        track.account(number, tally)
        if tally.columns is not None and key in minute.requests:
            requests, closed = minute.requests[key], number if state.closed is None else state.closed
            state.samples.take(key, number, requests, references[key.version.digest], closed, rules.state_bytes_max)
        if late:
            _add_late(state, key, number, tally, _records(minute, key))
        elif (held := state.open.setdefault(number, {}).get(key)) is not None:
            held.add(tally)
        else:
            state.open[number][key] = tally
    if not late and tallies:  # a minute of heartbeats has nothing to judge
        widen(state.open_marks.setdefault(number, {}), minute.marks)
        state.open.setdefault(number, {})


def _records(minute: Minute, key: Key) -> int:
    return len(minute.requests.get(key, ())) + len(minute.shadows.get(key, ()))


def _add_late(state: State, key: Key, number: int, tally: Tally, records: int) -> None:
    state.counters.late += records
    track, closed = state.tracks[key], state.closed or 0
    held = False
    if number >= track.traffic.span.first_minute(closed):
        track.traffic.add(number, tally.traffic)
        held = True
    for ring in track.drift.values():
        if tally.columns is not None and number >= ring.span.first_minute(closed):
            ring.add(number, tally.columns)
            held = True
    state.counters.forgotten += 0 if held else records


def _next_change(state: State, rules: Rules, until: int) -> int:
    """The first minute after the closed one at which records, windows or holds change anything; `until + 1` when none
    does.
    """
    changes = [until + 1, *state.open, *state.shadows.changes()]
    for track in state.tracks.values():
        changes.append(track.last_minute + 2 * rules.longest_minutes)
        changes.extend(change for ring in track.rings() if (change := ring.next_change()) is not None)
    for standing in state.alerts.values():
        at = alerts.due(standing, rules.hold_s, rules.cooldown_s)
        if at is not None and state.closed is not None and at > state.closed:
            changes.append(at)
    return min(changes)


def _close_minute(state: State, number: int, rules: Rules, references: References) -> list[Event]:
    touched = _into_windows(state, number, rules)
    for version, standing in state.alerts.items():
        at = alerts.due(standing, rules.hold_s, rules.cooldown_s)
        if at is not None and at <= number:
            touched.add(version)
    state.closed = number
    state.shadows.advance(number)
    state.samples.advance(number)
    events: list[Event] = []
    if number >= state.judge_from:
        for version in sorted(touched):
            if version.digest in references:
                events += _judge(state, version, number, rules, references)
    _forget_idle(state, number, rules)
    return events


def _into_windows(state: State, number: int, rules: Rules) -> set[Version]:
    """Moves a minute into the windows and what is over out of them; returns the versions that this touched."""
    touched: set[Version] = set()
    tallies = state.open.pop(number, {})
    for key, tally in tallies.items():
        state.tracks[key].traffic.add(number, tally.traffic)
        if tally.columns is not None:
            for ring in state.tracks[key].drift.values():
                ring.add(number, tally.columns)
        touched.add(key.version)
    for key, track in state.tracks.items():
        if sum(ring.advance(number) for ring in track.rings()):  # all of them: any() would stop at the first that moved
            touched.add(key.version)
    marks = state.open_marks.pop(number, {})
    for window_s, span in rules.drift_spans.items():
        ring_of_marks = state.marks.setdefault(window_s, MarkRing(span))
        ring_of_marks.advance(number)
        if marks:
            ring_of_marks.add(number, marks)
    return touched - {UNROUTED}


def _judge(state: State, version: Version, number: int, rules: Rules, references: References) -> list[Event]:
    reference = references[version.digest]
    before = state.alerts.get(version, Alert())
    windows = _windows(state, version, number, reference)
    judgement = judge(
        reference,
        windows,
        rules,
        model=version.model,
        versions=max(1, state.versions_of(version.model)),
        latched=before.latched,
    )
    state.counters.evaluations += 1
    state.judged[version] = Judged(number, judgement)
    after, action = alerts.step(before, judgement.standing, number, rules.hold_s, rules.cooldown_s)
    state.alerts[version] = replace(after, latched=judgement.latched)
    if after.incident is None:
        state.samples.stories.pop(version, None)
    if action is not Action.REQUEST_RETRAIN or after.incident is None:
        return []
    incident = _incident(state, version, number, after.incident, windows, judgement, rules, reference)
    incident = replace(incident, story=_story(state, version, number, judgement, rules, references))
    if incident.story is not None:
        state.samples.stories[version] = incident.story
    return [request_retrain(incident)]


def _windows(state: State, version: Version, number: int, reference: Reference) -> list[Window]:
    """The version's drift windows, summed over the arms that are judged."""
    tracks = [track for key, track in state.tracks.items() if key.version == version and key.arm != ARM_SHADOW]
    found = []
    for window_s in sorted({window_s for track in tracks for window_s in track.drift}):
        rings = [track.drift[window_s] for track in tracks if window_s in track.drift]
        counts = np.zeros(reference.size, dtype=np.int64)
        for ring in rings:
            if ring.total is not None and ring.total.size == counts.size:
                counts += ring.total
        covered = max((ring.covered_minutes(number) for ring in rings), default=0)
        found.append(Window(window_s, covered * MINUTE_S, counts))
    return found


def _incident(
    state: State,
    version: Version,
    number: int,
    began: int,
    windows: list[Window],
    judgement: Judgement,
    rules: Rules,
    reference: Reference,
) -> Incident:
    top = judgement.breaching[0].check
    window = next(window for window in windows if window.window_s == top.window_s)
    marks = state.marks.get(top.window_s)
    arms = {
        key.arm: track.drift[top.window_s].total
        for key, track in sorted(state.tracks.items())
        if key.version == version and key.arm != ARM_SHADOW and top.window_s in track.drift
    }
    return Incident(
        model=version.model,
        version=version.version,
        digest=version.digest,
        began_minute=began,
        judged_minute=number,
        first_minute=rules.drift_spans[top.window_s].first_minute(number),
        covered_s=window.covered_s,
        counts=window.counts,
        arms={arm: total for arm, total in arms.items() if total is not None and total.size == reference.size},
        breaching=judgement.breaching,
        log_range=marks.covering() if marks else {},
        reference=reference,
    )


def _story(
    state: State, version: Version, number: int, judgement: Judgement, rules: Rules, references: References
) -> Story | None:
    """What happened, in words; of the minutes that a replay of the incident reads as well."""
    arms = [
        Arm(
            version=key.version.version,
            arm=key.arm,
            mine=key.version == version,
            reference=references[key.version.digest],
            tiers={span.slice_minutes: ring.slices for span, ring in ((r.span, r) for r in track.drift.values())},
            ladder=state.samples.ladders.get(key),
        )
        for key, track in sorted(state.tracks.items())
        if key.version.model == version.model and key.arm != ARM_SHADOW and key.version.digest in references
    ]
    places = [finding.place for finding in judgement.breaching]
    return tell(arms, places, number + 1 - rules.longest_minutes, number)


def _forget_idle(state: State, number: int, rules: Rules) -> None:
    """A key that was silent for twice the longest window is over; its alert goes with the version's last key."""
    for key in [k for k, t in state.tracks.items() if t.last_minute + 2 * rules.longest_minutes <= number]:
        del state.tracks[key]
    state.samples.keep(state.tracks.keys())
    alive = {key.version for key in state.tracks}
    for digest in state.schemas.keys() - {version.digest for version in alive}:
        del state.schemas[digest]
    for version in [version for version in state.alerts if version not in alive]:
        del state.alerts[version]
        state.judged.pop(version, None)
