"""How is a change of the routes made, whoever asks for it: the admin API, the command, a controller?

Laws
- A share rises only when every worker that is alive says that it has loaded and warmed the version, by the digest that is
  pinned; what skips the wait is a rollback. A worker that starts later loads everything before it accepts.
- A change is planned from the document that it replaces: where that has changed meanwhile it is planned again, or refused
  where the order names the generation. An order that has waited names it: what was rolled back meanwhile stays so.
- What was ejected (service/ejection.py) is let in again by a person's change that gives it a share or sets it, and by no other.
"""

import time
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from models.durable import stamp
from models.lock_file import LockFile
from service.ejected import EjectedFile
from service.presence import WorkerSign, worker_signs
from service.routes_audit import Author, Via
from service.routes_change import Order, ReplaceRoutes, behind, changed, named, reasons, replaced, skips_the_wait
from service.routes_document import Routes
from service.routes_errors import RoutesOutdated, RoutesUnchanged
from service.routes_file import RoutesFile
from service.routes_moves import Flow, Share, flows, rising, shares
from service.wanted import WantedFile

T = TypeVar("T", bound=Order | ReplaceRoutes)
LOOK_ANYWAY_S = 1.0
PLANS_MAX = 20  # times that somebody else may be first before a change is given up
_PEOPLE = frozenset({Via.API, Via.COMMAND})
_log = structlog.get_logger()


class RoutesPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a change does. `made`: it is in the document; `behind`: worker → versions that it has not loaded yet, `reasons`:
    version → why it cannot be loaded, where a worker says so; `applied` and `pending`: workers that use this generation, and
    those that do not yet.
    """

    made: bool
    generation: int
    shares: tuple[Share, ...]
    moves: tuple[Flow, ...]
    behind: dict[str, tuple[str, ...]] = {}
    reasons: dict[str, str] = {}
    applied: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


class RouteChanges:
    """The routes of one home."""

    def __init__(
        self,
        *,
        routes: RoutesFile,
        lock_file: LockFile,
        workers_root: Path,
        ejected: EjectedFile,
        wanted: WantedFile | None = None,
    ) -> None:
        """`wanted`: where workers are told what to load though no route needs it yet; None: they load all that is pinned."""
        self._routes, self._lock_file, self._workers_root, self._ejected = routes, lock_file, workers_root, ejected
        self._wanted = wanted

    def attempt(self, model: str | None, order: Order | ReplaceRoutes, author: Author) -> RoutesPlan:
        """Makes the change, unless it is a dry run or a worker is behind; blocks for as long as the disk takes.

        Raises RoutesInvalid, RoutesOutdated, LockInvalid, OSError.
        """
        for plans_left in reversed(range(PLANS_MAX)):
            present = self._routes.in_use()
            plan, after = self._plan(present, model, order, author)
            if order.dry_run or (plan.behind and not skips_the_wait(order)):
                break
            try:
                self._routes.swap(present.generation, after, author)
            except RoutesOutdated:  # also where an edit by hand was entered first
                if order.generation is not None or not plans_left:
                    raise
                continue
            return msgspec.structs.replace(plan, made=True)
        return plan

    def followed(self, plan: RoutesPlan) -> RoutesPlan:
        """The plan with who has applied it by now."""
        signs = self.workers()
        applied = tuple(name_of(sign) for sign in signs if sign.generation >= plan.generation)
        pending = tuple(name_of(sign) for sign in signs if sign.generation < plan.generation)
        return msgspec.structs.replace(plan, applied=applied, pending=pending)

    def workers(self) -> list[WorkerSign]:
        """Every worker that is alive and ready."""
        return worker_signs(self._workers_root)

    def stamp(self) -> Hashable:
        """Changes when the files or what the workers say do, and each LOOK_ANYWAY_S."""
        files = stamp(self._routes.path), stamp(self._lock_file.path)
        return *files, msgspec.json.encode(self.workers()), time.monotonic() // LOOK_ANYWAY_S

    def _plan(
        self, present: Routes, model: str | None, order: Order | ReplaceRoutes, author: Author
    ) -> tuple[RoutesPlan, Routes]:
        if order.generation is not None and order.generation != present.generation:
            raise RoutesOutdated(present.generation, order.generation)
        pins = {(pin.name, pin.version): pin for pin in self._lock_file.read().pins}
        pinned: dict[str, list[str]] = {}
        for name, version in pins:
            pinned.setdefault(name, []).append(version)
        if isinstance(order, ReplaceRoutes):
            after = replaced(present, order, pinned)
        else:
            assert model is not None
            wanted = {pins[model, version].digest for version in named(order) if (model, version) in pins}
            try:
                after = changed(present, model, order, pinned)
            except RoutesUnchanged:
                if not self._readmit(wanted, order, author):
                    raise
                after = Routes(
                    present.generation + 1, present.models, present.entry
                )  # an entry that says who let it in
        needed = {pins[key].ref: pins[key].digest for key in sorted(rising(present, after)) if key in pins}
        self._readmit(needed.values(), order, author)
        signs = self.workers()
        late = behind(needed, {name_of(sign): sign.versions for sign in signs})
        if late and self._wanted is not None and not order.dry_run:
            self._wanted.say(set(needed.values()))
        told = [problem for sign in signs for problem in sign.problems]
        plan = RoutesPlan(
            made=False,
            generation=after.generation,
            shares=shares(present, after),
            moves=flows(present, after),
            behind=late,
            reasons=reasons({ref for refs in late.values() for ref in refs}, told),
        )
        return plan, after

    def _readmit(self, digests: Collection[str], order: Order | ReplaceRoutes, author: Author) -> bool:
        """Whether one of them was ejected and may be loaded again; a dry run only says so."""
        if author.via not in _PEOPLE:
            return False
        if order.dry_run:
            return bool(self._ejected.by_digest().keys() & set(digests))
        back = self._ejected.readmit(digests)
        if back:
            _log.warning("version.readmitted", versions=[one.ref for one in back], via=author.via, by=author.by)
        return bool(back)


class Waiting:
    """A change that waits for workers: planned again where there may be something else to plan, and each LOOK_ANYWAY_S.

    Looked at twenty times a second, and to see that nothing changed takes a fifth of a plan.
    """

    def __init__(self, changes: RouteChanges, plan: RoutesPlan, attempt: Callable[[], RoutesPlan]) -> None:
        self._changes, self._plan, self._attempt = changes, plan, attempt
        self._seen: Hashable = None

    def look(self) -> RoutesPlan:
        """The plan as it is now. Raises what the attempt raises."""
        seen = self._changes.stamp()
        if seen != self._seen:
            self._plan, self._seen = self._attempt(), seen
        return self._plan


def held(order: T, plan: RoutesPlan) -> T:
    """The order as it waits: for the routes from which it was planned, and no others."""
    return msgspec.structs.replace(order, generation=plan.generation - 1)


def name_of(sign: WorkerSign) -> str:
    """How a worker is called where people read it."""
    return f"worker {sign.pid}"


def described(plan: RoutesPlan) -> dict[str, Any]:
    """The plan as JSON says it."""
    told: dict[str, Any] = msgspec.to_builtins(plan)
    return told
