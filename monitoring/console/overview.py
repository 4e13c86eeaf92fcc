"""What does the console show at a glance: one status in as many lines as there are versions, whatever they have of features.

Law: it is bounded by versions and receivers, not by checks, because it goes to every open page once a second; the checks of a
version are asked for by the page that shows them.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from monitoring.arms import ArmStatus
from monitoring.console.headline import Headline, breaching, checks_of, headlines_of
from monitoring.state import ARM_SHADOW
from monitoring.status import CheckStatus, LoopStatus, OutboxStatus, Status, VersionStatus, newest_of


class VersionLine(msgspec.Struct, frozen=True):
    """One version; `checks`: how many by verdict; `worst`: the one furthest beyond its tolerance."""

    model: str
    version: str
    digest: str
    phase: str
    since_s: int
    incident_s: int | None
    judged_s: int | None
    features: int
    checks: Mapping[str, int]
    worst: CheckStatus | None
    arms: tuple[ArmStatus, ...]


class Ledger(msgspec.Struct, frozen=True):
    """The log as the monitor read it: `requests` and `rows` by outcome over all versions, `counters` as in a status;
    `caught_up` and `lag_bytes`: how far it is.
    """

    caught_up: bool
    lag_bytes: int
    watermark_s: float
    closed_s: int | None
    requests: Mapping[str, int]
    rows: Mapping[str, int]
    counters: Mapping[str, int]
    lost_records: Mapping[str, int]
    lost_holes: Mapping[str, int]
    archived_rows: int
    waiting_segments: int


class RolloutLine(msgspec.Struct, frozen=True):
    """A rollout in one sentence; `stands` as in a status, empty where something could not be read or changed."""

    model: str
    version: str
    sentence: str
    percent: float | None
    problem: str
    stands: str
    paused: bool


class Overview(msgspec.Struct, frozen=True):
    """All of it; `at_s`: when it was sent, seconds since the Unix epoch."""

    at_s: float
    headlines: tuple[Headline, ...]
    versions: tuple[VersionLine, ...]
    ledger: Ledger
    outbox: OutboxStatus
    loop: LoopStatus
    rollouts: tuple[RolloutLine, ...]


def overview_of(status: Status, unhealthy: str | None, at_s: float) -> Overview:
    """What a page shows of this status."""
    return Overview(
        at_s=at_s,
        headlines=headlines_of(status, unhealthy),
        versions=tuple(map(_line, newest_of(status.versions))),
        ledger=_ledger(status),
        outbox=status.outbox,
        loop=status.loop,
        rollouts=tuple(
            RolloutLine(one.model, one.version, one.sentence, one.percent, one.problem, one.stands or "", one.paused)
            for one in status.rollouts
        ),
    )


def _line(version: VersionStatus) -> VersionLine:
    checks = checks_of(version)
    return VersionLine(
        model=version.model,
        version=version.version,
        digest=version.digest,
        phase=version.alert.phase.value,
        since_s=version.alert.since_s,
        incident_s=version.alert.incident_s,
        judged_s=version.judged_s,
        features=len({one.column for one in version.drift if one.side == "feature"}),
        checks=Counter(one.verdict for one in checks),
        worst=next(iter(breaching(version)), None),
        arms=version.arms,
    )


def _ledger(status: Status) -> Ledger:
    requests, rows = Counter[str](), Counter[str]()
    for arm in (
        *(arm for version in status.versions for arm in version.arms if arm.arm != ARM_SHADOW),
        *status.unrouted,
    ):
        requests.update(arm.requests)
        rows.update(arm.rows)
    log = status.log
    return Ledger(
        caught_up=log.caught_up,
        lag_bytes=log.lag_bytes,
        watermark_s=log.watermark_s,
        closed_s=log.closed_s,
        requests=requests,
        rows=rows,
        counters=log.counters,
        lost_records=log.lost_records,
        lost_holes=log.lost_holes,
        archived_rows=status.archive.rows,
        waiting_segments=status.archive.waiting_segments,
    )
