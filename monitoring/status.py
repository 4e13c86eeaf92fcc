"""What does the monitor know right now, as one frozen value: what a page, a scrape and `GET /api/status` show.

Law: a status is built once a tick by whoever owns the state, and never changes afterwards; readers need no lock.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from models.contract import Privacy
from monitoring.alert import Alert, Phase
from monitoring.arms import ArmStatus, arms_of
from monitoring.dispatch.status import ReceiverStatus
from monitoring.explain.body import story_body
from monitoring.explain.story import Story
from monitoring.judge import Window, look, telling
from monitoring.labels.said import LabelsSaid
from monitoring.reference import Extra, Reference
from monitoring.rollout import outcome as rollout
from monitoring.rollout.control import Reason
from monitoring.rules import Rules
from monitoring.shadows.said import ShadowsSaid
from monitoring.state import ARM_SHADOW, COUNTED, UNROUTED, Judged, State, Version
from monitoring.verdict import DRIFT, LABEL, Check, Drifted, Finding, NoBaseline, Stable, TooFewSamples, word_of
from monitoring.volume.said import VolumeStatus
from monitoring.window import MINUTE_S
from service.featurelog.chunk import Positions
from service.featurelog.record import Schema

STORY_CHARS = 120  # a name in a story, as in an event that need not be cut


class CheckStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check and what it came to; numbers as in monitoring.verdict, absent where there is none."""

    side: str
    column: str
    check: str
    window_s: int
    verdict: str
    n: int
    need: int | None = None
    statistic: float | None = None
    df: int | None = None
    p_value: float | None = None
    effect: float | None = None
    lower_bound: float | None = None
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    trained: float | None = None
    what: str = ""


class AlertStatus(msgspec.Struct, frozen=True):
    """Where a version's alert stands; times in seconds since the Unix epoch, event time. `story`: of the open incident."""

    phase: Phase
    since_s: int
    incident_s: int | None
    latched: tuple[str, ...]
    story: Mapping[str, Any] | None = None


class SegmentStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the rows: those that it was learnt from, since when, and until when (absent while it is being learnt: nothing
    is judged); its checks as those of the version.
    """

    segment: str
    learnt_rows: int
    learnt_from_s: int
    learnt_until_s: int | None = None
    drift: tuple[CheckStatus, ...] = ()
    skew: tuple[CheckStatus, ...] = ()


class SegmentRefused(msgspec.Struct, frozen=True):
    """A declaration that gives no segment of this version, and why."""

    declared: str
    reason: str


class VersionStatus(msgspec.Struct, frozen=True):
    """Everything about one model version; `judged_s` is the end of the last judged minute, `drift` and `skew` have each
    check once, in the window that says most, `not_watched` are the features that are dropped before they are written.
    """

    model: str
    version: str
    digest: str
    arms: tuple[ArmStatus, ...]
    alert: AlertStatus
    judged_s: int | None
    standing: str | None
    drift: tuple[CheckStatus, ...]
    skew: tuple[CheckStatus, ...]
    not_watched: tuple[str, ...] = ()
    labels: tuple[CheckStatus, ...] = ()
    segments: tuple[SegmentStatus, ...] = ()
    segments_refused: tuple[SegmentRefused, ...] = ()


class OutboxStatus(msgspec.Struct, frozen=True):
    """What was, is and could not be delivered by this process, over all receivers; `receiver` is the host of the first one,
    never the whole url; `silences` are those that hold now.
    """

    receiver: str | None
    pending: int = 0
    kept: int = 0
    refused: int = 0
    attempts: int = 0
    delivered: int = 0
    failures: int = 0
    last_error: str = ""
    disabled: bool = False
    receivers: tuple[ReceiverStatus, ...] = ()
    silences: int = 0


class LogStatus(msgspec.Struct, frozen=True):
    """How far the log was read, and what was odd about it."""

    positions: Positions
    caught_up: bool
    lag_bytes: int
    watermark_s: float
    closed_s: int | None
    counters: Mapping[str, int]
    lost_records: Mapping[str, int]
    lost_holes: Mapping[str, int]


class Archived(msgspec.Struct, frozen=True):
    """What passes of the archive did: counts that add up."""

    segments: int = 0
    segment_bytes: int = 0
    records: int = 0
    rows: int = 0
    file_bytes: int = 0
    lost_records: int = 0
    lost_holes: int = 0
    malformed: int = 0
    merged: int = 0
    let_go_segments: int = 0
    let_go_files: int = 0


class ArchiveStatus(Archived, frozen=True):
    """What the archive's passes did since the monitor started; `waiting_…`: sealed segments that are not archived yet, the
    oldest of them last written at `oldest_waiting_s` since the Unix epoch.
    """

    passes: int = 0
    failures: Mapping[str, int] = {}
    last_error: str = ""
    took_s: float = 0.0
    damaged_files: int = 0
    waiting_segments: int = 0
    waiting_bytes: int = 0
    oldest_waiting_s: float | None = None


class ExplainStatus(msgspec.Struct, frozen=True):
    """What became of the explanations of new events since the monitor started; failures by reason."""

    explained: int = 0
    skipped: int = 0
    failures: Mapping[str, int] = {}
    last_error: str = ""


class RolloutStatus(msgspec.Struct, frozen=True):
    """What a rollout came to at the last look; `minute_s` is the end of the newest closed minute, `percent` the share that the
    evidence permits: the step's. `stands` is None where something could not be read or changed: `problem`. `paused`: a person
    said so.
    """

    model: str
    version: str
    minute_s: int | None
    outcome: rollout.Outcome | None
    sentence: str
    step: int | None
    percent: float | None
    guards: tuple[rollout.Finding, ...]
    stands: Reason | None
    problem: str
    changes: Mapping[str, int]
    problems: Mapping[str, int]
    paused: bool = False


class LoopStatus(msgspec.Struct, frozen=True):
    """How the loop itself fares; `keys` and `state_bytes` against their limits, `reserve_bytes` held for a full disk."""

    ticks: int
    errors: int
    last_error: str
    checkpoints: int
    keys: int
    keys_max: int
    state_bytes: int
    state_bytes_max: int
    reserve_bytes: int = 0


class Status(msgspec.Struct, frozen=True):
    """All of it."""

    versions: tuple[VersionStatus, ...]
    unrouted: tuple[ArmStatus, ...]
    outbox: OutboxStatus
    log: LogStatus
    loop: LoopStatus
    rules: Rules
    archive: ArchiveStatus = ArchiveStatus()
    shadows: ShadowsSaid = ShadowsSaid()
    labels: LabelsSaid = LabelsSaid()
    rollouts: tuple[RolloutStatus, ...] = ()
    explained: ExplainStatus = ExplainStatus()
    volumes: tuple[VolumeStatus, ...] = ()


def versions_of(
    state: State, rules: Rules, references: Mapping[str, Reference] | None = None
) -> tuple[VersionStatus, ...]:
    """Every version that is counted, by name; `references` by digest: they know the segments."""
    known = references or {}
    versions = sorted({key.version for key in state.tracks} - {UNROUTED})
    return tuple(_version(state, version, rules, known.get(version.digest)) for version in versions)


def newest_of(versions: Iterable[VersionStatus]) -> tuple[VersionStatus, ...]:
    """One digest a name, the one judged last: a version pinned anew during development must not be shown twice."""
    held: dict[tuple[str, str], VersionStatus] = {}
    for version in versions:
        known = held.get((version.model, version.version))
        if known is None or (version.judged_s or 0) >= (known.judged_s or 0):
            held[version.model, version.version] = version
    return tuple(held.values())


def traffic_of(version: VersionStatus) -> float:
    """Rows a minute that are judged, over the traffic window."""
    return 60 * sum(arm.rows_per_s or 0.0 for arm in version.arms if arm.arm != ARM_SHADOW)


def unrouted_of(state: State, rules: Rules) -> tuple[ArmStatus, ...]:
    """The requests that no version was chosen for."""
    return arms_of(state, UNROUTED, rules)


def log_of(state: State, positions: Positions, *, caught_up: bool, lag_bytes: int) -> LogStatus:
    """How far the log was read."""
    counters = state.counters
    return LogStatus(
        positions=positions,
        caught_up=caught_up,
        lag_bytes=lag_bytes,
        watermark_s=state.watermark_us / 1e6,
        closed_s=None if state.closed is None else (state.closed + 1) * MINUTE_S,
        counters={**{name: getattr(counters, name) for name in COUNTED}, "unsampled": state.samples.unsampled},
        lost_records=dict(counters.lost),
        lost_holes=dict(counters.lost_unknown),
    )


def _version(state: State, version: Version, rules: Rules, reference: Reference | None) -> VersionStatus:
    judged = state.judged.get(version)
    checks = (
        []
        if judged is None
        else [_check(finding) for finding in _telling(judged.reference, judged.windows.values(), version, state, rules)]
    )
    beside = () if judged is None else judged.judgement.beside
    return VersionStatus(
        model=version.model,
        version=version.version,
        digest=version.digest,
        arms=arms_of(state, version, rules),
        alert=_alert(state.alerts.get(version, Alert()), state.samples.stories.get(version)),
        judged_s=None if judged is None else (judged.minute + 1) * MINUTE_S,
        standing=_standing(judged),
        drift=tuple(check for check in checks if check.check == DRIFT),
        skew=tuple(check for check in checks if check.check != DRIFT),
        not_watched=_dropped(state.schemas.get(version.digest)),
        labels=tuple(_check(finding) for finding in beside if finding.check.side == LABEL),
        segments=() if reference is None else tuple(_segments(state, version, reference, judged, rules)),
        segments_refused=() if reference is None else _refused(reference),
    )


def _segments(
    state: State, version: Version, reference: Reference, judged: Judged | None, rules: Rules
) -> Iterator[SegmentStatus]:
    windows = {} if judged is None else judged.segments
    for segment in reference.segments.segments:
        learnt = state.learnt.get((version, segment.name))
        if learnt is None or not learnt.fits(reference):
            continue
        own = [windows[place] for place in sorted(windows) if place[0] == segment.name]
        checks = [_check(finding) for finding in _telling(learnt.reference(reference), own, version, state, rules)]
        yield SegmentStatus(
            segment=segment.name,
            learnt_rows=reference.extra(learnt.counts, Extra.ROWS_ANSWERED),
            learnt_from_s=learnt.since * MINUTE_S,
            learnt_until_s=None if learnt.until is None else (learnt.until + 1) * MINUTE_S,
            drift=tuple(check for check in checks if check.check == DRIFT),
            skew=tuple(check for check in checks if check.check != DRIFT),
        )


def _refused(reference: Reference) -> tuple[SegmentRefused, ...]:
    return tuple(SegmentRefused(refused.declared, refused.reason) for refused in reference.segments.refused)


def _telling(
    reference: Reference, windows: Iterable[Window], version: Version, state: State, rules: Rules
) -> list[Finding]:
    """Exact looks at all windows, which deciding did without."""
    versions = max(1, state.versions_of(version.model))
    fitting = [window for window in windows if window.counts.size == reference.size]
    return telling(look(reference, fitting, rules, model=version.model, versions=versions))


def _dropped(schema: Schema | None) -> tuple[str, ...]:
    private = {} if schema is None or schema.private is None else schema.private
    return tuple(name for name, word in private.items() if word is Privacy.DROP)


def _standing(judged: Judged | None) -> str | None:
    return None if judged is None else judged.judgement.standing.value


def _alert(alert: Alert, story: Story | None) -> AlertStatus:
    incident = None if alert.incident is None else alert.incident * MINUTE_S
    latched = tuple(sorted(check.id for check in alert.latched))
    told = None if story is None else story_body(story, STORY_CHARS)
    return AlertStatus(alert.phase, alert.since * MINUTE_S, incident, latched, told)


def _check(finding: Finding) -> CheckStatus:
    word = word_of(finding.verdict)
    match finding.verdict:
        case Stable() | Drifted() as seen:
            return msgspec.structs.replace(
                _named(finding.check, word, seen.n),
                statistic=seen.statistic,
                df=seen.df,
                p_value=seen.p_value,
                effect=seen.effect,
                lower_bound=seen.lower_bound,
                tolerance=seen.tolerance,
                low=seen.low,
                high=seen.high,
                trained=seen.trained,
                what=seen.what,
            )
        case TooFewSamples(have, need):
            return msgspec.structs.replace(_named(finding.check, word, have), need=need)
        case NoBaseline(n):
            return _named(finding.check, word, n)


def _named(about: Check, verdict: str, n: int) -> CheckStatus:
    return CheckStatus(about.side, about.column, about.test, about.window_s, verdict, n)
