"""In which order does the monitor carry out rollouts: read the log → ask the core → read the routes → change them.

Laws
- It decides nothing: what follows is `decide`'s to say, what is done about it `control`'s.
- It keeps nothing on disk: a monitor that starts again reads log, routes and audit log, and comes to the same.
- What cannot be read or changed is counted by a word, told in the status, and tried again at the next look; one rollout's
  trouble is no other's.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from monitoring.errors import AdminRefused, AdminUnreachable, MonitorError, RolloutInvalid
from monitoring.rollout.control import Action, People, Reason, Routes, SetShare, Stay, Word, act, order, people_of
from monitoring.rollout.decide import findings
from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import Finding
from monitoring.rollout.people import words
from monitoring.rollout.reading import FOLDER, Follower, Said, document
from monitoring.rollout.words import raised, sentence
from monitoring.status import RolloutStatus
from monitoring.window import MINUTE_S
from service.featurelog.errors import FeatureLogError

ROLLOUTS_MAX = 32  # followed at once, the first by name: each reads the log by itself
WHY_CHARS_MAX = 1000  # what the admin API takes


class Admin(Protocol):
    """A service's admin API."""

    def routes(self, model: str) -> Routes: ...

    def change(self, model: str, order: dict[str, Any]) -> int: ...


@dataclass(slots=True)
class _Course:
    """One rollout since this process follows it; the counters outlive a changed document."""

    rollout: Rollout | None = None
    follower: Follower | None = None
    newest: Said | None = None
    people: People = field(default_factory=People)
    told: str = ""
    changes: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)


class Controller:
    """Runs as a task beside the loop; `follow` begins to read the log of a rollout, `admin` None: it only says."""

    def __init__(self, *, home: Path, follow: Callable[[str, Rollout], Follower], admin: Admin | None) -> None:
        self._home, self._follow, self._admin = home, follow, admin
        self._courses: dict[str, _Course] = {}
        self._status: tuple[RolloutStatus, ...] = ()
        self._stopping = False

    def status(self) -> tuple[RolloutStatus, ...]:
        """What the last look came to. Replaced whole, so any thread may ask."""
        return self._status

    async def run(self, interval_s: float) -> None:
        """Looks until it is cancelled; a look that goes on then ends soon, and changes nothing more."""
        try:
            while True:
                await asyncio.to_thread(self.look)
                await asyncio.sleep(interval_s)
        finally:
            self._stopping = True

    def look(self) -> None:
        """One look at every rollout that has a document."""
        models = sorted(path.stem for path in (self._home / FOLDER).glob("*.toml"))[:ROLLOUTS_MAX]
        self._courses = {model: self._courses.get(model) or _Course() for model in models}
        self._status = tuple(self._look_at(model, course) for model, course in self._courses.items())

    def _look_at(self, model: str, course: _Course) -> RolloutStatus:
        problem = ""
        stands: Reason | None = None
        try:
            self._read(model, course)
            stands = self._control(model, course)
        except RolloutInvalid as error:
            course.problems["document"] += 1
            problem = str(error)
        except (AdminUnreachable, AdminRefused) as error:
            course.problems[error.word] += 1
            problem = str(error)
        except (MonitorError, FeatureLogError, OSError) as error:  # the log: what was read of it may be half of a chunk
            course.follower = None
            course.problems["log"] += 1
            problem = f"{type(error).__name__}: {error}"
        self._tell(model, course, problem or stands or "")
        return _status(model, course, stands=stands, problem=problem)

    def _read(self, model: str, course: _Course) -> None:
        """Reads what is new of document and log."""
        rollout = document(self._home, model)
        if course.follower is None or rollout != course.rollout:
            course.rollout, course.newest = rollout, None
            course.follower = self._follow(model, rollout)
        for said in course.follower.read(stop=lambda: self._stopping):
            course.newest = said

    def _control(self, model: str, course: _Course) -> Reason:
        """Does what is to be done now, and returns how it stands."""
        course.people = people_of(self._words(model))
        if self._admin is None or course.rollout is None or self._stopping:  # what was read may not be all
            return Reason.SAYS_ONLY
        outcome = None if course.newest is None else course.newest.outcome
        routes = self._admin.routes(model)
        action = act(course.rollout, outcome, _step(course) or 0, routes, course.people)
        if isinstance(action, Stay):
            return action.reason
        self._change(model, course, routes, action)
        return Reason.CHANGED

    def _words(self, model: str) -> list[Word]:
        """Raises RolloutInvalid, also where the disk does not give them: nothing is wrong with what was read of the log."""
        try:
            return words(self._home, model)
        except OSError as error:
            raise RolloutInvalid(f"what people said of {model}", str(error), "a file that can be read") from error

    def _change(self, model: str, course: _Course, routes: Routes, action: Action) -> None:
        assert self._admin is not None
        assert course.rollout is not None
        why = _why(course)
        if isinstance(action, SetShare) and (step := _step(course)) is not None:
            why = raised(step, course.rollout, _guards(course))[:WHY_CHARS_MAX]
        made = self._admin.change(model, order(action, course.rollout, routes.generation, why))
        told = msgspec.to_builtins(action)
        course.changes[told["do"]] += 1
        structlog.get_logger().info("rollout_changed_routes", model=model, generation=made, why=why, **told)

    def _tell(self, model: str, course: _Course, told: str) -> None:
        """Says where it stands, once each time that changes."""
        if told not in (course.told, Reason.CHANGED) and not self._stopping:
            structlog.get_logger().info("rollout_stands", model=model, stands=told, why=_why(course))
        course.told = told


def _why(course: _Course) -> str:
    if course.rollout is None or course.newest is None:
        return "no closed minute yet"
    return sentence(course.newest.outcome, course.rollout)[:WHY_CHARS_MAX]


def _guards(course: _Course) -> list[Finding]:
    if course.rollout is None or course.newest is None or course.newest.watched is None:
        return []
    return findings(course.rollout, *course.newest.watched)


def _step(course: _Course) -> int | None:
    """Of the evidence; None before the first minute with both arms."""
    return None if course.newest is None or course.newest.watched is None else course.newest.watched[1].step


def _status(model: str, course: _Course, *, stands: Reason | None, problem: str) -> RolloutStatus:
    rollout, newest, step = course.rollout, course.newest, _step(course)
    return RolloutStatus(
        model=model,
        version="" if rollout is None else rollout.version,
        minute_s=None if newest is None else (newest.minute + 1) * MINUTE_S,
        outcome=None if newest is None else newest.outcome,
        sentence=_why(course),
        step=step,
        percent=None if rollout is None or step is None else rollout.steps[step],
        guards=tuple(_guards(course)),
        stands=stands,
        problem=problem,
        paused=course.people.paused,
        changes=dict(course.changes),
        problems=dict(course.problems),
    )
