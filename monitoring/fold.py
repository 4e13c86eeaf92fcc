"""What happened, minute by minute: records in, events out.

Laws
- Each closed minute is judged once, in order, on exactly the records of it and of the minutes before it; so neither the
  borders of chunks nor the order of writers can show in a verdict, as long as no record is later than `lateness_s`.
- A minute is closed when the watermark (newest event time seen, less `lateness_s`) has passed its end. The watermark
  moves only at a settled chunk, one that leaves no writer behind another.
- A record of a minute that was closed already is counted in every window that still holds its minute, and as late.
- Minutes in which nothing can change are not visited: a year of silence costs no more than the slices that leave the windows.

`fold` changes the state in place (see state.py) and returns the requests for retraining, oldest first; the ends of
incidents wait in `state.ended`, what is known of stories that failed in `state.untold`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from monitoring import alert as alerts
from monitoring.alert import Action, Alert, Phase
from monitoring.events import CLEARED, FORGOTTEN, Event, incident_ended, request_retrain
from monitoring.group import Minute, group
from monitoring.judge import Judgement, judge
from monitoring.labels import held as labels
from monitoring.marks import MarkTier, widen
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.segments.count import count_segments
from monitoring.segments.learnt import Learnt
from monitoring.segments.watch import learn, segments_of
from monitoring.state import ARM_SHADOW, UNROUTED, Counters, Judged, Key, State, Version
from monitoring.tally import TRAFFIC_SIZE, Tally, Traffic, tally_requests, tally_shadows
from monitoring.telling import story_of, story_or_none
from monitoring.verdict import LABEL, Check, Finding
from monitoring.watch import incident_of, windows_of
from monitoring.window import MINUTE_US
from service.featurelog.chunk import Chunk, Lost
from service.featurelog.record import Request

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
        tallies.update(_segments(key, requests, references))
    for key, shadows in minute.shadows.items():
        tallies[key] = tally_shadows(shadows, references.get(key.version.digest))  # no request has this arm
    for key in sorted(tallies):
        tally = tallies[key]
        state.counters.malformed += tally.malformed
        track = state.track(key, number, references.get(key.version.digest), rules)
        if track is None:
            state.counters.refused += _records(minute, key)
            state.counters.unsegmented += _segment_rows(key, tally, references)
            continue
        track.account(number, tally)
        if tally.columns is not None and key in minute.requests:
            requests, closed = minute.requests[key], number if state.closed is None else state.closed
            state.samples.take(
                (key.version, key.arm), number, requests, references[key.version.digest], closed, rules.state_bytes_max
            )
        if key.version != UNROUTED and key.arm != ARM_SHADOW and not key.segment:
            state.arrivals.take(key.version.model, number, int(tally.traffic[Traffic.ROWS : Traffic.LATENCY].sum()))
        if late:
            _add_late(state, key, number, tally, _records(minute, key))
        elif (held := state.open.setdefault(number, {}).get(key)) is not None:
            held.add(tally)
        else:
            state.open[number][key] = tally
    answered = [(key.version, some) for key, some in sorted(minute.requests.items())]
    open_minute = number if state.closed is None else max(number, state.closed + 1)
    labels.take(state.labels, open_minute, answered, minute.feedback, rules, references)
    if not late and tallies:  # a minute of heartbeats has nothing to judge
        widen(state.open_marks.setdefault(number, {}), minute.marks)
        state.open.setdefault(number, {})


def _segments(key: Key, requests: list[Request], references: References) -> dict[Key, Tally]:
    """The counts of the parts of these rows that are watched on their own."""
    reference = references.get(key.version.digest)
    if reference is None or not reference.segments.segments:
        return {}
    nothing = np.zeros(TRAFFIC_SIZE, dtype=np.int64)
    counted = count_segments(requests, reference)
    return {key._replace(segment=name): Tally(nothing.copy(), counts) for name, counts in counted.items()}


def _segment_rows(key: Key, tally: Tally, references: References) -> int:
    if not key.segment or tally.columns is None:
        return 0
    return references[key.version.digest].extra(tally.columns, Extra.ROWS_ANSWERED)


def _records(minute: Minute, key: Key) -> int:
    return len(minute.requests.get(key, ())) + len(minute.shadows.get(key, ()))


def _add_late(state: State, key: Key, number: int, tally: Tally, records: int) -> None:
    state.counters.late += records
    track, closed = state.tracks[key], state.closed or 0
    held = False
    if not key.segment and number >= track.traffic.span.first_minute(closed):
        track.traffic.add(number, tally.traffic)
        held = True
    for tier in track.drift.values():
        if tally.columns is not None and tier.holds(number, closed):
            tier.add(number, tally.columns)
            held = True
    state.counters.forgotten += 0 if held else records


def _next_change(state: State, rules: Rules, until: int) -> int:
    """The first minute after the closed one at which records, windows or holds change anything; `until + 1` when none
    does.
    """
    changes = [until + 1, *state.open, *state.shadows.changes(), *labels.changes(state.labels, rules)]
    if state.closed is None:
        return min(changes)
    for track in state.tracks.values():
        changes.append(track.last_minute + 2 * rules.longest_minutes)
        due = (track.next_due(state.closed), track.traffic.next_change())
        changes.extend(change for change in due if change is not None)
    for standing in state.alerts.values():
        at = alerts.due(standing, rules.hold_s, rules.cooldown_s)
        if at is not None and at > state.closed:
            changes.append(at)
    return min(changes)


def _close_minute(state: State, number: int, rules: Rules, references: References) -> list[Event]:
    _into_windows(state, number, rules)
    touched = {key.version for key, track in state.tracks.items() if any(t.due(number) for t in track.drift.values())}
    touched |= {Version(*version) for version in labels.close(state.labels, number, rules)} & {
        key.version for key in state.tracks
    }
    for version, standing in state.alerts.items():
        at = alerts.due(standing, rules.hold_s, rules.cooldown_s)
        if at is not None and at <= number:
            touched.add(version)
    for track in state.tracks.values():
        track.advance(number)
    for version in touched:
        if version.digest in references:
            learn(state, version, number, references[version.digest], rules)
    state.closed = number
    state.shadows.advance(number)
    state.samples.advance(number)
    events: list[Event] = []
    if number >= state.judge_from:
        for version in sorted(touched - {UNROUTED}):
            if version.digest in references:
                events += _judge(state, version, number, rules, references)
    _forget_idle(state, number, rules)
    return events


def _into_windows(state: State, number: int, rules: Rules) -> None:
    for key, tally in state.open.pop(number, {}).items():
        track = state.tracks[key]
        if not key.segment:
            track.traffic.add(number, tally.traffic)
            state.series.take((*key.version, key.arm), number, tally.traffic)
        elif tally.columns is not None:
            held_by = state.learnt.setdefault((key.version, key.segment), Learnt(number, np.zeros_like(tally.columns)))
            held_by.take(number, tally.columns)
        if tally.columns is not None:
            for tier in track.drift.values():
                tier.add(number, tally.columns)
    marks = state.open_marks.pop(number, {})
    for minutes in rules.tiers:
        held = state.marks.setdefault(minutes, MarkTier(minutes))
        held.advance(number)
        if marks:
            held.add(number, marks)


def _judge(state: State, version: Version, number: int, rules: Rules, references: References) -> list[Event]:
    reference = references[version.digest]
    before = state.alerts.get(version, Alert())
    beside = labels.findings(state.labels, version, rules, reference)
    latched = _can_clear(before.latched, reference, beside)
    known = state.judged.get(version)
    judgement = judge(
        reference,
        windows_of(state, version, number, reference, rules, latched),
        rules,
        model=version.model,
        versions=max(1, state.versions_of(version.model)),
        latched=latched,
        segments=segments_of(state, version, number, reference, rules, latched),
        beside=beside,
        before=None if known is None else known.judgement.looks,
    )
    state.counters.evaluations += 1
    state.judged[version] = _judged(known, number, judgement, reference)
    after, action = alerts.step(before, judgement.standing, number, rules.hold_s, rules.cooldown_s)
    state.alerts[version] = replace(after, latched=judgement.latched)
    if after.incident is None:
        state.samples.stories.pop(version, None)
    if after.incident != before.incident:
        _end(state, version, before, CLEARED)
    if action is not Action.REQUEST_RETRAIN or after.incident is None:
        return []
    incident = incident_of(state, version, number, after.incident, judgement)
    told = partial(story_of, state, version, number, judgement, rules, references)
    story = story_or_none(state, version, number, told)
    if story is not None:
        state.samples.stories[version] = story
    return [request_retrain(replace(incident, story=story))]


def _can_clear(latched: frozenset[Check], reference: Reference, beside: Sequence[Finding]) -> frozenset[Check]:
    """Without the checks of a segment that is declared no more, and those of labels that are made no more: of another
    output, or of a version that the book has forgotten. One that lacks data is made, and stays.
    """
    watched, made = {"", *reference.segments.names}, {finding.check for finding in beside}
    return frozenset(check for check in latched if (check in made if check.side == LABEL else check.segment in watched))


def _judged(known: Judged | None, number: int, judgement: Judgement, reference: Reference) -> Judged:
    windows = {} if known is None else dict(known.windows)
    segments = {} if known is None else dict(known.segments)
    windows.update((window.scale.window_s, window) for window in judgement.windows)
    segments.update(((window.segment, window.scale.window_s), window) for window in judgement.segments)
    return Judged(number, judgement, windows, reference, segments)


def _end(state: State, version: Version, alert: Alert, why: str) -> None:
    """Notes the end of the incident that the alert held, if it held one: it was clear when it began to cool."""
    if alert.incident is not None and alert.phase in (Phase.FIRING, Phase.COOLING):
        state.ended.append(incident_ended(version, alert.incident, alert.since, why))


def _forget_idle(state: State, number: int, rules: Rules) -> None:
    """A key that was silent for twice the longest window is over; its alert goes with the version's last key."""
    if (
        number < state.judge_from
    ):  # the windows are being filled: of a version whose alert stands nothing may have come yet
        return
    for key in [k for k, t in state.tracks.items() if t.last_minute + 2 * rules.longest_minutes <= number]:
        del state.tracks[key]
    state.samples.keep({(key.version, key.arm) for key in state.tracks})
    alive = {key.version for key in state.tracks}
    for digest in state.schemas.keys() - {version.digest for version in alive}:
        del state.schemas[digest]
    state.arrivals.forget({version.model for version in alive})
    state.series.forget({(*key.version, key.arm) for key in state.tracks})
    for gone in [of for of in state.learnt if of[0] not in alive]:
        del state.learnt[gone]
    for version in sorted(version for version in state.alerts if version not in alive):
        _end(state, version, replace(state.alerts.pop(version), since=number), FORGOTTEN)
        state.judged.pop(version, None)
