"""What is the one sentence that matters right now, and what else does a person have to know?

Laws
- Headlines come worst first, of equals the newest, before them what has no beginning: who reads only the first one has read the
  most urgent.
- Quiet is said only where something was judged: nothing judged is `unknown`, never `good`.
- A headline is a function of one status and of why the monitor is not watching.
"""

from collections.abc import Iterator
from enum import StrEnum
from math import inf

import msgspec

from monitoring.alert import Phase
from monitoring.status import CheckStatus, OutboxStatus, Status, VersionStatus
from monitoring.verdict import DRIFT
from monitoring.volume.said import VolumeStatus

LAG_BYTES_TOLD = 32 * 1024 * 1024  # what a monitor reads in some seconds: less is no news
HEADLINES_MAX = 50  # a page is read by people
JUDGED = ("stable", "drifted")


class Level(StrEnum):
    """How bad it is."""

    BAD = "bad"
    WARN = "warn"
    GOOD = "good"
    UNKNOWN = "unknown"


class Headline(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sentence with its `word`; `todo`: what to do about it, `command`: with what; `feature`: where to look."""

    level: Level
    word: str
    sentence: str
    todo: str = ""
    command: str = ""
    model: str = ""
    version: str = ""
    feature: str = ""
    since_s: int | None = None


def headlines_of(status: Status, unhealthy: str | None) -> tuple[Headline, ...]:
    """All of them, worst first; at least one."""
    found = [*_watching(unhealthy), *_alerts(status.versions), *_beside(status)]
    ranked = sorted(found, key=lambda one: (one.level is not Level.BAD, -(one.since_s or inf)))
    return tuple(ranked[:HEADLINES_MAX]) or (_calm(status),)


def breaching(version: VersionStatus) -> list[CheckStatus]:
    """What stands out, furthest beyond its tolerance first."""
    drifted = [one for one in checks_of(version) if one.verdict == "drifted"]
    return sorted(drifted, key=lambda one: -(one.effect or 0.0) / (one.tolerance or 1.0))


def checks_of(version: VersionStatus) -> tuple[CheckStatus, ...]:
    """Every check of a version once."""
    return (*version.drift, *version.skew, *version.labels)


def _watching(unhealthy: str | None) -> Iterator[Headline]:
    if unhealthy is not None:
        yield Headline(
            Level.BAD,
            "Not watching",
            f"The monitor is not watching: {unhealthy}.",
            "Nothing below is newer than its last good tick. Look at what the monitor wrote to its own log, and at the disk.",
            "plumbline log verify",
        )


def _alerts(versions: tuple[VersionStatus, ...]) -> Iterator[Headline]:
    for version in versions:
        match version.alert.phase:
            case Phase.FIRING:
                yield _incident(version)
            case Phase.PENDING:
                yield _about(version, Level.WARN, "Suspect", f"{_worst(version)}; an incident if it holds")
            case Phase.COOLING:
                sentence = "what stood out fits training again; the incident is over if it stays so"
                yield _about(version, Level.WARN, "Recovering", sentence)
            case Phase.QUIET:
                pass


def _incident(version: VersionStatus) -> Headline:
    story = version.alert.story or {}
    todo, command = _what_to_do(version, str(story.get("cause", "unknown")))
    told = _about(version, Level.BAD, "Incident", str(story.get("sentence") or _worst(version)))
    columns = story.get("columns") or ()
    feature = str(columns[0]["column"]) if columns else told.feature
    since_s = version.alert.incident_s or version.alert.since_s
    return msgspec.structs.replace(told, todo=todo, command=command, feature=feature, since_s=since_s)


def _what_to_do(version: VersionStatus, cause: str) -> tuple[str, str]:
    match cause:
        case "data":
            return (
                "The data changed, so another version would be hit as well: mend the source. Until then, answers rest on "
                "values that the model was not trained on.",
                f"plumbline log tail -f --model {version.model}",
            )
        case "version":
            return (
                "Only this version's answers changed: go back to the one before.",
                f"plumbline routes rollback {version.model}",
            )
        case _:
            return "Look at the histogram and at example rows, then mend the source or go back a version.", (
                f"plumbline routes rollback {version.model}"
            )


def _about(version: VersionStatus, level: Level, word: str, sentence: str) -> Headline:
    worst = next(iter(breaching(version)), None)
    return Headline(
        level,
        word,
        f"{version.model} {version.version}: {sentence}.",
        model=version.model,
        version=version.version,
        feature="" if worst is None else worst.column,
        since_s=version.alert.since_s,
    )


def _worst(version: VersionStatus) -> str:
    worst = next(iter(breaching(version)), None)
    if worst is None:
        return "what stood out cannot be judged now"
    if worst.check == DRIFT:
        return f"`{worst.column}` drifts from training by {worst.effect or 0:.3g} PSI, {worst.tolerance or 0:.2g} is tolerated"
    where = f"`{worst.column}`" if worst.column else "the request"
    found, tolerated = worst.effect or 0, worst.tolerance or 0
    return f"{where}: {worst.check.replace('_', ' ')} ({worst.side}), {found:.3g} where {tolerated:.2g} is tolerated"


def _beside(status: Status) -> Iterator[Headline]:
    """What concerns the monitor's own work, and the rows that come."""
    lost = sum(status.log.lost_records.values())
    holes = sum(status.log.lost_holes.values())
    if lost or holes:
        yield _warn(
            "Log has holes",
            f"{lost} records and {holes} holes of unknown size are lost from the log.",
            "plumbline log verify",
        )
    if status.log.lag_bytes >= LAG_BYTES_TOLD and not status.log.caught_up:
        yield _warn("Behind", f"The monitor has {status.log.lag_bytes / 2**20:.0f} MiB of the log still to read.")
    yield from _delivery(status.outbox)
    if status.archive.last_error:
        yield _warn("Archive", f"The last pass of the archive failed: {status.archive.last_error}.")
    for rollout in status.rollouts:
        if rollout.problem:
            sentence = f"{rollout.model} {rollout.version}: the rollout stands: {rollout.problem}."
            yield _warn("Rollout", sentence, f"plumbline rollout status {rollout.model}")
    yield from map(_volume, (one for one in status.volumes if one.verdict == "changed"))


def _delivery(outbox: OutboxStatus) -> Iterator[Headline]:
    for receiver in outbox.receivers:
        if receiver.disabled:
            yield _warn("Receiver gone", f"{receiver.name} asked for no more events (410).", "plumbline monitor events")
    due = sum(receiver.events.get("due", 0) for receiver in outbox.receivers)
    if due and outbox.last_error:
        yield _warn("Delivery", f"{due} events are not delivered yet: {outbox.last_error}.", "plumbline monitor events")
    if outbox.refused:
        yield _warn(
            "Outbox full", f"{outbox.refused} events were refused, too many were pending.", "plumbline monitor events"
        )


def _volume(one: VolumeStatus) -> Headline:
    usual = f"{one.low or 0:.0f} to {one.high or 0:.0f} are usual"
    return Headline(
        Level.WARN, "Traffic", f"{one.model}: {one.rows} rows in the last whole hour, {usual}.", model=one.model
    )


def _warn(word: str, sentence: str, command: str = "") -> Headline:
    return Headline(Level.WARN, word, sentence, command=command)


def _calm(status: Status) -> Headline:
    versions = status.versions
    if not status.loop.ticks:
        return Headline(Level.UNKNOWN, "Starting", "The monitor has started and is reading the log.")
    if not versions:
        todo = "Send a request to the service; what it answers is logged and appears here."
        return Headline(Level.UNKNOWN, "No data", "No request has been seen in the log yet.", todo)
    judged = sum(one.verdict in JUDGED for version in versions for one in checks_of(version))
    unjudged = sum(not any(one.verdict in JUDGED for one in checks_of(version)) for version in versions)
    if not judged:
        return Headline(
            Level.UNKNOWN,
            "Too little data",
            f"{_count(len(versions), 'version')} seen, none has rows enough to be judged.",
            f"A window is judged from {status.rules.n_min} rows on, and minutes count when they are over.",
        )
    rest = f"; {_count(unjudged, 'version')} cannot be judged yet" if unjudged else ""
    return Headline(
        Level.GOOD,
        "All quiet",
        f"Nothing stands out in {_count(judged, 'check')} of {_count(len(versions) - unjudged, 'version')}{rest}.",
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
