"""What of the state survives a restart, and its bytes.

Laws
- decode(encode(s)) folds on exactly as s would: same verdicts, same events, same counters.
- What was last judged is not stored: it is found again when the next minute closes.
- A window that the rules no longer name is dropped with what is latched in it; a new one begins with the slices that were held
  for others, else empty; alerts and totals stay.

The bytes are MessagePack.
"""

from collections import Counter

import msgspec
import numpy as np

from monitoring import series as traffic
from monitoring.alert import Alert, Phase
from monitoring.errors import CheckpointInvalid
from monitoring.explain import stored as samples_stored
from monitoring.labels import stored as labels_stored
from monitoring.marks import LogRange, MarkTier
from monitoring.rules import Rules
from monitoring.segments import learnt as segments
from monitoring.shadows import stored as shadows_stored
from monitoring.state import COUNTED, Counters, Key, State, Track, Version
from monitoring.tally import TRAFFIC_SIZE, Tally
from monitoring.tier import Tier
from monitoring.vectors import StoredRing, StoredVector, pack, pack_ring, unpack, unpack_ring
from monitoring.verdict import LABEL, Check
from monitoring.volume import arrivals as hours
from service.featurelog.record import Schema

FORMAT = 2  # 1 had a ring of slices for each window


class _Track(msgspec.Struct, frozen=True, array_like=True):
    key: tuple[str, ...]
    traffic: StoredRing
    drift: dict[int, dict[int, StoredVector]]
    first_minute: int
    last_minute: int
    requests: list[int]
    rows: list[int]


class _Tally(msgspec.Struct, frozen=True, array_like=True):
    minute: int
    key: tuple[str, ...]
    traffic: StoredVector
    columns: StoredVector | None
    malformed: int


class _Alert(msgspec.Struct, frozen=True, array_like=True):
    version: tuple[str, str, str]
    phase: Phase
    since: int
    breach_since: int | None
    clear_since: int | None
    incident: int | None
    latched: list[Check]


class _Marks(msgspec.Struct, frozen=True, array_like=True):
    slice_minutes: int
    slices: dict[int, LogRange]


class Stored(msgspec.Struct, frozen=True):
    """The state as it is written."""

    format: int
    max_at_us: int
    watermark_us: int
    closed: int | None
    open: list[_Tally]
    open_marks: dict[int, LogRange]
    tracks: list[_Track]
    marks: list[_Marks]
    alerts: list[_Alert]
    schemas: list[Schema]
    counters: dict[str, int]
    lost: dict[str, int]
    lost_unknown: dict[str, int]
    shadows: shadows_stored.StoredBook | None = None  # checkpoints of earlier versions have none
    samples: samples_stored.StoredSamples | None = None  # the same
    labels: labels_stored.StoredBook | None = None
    arrivals: list[hours.StoredHours] = []
    learnt: list[segments.StoredLearnt] = []
    series: list[traffic.StoredSteps] = []


def store(state: State) -> Stored:
    """The state as a value to be written."""
    return Stored(
        format=FORMAT,
        max_at_us=state.max_at_us,
        watermark_us=state.watermark_us,
        closed=state.closed,
        open=[_pack_tally(minute, key, tally) for minute, held in state.open.items() for key, tally in held.items()],
        open_marks={minute: dict(state.open_marks.get(minute, {})) for minute in {*state.open, *state.open_marks}},
        tracks=[_pack_track(key, track) for key, track in state.tracks.items()],
        marks=[_Marks(minutes, tier.slices) for minutes, tier in state.marks.items()],
        alerts=[
            _Alert(version, a.phase, a.since, a.breach_since, a.clear_since, a.incident, sorted(a.latched))
            for version, a in state.alerts.items()
        ],
        schemas=list(state.schemas.values()),
        counters={name: getattr(state.counters, name) for name in COUNTED},
        lost=dict(state.counters.lost),
        lost_unknown=dict(state.counters.lost_unknown),
        shadows=shadows_stored.store(state.shadows),
        samples=samples_stored.store(state.samples),
        labels=labels_stored.store(state.labels),
        arrivals=hours.store(state.arrivals),
        learnt=[segments.store(version, name, learnt) for (version, name), learnt in state.learnt.items()],
        series=traffic.store(state.series),
    )


def restore(stored: Stored, rules: Rules) -> State:
    """The state that was written, for these rules. Raises CheckpointInvalid."""
    if stored.format != FORMAT:
        raise CheckpointInvalid("format", str(stored.format), str(FORMAT))
    try:
        return _restore(stored, rules)
    except (ValueError, TypeError) as error:
        raise CheckpointInvalid("contents", str(error), "counts as this version writes them") from error


def _restore(stored: Stored, rules: Rules) -> State:
    state = State(max_at_us=stored.max_at_us, watermark_us=stored.watermark_us, closed=stored.closed)
    state.open_marks = {minute: dict(marks) for minute, marks in stored.open_marks.items()}
    state.open = {minute: {} for minute in state.open_marks}
    for held in stored.open:
        columns = None if held.columns is None else unpack(held.columns)
        tally = Tally(unpack(held.traffic, TRAFFIC_SIZE), columns, held.malformed)
        state.open.setdefault(held.minute, {})[_key(held.key)] = tally
    state.tracks = {_key(held.key): _unpack_track(held, rules) for held in stored.tracks}
    for marks in stored.marks:
        if marks.slice_minutes in rules.tiers:
            state.marks[marks.slice_minutes] = MarkTier(marks.slice_minutes, dict(marks.slices))
    state.schemas = {schema.digest: schema for schema in stored.schemas}
    for alert in stored.alerts:
        latched = frozenset(
            check
            for check in alert.latched
            if check.side == LABEL or check.window_s in (rules.segment_scales if check.segment else rules.scales)
        )
        state.alerts[Version(*alert.version)] = Alert(
            alert.phase, alert.since, alert.breach_since, alert.clear_since, alert.incident, latched
        )
    known = {name: count for name, count in stored.counters.items() if name in COUNTED}
    state.counters = Counters(**known, lost=Counter(stored.lost), lost_unknown=Counter(stored.lost_unknown))
    if stored.samples is not None:
        state.samples = samples_stored.restore(stored.samples)
    if stored.shadows is not None:
        state.shadows = shadows_stored.restore(stored.shadows, rules.shadow_window_s)
    if stored.labels is not None:
        state.labels = labels_stored.restore(stored.labels)
    state.arrivals = hours.restore(stored.arrivals)
    state.series = traffic.restore(stored.series)
    state.learnt = {(Version(*held.version), held.segment): segments.restore(held) for held in stored.learnt}
    return state


def _pack_track(key: Key, track: Track) -> _Track:
    return _Track(
        key=_names(key),
        traffic=pack_ring(track.traffic),
        drift={minutes: _pack_tier(tier) for minutes, tier in track.drift.items()},
        first_minute=track.first_minute,
        last_minute=track.last_minute,
        requests=track.requests.tolist(),
        rows=track.rows.tolist(),
    )


def _unpack_track(held: _Track, rules: Rules) -> Track:
    segment = _key(held.key).segment
    return Track(
        traffic=unpack_ring(held.traffic, rules.traffic_span),
        drift={minutes: _unpack_tier(minutes, held.drift.get(minutes, {})) for minutes in rules.tiers_of(segment)},
        first_minute=held.first_minute,
        last_minute=held.last_minute,
        requests=np.array(held.requests, dtype=np.int64),
        rows=np.array(held.rows, dtype=np.int64),
    )


def _pack_tier(tier: Tier) -> dict[int, StoredVector]:
    return {number: pack(counts) for number, counts in tier.slices.items()}


def _unpack_tier(minutes: int, slices: dict[int, StoredVector]) -> Tier:
    return Tier(minutes, {number: unpack(vector) for number, vector in slices.items()})


def _pack_tally(minute: int, key: Key, tally: Tally) -> _Tally:
    columns = None if tally.columns is None else pack(tally.columns)
    return _Tally(minute, _names(key), pack(tally.traffic), columns, tally.malformed)


def _names(key: Key) -> tuple[str, ...]:
    whole = (*key.version, key.arm)
    return (*whole, key.segment) if key.segment else whole


def _key(names: tuple[str, ...]) -> Key:
    return Key(Version(*names[:3]), *names[3:])
