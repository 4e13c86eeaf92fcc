"""`/admin/*`: what is routed and loaded, its changes and who made them; by the admin token, or a key where keys are asked."""

import asyncio
import hmac
import re
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr

from models.errors import LockInvalid
from service.catalogue import Catalogue
from service.errors import AdminDisabled, MalformedBody, NotAuthorised, RequestError, RoutesInvalid
from service.http import unreadable
from service.http.answer import Answer, Headers
from service.http.edge import Handler
from service.http.gate import Gate
from service.http.paths import Target, Verb
from service.presence import WorkerSign
from service.route_changes import RouteChanges, RoutesPlan, Waiting, described, held
from service.routes_audit import HISTORY_MAX, Author, Chained, Via
from service.routes_change import Order, ReplaceRoutes, asked_by
from service.routes_errors import (
    RoutesConflict,
    RoutesOutdated,
    RoutesRefused,
    RoutesUnavailable,
    RoutesUnreadable,
    VersionsNotLoaded,
)
from service.routes_file import RoutesFile
from service.telemetry import Telemetry

LOOK_EVERY_S = 0.05
CONFIRM_S = 2.0  # workers look at the routes each routes_poll_s, and say so as often
_GENERATION = re.compile(rb'"(\d{1,18})"')
_ORDER = 'an object with "do": "set", "canary", "promote", "abort" or "rollback"'
_DOCUMENT = 'a JSON object {"models": {...}, "generation": ...} as GET answers it'
T = TypeVar("T", bound=Order | ReplaceRoutes)
_order, _document = msgspec.json.Decoder(Order), msgspec.json.Decoder(ReplaceRoutes)


class Admin:
    """Handlers behind one bearer token, compared in constant time; or behind the gate, which has let in who comes here."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        routes: RoutesFile,
        changes: RouteChanges,
        telemetry: Telemetry,
        token: SecretStr | None,
        gate: Gate | None = None,
    ) -> None:
        self._catalogue, self._routes, self._changes, self._telemetry = catalogue, routes, changes, telemetry
        self._token, self._gate = token, gate
        self._turn = asyncio.Lock()  # a change waits for the disk in a thread: never in more than one

    def handlers(self) -> dict[Verb, Handler]:
        """One handler a verb."""
        return {
            Verb.ADMIN_ROUTES: self.routes,
            Verb.ADMIN_ROUTES_REPLACE: self.replace,
            Verb.ADMIN_ROUTES_CHANGE: self.change,
            Verb.ADMIN_ROUTES_HISTORY: self.history,
            Verb.ADMIN_VERSIONS: self.versions,
        }

    async def routes(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The routes document as it stands on disk, and the generation that this worker uses."""
        self._authorise(headers)
        try:
            document = self._routes.read()
        except (RoutesUnreadable, OSError) as error:
            raise RoutesUnavailable(str(error)) from error
        told = {**msgspec.to_builtins(document), "applied_generation": self._catalogue.current.generation}
        return Answer(200, msgspec.json.encode(told), [_etag(document.generation)])

    async def replace(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`PUT /admin/routes`: the whole document. Raises the errors of a change."""
        self._authorise(headers)
        try:
            order = _document.decode(body)
        except unreadable.Errors as error:
            raise unreadable.malformed(error, body, _DOCUMENT) from error
        return await self._make(None, _with_generation(order, headers), headers)

    async def change(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`POST /admin/routes/{model}`: one model's routes. Raises the errors of a change."""
        self._authorise(headers)
        try:
            order = _order.decode(body)
        except unreadable.Errors as error:
            raise unreadable.malformed(error, body, _ORDER) from error
        return await self._make(target.model, _with_generation(order, headers), headers)

    async def history(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """`GET /admin/routes/{model}/history`: who changed this model's routes, newest last; of none, an empty list."""
        self._authorise(headers)
        try:
            entries = await asyncio.to_thread(self._routes.entries)
        except OSError as error:
            raise RoutesUnavailable(str(error)) from error
        changes = [_change(chained, target.model) for chained in entries if target.model in chained.entry.after]
        return Answer(200, msgspec.json.encode({"model": target.model, "changes": changes[-HISTORY_MAX:]}))

    async def versions(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """What this worker has loaded and could not load, and what every worker says that it uses."""
        self._authorise(headers)
        snapshot = self._catalogue.current
        loaded = [msgspec.to_builtins(version.pin) for version in snapshot.versions.values()]
        failed = [{"name": name, "version": version, "reason": reason} for name, version, reason in snapshot.failed]
        workers = await asyncio.to_thread(self._changes.workers)
        told = {"loaded": loaded, "failed": failed, "workers": [_told(sign) for sign in workers]}
        return Answer(200, msgspec.json.encode(told))

    async def _make(self, model: str | None, order: Order | ReplaceRoutes, headers: Headers) -> Answer:
        """Makes it and counts what became of it."""
        try:
            answer = await self._made(model, order, headers)
        except RequestError as error:
            self._telemetry.route_change(error.code)
            raise
        self._telemetry.route_change("dry_run" if order.dry_run else "made")
        return answer

    async def _made(self, model: str | None, order: Order | ReplaceRoutes, headers: Headers) -> Answer:
        key = self._gate.who(headers) if self._gate is not None else ""
        author = Author(Via.API, order.by, order.why, asked_by(order), key)
        plan = await self._until(lambda: self._attempt(model, order, author), lambda plan: True, 0)
        if not plan.made and not order.dry_run:
            named = held(order, plan)
            waiting = Waiting(self._changes, plan, lambda: self._attempt(model, named, author))
            plan = await self._until(waiting.look, lambda plan: plan.made, order.wait_s)
        if order.dry_run:
            return Answer(200, msgspec.json.encode(described(plan)))
        if not plan.made:
            raise VersionsNotLoaded(plan.behind, order.wait_s, plan.reasons)
        plan = await self._until(lambda: self._changes.followed(plan), lambda plan: not plan.pending, CONFIRM_S)
        return Answer(200, msgspec.json.encode(described(plan)), [_etag(plan.generation)])

    async def _until(
        self, look: Callable[[], RoutesPlan], done: Callable[[RoutesPlan], bool], within_s: float
    ) -> RoutesPlan:
        """Looks in a thread until it is done, or so long."""
        end_s = time.monotonic() + within_s
        while True:
            async with self._turn:
                plan = await asyncio.to_thread(look)
            if done(plan) or time.monotonic() >= end_s:
                return plan
            await asyncio.sleep(LOOK_EVERY_S)

    def _attempt(self, model: str | None, order: Order | ReplaceRoutes, author: Author) -> RoutesPlan:
        try:
            return self._changes.attempt(model, order, author)
        except RoutesOutdated as error:
            raise RoutesConflict(error.present, error.from_generation) from error
        except RoutesInvalid as error:
            if isinstance(error, RoutesUnreadable):
                raise RoutesUnavailable(str(error)) from error
            raise RoutesRefused(str(error)) from error
        except (LockInvalid, OSError) as error:
            raise RoutesUnavailable(str(error)) from error

    def _authorise(self, headers: Headers) -> None:
        if self._gate is not None:
            return
        if self._token is None:
            raise AdminDisabled
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token.get_secret_value().encode()):
            raise NotAuthorised


def _with_generation(order: T, headers: Headers) -> T:
    """`If-Match` says the generation too."""
    given = next((value for name, value in headers if name == b"if-match"), None)
    if given is None or given.strip() == b"*":
        return order
    if (found := _GENERATION.fullmatch(given.strip())) is None:
        raise MalformedBody(
            f"found {given[:32].decode('latin-1')!r}", "a generation in quotes", where="header if-match"
        )
    generation = int(found[1])
    if order.generation is not None and order.generation != generation:
        raise MalformedBody(f"found {generation}", f"{order.generation} as in the body", where="header if-match")
    return replace(order, generation=generation)


def _etag(generation: int) -> tuple[bytes, bytes]:
    return b"etag", b'"%d"' % generation


def _change(chained: Chained, model: str) -> dict[str, object]:
    """One entry of the audit log as it concerns one model."""
    entry = chained.entry
    told = {name: getattr(entry, name) for name in ("n", "at", "via", "by", "key", "why", "asked", "generation")}
    return {**told, "before": entry.before.get(model), "after": entry.after.get(model), "hash": chained.hash}


def _told(sign: WorkerSign) -> dict[str, object]:
    return {
        "pid": sign.pid,
        "generation": sign.generation,
        "versions": sign.versions,
        "problems": sign.problems,
        "states": sign.states,
    }
