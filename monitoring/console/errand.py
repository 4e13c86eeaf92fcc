"""How is one order carried out? The routes and the rollout are looked at, then it is done, then it is told.

Laws
- All that can fail before the change is done before it: what people said is read first, and the generation is compared.
- What was made is told as made, whatever fails afterwards: routes and history are then told as far as the plan says them.
- Where the service does not say what became of a change, neither do we: OutcomeUnknown, never "not done".
- All of it has one end; each call waits as long as is left, and a look no longer than LOOK_S.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Literal

from monitoring.console.order import ROUTED, Asked, Told, entry_after, moves, order_of, said, told
from monitoring.errors import AdminRefused, AdminUnreachable, OutcomeUnknown
from monitoring.rollout.admin import AdminApi
from monitoring.rollout.control import Plan, Routes, Word, people_of
from monitoring.rollout.people import say, words
from monitoring.rollout.reading import document

ORDER_S = 30.0  # a look, the wait for workers, what the service needs to follow and to write, a little after
LOOK_S = 5.0  # of one call that reads: milliseconds on a service that is well
UNTOLD = "; the service did not tell afterwards who changed the routes"


@dataclass(frozen=True, slots=True)
class Seen:
    """What stood before the order; `words`: of people, oldest first."""

    routes: Routes
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """`url`: of the service, which the token opens; `until_s`: its end, of the monotonic clock. Both steps block."""

    home: Path
    url: str
    token: str
    model: str
    asked: Asked
    until_s: float

    def look(self) -> Seen:
        """Raises AdminRefused, AdminUnreachable, RolloutInvalid, OSError."""
        kept = tuple(words(self.home, self.model))
        with self._admin(LOOK_S) as admin:
            routes = admin.routes(self.model)
        if self.asked.generation is not None and self.asked.generation != routes.generation:
            found = f"generation {routes.generation}, expected {self.asked.generation}"
            raise AdminRefused(409, "routes_conflict", f"{found}: the routes were changed meanwhile")
        return Seen(routes, kept)

    def do(self, seen: Seen) -> Told:
        """Raises AdminRefused, AdminUnreachable, OutcomeUnknown, RolloutInvalid, TimeoutError, OSError."""
        if self.asked.do in ROUTED:
            return self._routed(seen)
        paused = people_of(seen.words).paused
        if self.asked.do not in ("pause", "resume"):
            return told(self.asked, self.model, seen.routes, seen.words, "", paused=paused)
        sentence = said(self.asked.do, document(self.home, self.model).version, paused=paused)
        kept, made = seen.words, not self.asked.dry_run
        if made:
            word = self._word(seen.routes.generation)
            say(self.home, self.model, word)
            kept, paused = (*kept, word), word.do == "pause"
        return told(self.asked, self.model, seen.routes, kept, sentence, paused=paused, made=made)

    def _routed(self, seen: Seen) -> Told:
        plan = self._planned(seen.routes.generation)
        sentence, after = moves(plan.shares, made=plan.made), seen.routes
        if plan.made and (read := self._read()) is not None:
            after = read
        elif plan.made:
            entry = entry_after(seen.routes.entry, plan.shares, self.model)
            sentence, after = sentence + UNTOLD, Routes(plan.generation, entry, seen.routes.changes)
        return told(
            self.asked,
            self.model,
            after,
            seen.words,
            sentence,
            made=plan.made,
            shares=plan.shares,
            behind=tuple(sorted({ref for refs in plan.behind.values() for ref in refs})),
            paused=people_of(seen.words).paused,
        )

    def _planned(self, generation: int) -> Plan:
        try:
            with self._admin() as admin:
                return admin.order(self.model, order_of(self.asked, generation))
        except AdminUnreachable as error:
            if self.asked.dry_run or not error.asked:
                raise
            raise OutcomeUnknown(self.url, error.found) from error
        except AdminRefused as error:
            if self.asked.dry_run or error.status < 500 or error.word != "other":
                raise  # the service decided, and says so
            raise OutcomeUnknown(self.url, str(error)) from error

    def _read(self) -> Routes | None:
        """The routes after a change; None where they cannot be had any more."""
        if monotonic() >= self.until_s:
            return None
        try:
            with self._admin(LOOK_S) as admin:
                return admin.routes(self.model)
        except (AdminUnreachable, AdminRefused):
            return None

    def _admin(self, patience_s: float = ORDER_S) -> AdminApi:
        left_s = max(0.0, self.until_s - monotonic())
        return AdminApi(self.url, self.token, min(patience_s, left_s))

    def _word(self, generation: int) -> Word:
        do: Literal["pause", "resume"] = "pause" if self.asked.do == "pause" else "resume"
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Word(at, do, self.asked.by.strip(), self.asked.why.strip(), generation if do == "resume" else -1)
