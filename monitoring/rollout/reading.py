"""What does the log say of a rollout? Reads document and log, and hands each closed minute to the core."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from models.registry import Registry
from monitoring.errors import RolloutInvalid
from monitoring.group import schemas_named
from monitoring.intake import Intake
from monitoring.references import References
from monitoring.rollout.collect import Collector
from monitoring.rollout.decide import Progress, begin, decide
from monitoring.rollout.document import Rollout
from monitoring.rollout.evidence import Minute
from monitoring.rollout.guards import Watch
from monitoring.rollout.outcome import Hold, NoTraffic, Outcome
from monitoring.settings import Settings
from monitoring.window import MINUTE_S

FOLDER = "rollouts"


@dataclass(frozen=True, slots=True)
class Said:
    """What follows after a minute; `watched`: from the first minute with both arms on."""

    minute: int
    outcome: Outcome
    watched: tuple[Watch, Progress] | None = None


def document(home: Path, model: str) -> Rollout:
    """The model's rollout. Raises RolloutInvalid."""
    if Path(model).name != model:
        raise RolloutInvalid("model", repr(model), "the name of a model")
    path = home / FOLDER / f"{model}.toml"
    try:
        return Rollout.decode(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise RolloutInvalid(str(path), "no file", "a rollout as docs/rollouts.md describes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RolloutInvalid(str(path), str(error), "a readable text in UTF-8") from error


def said(
    settings: Settings, model: str, rollout: Rollout, *, from_minute: int | None = None, to_minute: int | None = None
) -> Iterator[Said]:
    """The outcome of every minute of the log in [from_minute, to_minute), ended by the first Rollback or Done."""
    if from_minute is None:
        from_minute = 0 if rollout.since is None else ceil(rollout.since.timestamp() / MINUTE_S)
    collector = Collector(model, rollout.version, settings.rules().lateness_s, from_minute)
    watched: tuple[Watch, Progress] | None = None
    for minute in _minutes(settings, collector):
        if to_minute is not None and minute.number >= to_minute:
            return
        if watched is None and minute.concurrent:
            watch = Watch.of(rollout.guards, collector.cuts)
            watched = watch, begin(watch)
        if watched is None:
            yield Said(minute.number, Hold(NoTraffic("stable" if minute.canary.any() else "canary")))
            continue
        watch, progress = watched
        progress, outcome = decide(rollout, watch, progress, minute)
        watched = watch, progress
        yield Said(minute.number, outcome, watched)
        if progress.ended is not None:
            return


def _minutes(settings: Settings, collector: Collector) -> Iterator[Minute]:
    references = References(Registry(settings.home / "registry"))
    intake = Intake(settings.home / "log", {}, settings.records_max)
    while True:
        chunk, settled = intake.read()
        known = references.learn(schemas_named(chunk.runs))
        yield from collector.take(chunk, settled=settled, references=known)
        if chunk.caught_up:
            return
