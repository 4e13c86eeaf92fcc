"""What does the monitor know right now, as one frozen value: what a page, a scrape and `GET /api/status` show.

Law: a status is built once a tick by whoever owns the state, and never changes afterwards; readers need no lock.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from models.contract import Privacy
from monitoring.alert import Alert, Phase
from monitoring.dispatch.status import ReceiverStatus
from monitoring.explain.body import story_body
from monitoring.explain.story import Story
from monitoring.judge import look, telling
from monitoring.rollout import outcome as rollout
from monitoring.rollout.control import Reason
from monitoring.rules import Rules
from monitoring.shadows.said import ShadowsSaid
from monitoring.sketch import quantile
from monitoring.state import UNROUTED, Judged, Key, State, Track, Version
from monitoring.tally import OUTCOMES, Traffic
from monitoring.verdict import DRIFT, Check, Drifted, Finding, NoBaseline, Stable, TooFewSamples
from monitoring.window import MINUTE_S
from service.featurelog.chunk import Positions
from service.featurelog.record import Outcome, Schema

QUANTILES = (0.5, 0.95, 0.99)
STORY_CHARS = 120  # a name in a story, as in an event that need not be cut


class ArmStatus(msgspec.Struct, frozen=True):
    """Traffic of one arm: rates and latency of the traffic window, totals since the log began.

    Rates are None while the window holds no closed minute; `error_ratio` is failed and shed of all, `rejected_ratio`
    apart.
    """

    arm: str
    window_s: int
    covered_s: int
    requests_per_s: float | None
    rows_per_s: float | None
    error_ratio: float | None
    rejected_ratio: float | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    latency_ms_p99: float | None
    requests: Mapping[str, int]
    rows: Mapping[str, int]


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


class AlertStatus(msgspec.Struct, frozen=True):
    """Where a version's alert stands; times in seconds since the Unix epoch, event time. `story`: of the open incident."""

    phase: Phase
    since_s: int
    incident_s: int | None
    latched: tuple[str, ...]
    story: Mapping[str, Any] | None = None


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
    evidence permits: the step's. `stands` is None where something could not be read or changed: `problem`.
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
    rollouts: tuple[RolloutStatus, ...] = ()
    explained: ExplainStatus = ExplainStatus()


def versions_of(state: State, rules: Rules) -> tuple[VersionStatus, ...]:
    """Every version that is counted, by name."""
    versions = sorted({key.version for key in state.tracks} - {UNROUTED})
    return tuple(_version(state, version, rules) for version in versions)


def unrouted_of(state: State, rules: Rules) -> tuple[ArmStatus, ...]:
    """The requests that no version was chosen for."""
    return _arms(state, UNROUTED, rules)


def log_of(state: State, positions: Positions, *, caught_up: bool, lag_bytes: int) -> LogStatus:
    """How far the log was read."""
    counters = state.counters
    names = ("records", "late", "forgotten", "refused", "malformed", "nameless", "feedback", "evaluations")
    return LogStatus(
        positions=positions,
        caught_up=caught_up,
        lag_bytes=lag_bytes,
        watermark_s=state.watermark_us / 1e6,
        closed_s=None if state.closed is None else (state.closed + 1) * MINUTE_S,
        counters={**{name: getattr(counters, name) for name in names}, "unsampled": state.samples.unsampled},
        lost_records=dict(counters.lost),
        lost_holes=dict(counters.lost_unknown),
    )


def _version(state: State, version: Version, rules: Rules) -> VersionStatus:
    judged = state.judged.get(version)
    checks = [] if judged is None else [_check(finding) for finding in _telling(judged, version, state, rules)]
    return VersionStatus(
        model=version.model,
        version=version.version,
        digest=version.digest,
        arms=_arms(state, version, rules),
        alert=_alert(state.alerts.get(version, Alert()), state.samples.stories.get(version)),
        judged_s=None if judged is None else (judged.minute + 1) * MINUTE_S,
        standing=_standing(judged),
        drift=tuple(check for check in checks if check.check == DRIFT),
        skew=tuple(check for check in checks if check.check != DRIFT),
        not_watched=_dropped(state.schemas.get(version.digest)),
    )


def _telling(judged: Judged, version: Version, state: State, rules: Rules) -> list[Finding]:
    """Exact looks at all windows, which deciding did without."""
    versions = max(1, state.versions_of(version.model))
    windows = [window for window in judged.windows.values() if window.counts.size == judged.reference.size]
    return telling(look(judged.reference, windows, rules, model=version.model, versions=versions))


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


def _arms(state: State, version: Version, rules: Rules) -> tuple[ArmStatus, ...]:
    found = sorted((key, track) for key, track in state.tracks.items() if key.version == version)
    return tuple(_arm(key, track, state.closed or 0, rules) for key, track in found)


def _arm(key: Key, track: Track, closed: int, rules: Rules) -> ArmStatus:
    covered_s = track.traffic.covered_minutes(closed) * MINUTE_S
    total = track.traffic.total
    rates: dict[str, float | None] = dict.fromkeys(("requests_per_s", "rows_per_s", "error_ratio", "rejected_ratio"))
    latency_us: list[float | None] = [None] * len(QUANTILES)
    if total is not None and covered_s:
        by_outcome = dict(zip(OUTCOMES, total[Traffic.REQUESTS : Traffic.ROWS].tolist(), strict=True))
        requests, rows = sum(by_outcome.values()), int(total[Traffic.ROWS : Traffic.LATENCY].sum())
        failed = by_outcome[Outcome.FAILED] + by_outcome[Outcome.SHED]
        rates = {
            "requests_per_s": requests / covered_s,
            "rows_per_s": rows / covered_s,
            "error_ratio": failed / requests if requests else None,
            "rejected_ratio": by_outcome[Outcome.REJECTED] / requests if requests else None,
        }
        latency_us = [quantile(total[Traffic.LATENCY :], q) for q in QUANTILES]
    p50, p95, p99 = (None if value is None else value / 1000 for value in latency_us)
    return ArmStatus(
        arm=key.arm,
        window_s=rules.traffic_window_s,
        covered_s=covered_s,
        latency_ms_p50=p50,
        latency_ms_p95=p95,
        latency_ms_p99=p99,
        requests=dict(zip((outcome.value for outcome in OUTCOMES), track.requests.tolist(), strict=True)),
        rows=dict(zip((outcome.value for outcome in OUTCOMES), track.rows.tolist(), strict=True)),
        **rates,
    )


def _check(finding: Finding) -> CheckStatus:
    match finding.verdict:
        case Stable() | Drifted() as seen:
            return msgspec.structs.replace(
                _named(finding.check, "drifted" if isinstance(seen, Drifted) else "stable", seen.n),
                statistic=seen.statistic,
                df=seen.df,
                p_value=seen.p_value,
                effect=seen.effect,
                lower_bound=seen.lower_bound,
                tolerance=seen.tolerance,
            )
        case TooFewSamples(have, need):
            return msgspec.structs.replace(_named(finding.check, "too_few_samples", have), need=need)
        case NoBaseline(n):
            return _named(finding.check, "no_baseline", n)


def _named(about: Check, verdict: str, n: int) -> CheckStatus:
    return CheckStatus(about.side, about.column, about.test, about.window_s, verdict, n)
