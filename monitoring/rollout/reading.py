"""What does the log say of a rollout? Reads document and log, and hands each closed minute to the core."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from models.registry import Registry
from monitoring.errors import RecordsLetGo, RolloutInvalid
from monitoring.events import stamp
from monitoring.group import schemas_named
from monitoring.intake import Intake
from monitoring.references import References
from monitoring.replay import whole_from
from monitoring.rollout.collect import Collector
from monitoring.rollout.decide import Progress, begin, decide
from monitoring.rollout.document import Rollout
from monitoring.rollout.evidence import Minute
from monitoring.rollout.guards import Watch
from monitoring.rollout.outcome import Hold, NoTraffic, Outcome
from monitoring.settings import Settings
from monitoring.window import MINUTE_S
from service.featurelog.floors import floors

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
    """The outcome of every minute of the log in [from_minute, to_minute), ended by the first Rollback or Done.

    Raises RecordsLetGo where retention took some of what was asked for, also meanwhile; without a beginning it begins where the
    raw records do.
    """
    if from_minute is None and rollout.since is not None:
        from_minute = ceil(rollout.since.timestamp() / MINUTE_S)
    if from_minute is None:
        from_minute = _whole_from(settings)
    _all_there(settings, from_minute)
    collector = Collector(model, rollout.version, settings.rules().lateness_s, from_minute)
    yield from _judged(rollout, collector, _minutes(settings, collector), to_minute)
    _all_there(settings, from_minute)


def _judged(rollout: Rollout, collector: Collector, minutes: Iterable[Minute], to_minute: int | None) -> Iterator[Said]:
    watched: tuple[Watch, Progress] | None = None
    for minute in minutes:
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


def _whole_from(settings: Settings) -> int:
    return whole_from(raw.max_at_us for raw in floors(settings.home / "log").values())


def _all_there(settings: Settings, from_minute: int) -> None:
    if (whole := _whole_from(settings)) > from_minute:
        raise RecordsLetGo(stamp(whole), f"{stamp(from_minute)} and later", "nothing was judged")
