"""What does the log say of a rollout? Reads document and log, and hands each closed minute to the core."""

from collections.abc import Callable, Iterator
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
from monitoring.rollout.labels import Labels
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
    follower = Follower(settings, model, rollout, from_minute)
    yield from follower.read(to_minute)
    follower.check()


class Follower:
    """Reads the log of one rollout on and on, so that a monitor sees what a replay of the same log will.

    Raises RecordsLetGo where retention took some of what is to be read first; what it takes later has been read.
    """

    def __init__(self, settings: Settings, model: str, rollout: Rollout, from_minute: int | None = None) -> None:
        if from_minute is None and rollout.since is not None:
            from_minute = ceil(rollout.since.timestamp() / MINUTE_S)
        self._settings, self._rollout = settings, rollout
        self._from_minute = _whole_from(settings) if from_minute is None else from_minute
        self.check()
        self._references = References(Registry(settings.home / "registry"))
        self._intake = Intake(settings.home / "log", {}, settings.records_max)
        guard, lateness_s = rollout.guards.labels, settings.rules().lateness_s
        labels = None if guard is None else Labels(guard)
        self._collector = Collector(model, rollout.version, lateness_s, self._from_minute, labels=labels)
        self._watched: tuple[Watch, Progress] | None = None

    def read(self, to_minute: int | None = None, stop: Callable[[], bool] = lambda: False) -> Iterator[Said]:
        """The outcomes of the minutes that were closed since, up to this one; nothing more after a Rollback or Done.

        `stop`: asked before each chunk, so that who reads a long log can be ended.
        """
        while not self._over() and not stop():
            chunk, settled = self._intake.read()
            known = self._references.learn(schemas_named(chunk.runs))
            for minute in self._collector.take(chunk, settled=settled, references=known):
                if to_minute is not None and minute.number >= to_minute:
                    return
                yield self._judged(minute)
                if self._over():
                    return
            if chunk.caught_up:
                return

    def check(self) -> None:
        """Raises RecordsLetGo where the raw records from the beginning on are not all there."""
        if (whole := _whole_from(self._settings)) > self._from_minute:
            raise RecordsLetGo(stamp(whole), f"{stamp(self._from_minute)} and later", "nothing was judged")

    def _over(self) -> bool:
        return self._watched is not None and self._watched[1].ended is not None

    def _judged(self, minute: Minute) -> Said:
        if self._watched is None and minute.concurrent:
            watch = Watch.of(self._rollout.guards, self._collector.cuts)
            self._watched = watch, begin(watch)
        if self._watched is None:
            return Said(minute.number, Hold(NoTraffic("stable" if minute.canary.any() else "canary")))
        watch, progress = self._watched
        progress, outcome = decide(self._rollout, watch, progress, minute)
        self._watched = watch, progress
        return Said(minute.number, outcome, self._watched)


def _whole_from(settings: Settings) -> int:
    return whole_from(raw.max_at_us for raw in floors(settings.home / "log").values())
