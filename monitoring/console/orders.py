"""`/api/orders`: what a person does about a model's routes and its rollout from the page.

Laws
- The monitor lends nobody its own token. The one in the header is passed on, to the service of the settings alone, and whom the
  service's admin API lets in may do this, also what only the home hears of (pause).
- What was looked at is what is changed: an order names the generation, and where somebody was first it is refused.
- One order at a time. Wrong tokens count against their address (wrong_tokens.py), before the service is asked.
"""

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from models.keys import presented
from models.lock import NAME
from monitoring.console.order import ROUTED, Asked, Told, missing, moves, order_of, said, told
from monitoring.dispatch.api import BODY_BYTES_MAX, address_of, bounded
from monitoring.dispatch.authority import refusal, too_many
from monitoring.errors import AdminRefused, AdminUnreachable, RolloutInvalid
from monitoring.rollout.admin import AdminApi
from monitoring.rollout.control import Routes, Word, people_of
from monitoring.rollout.people import say, words
from monitoring.rollout.reading import document
from monitoring.settings import Settings
from monitoring.wrong_tokens import WrongTokens

PATIENCE_S = 20.0  # behind the wait for workers: what the service needs to follow and to write
OFF = "This monitor knows no service (`service_url` is empty), so routes are changed where the service is."
JSON = "application/json"


def orders_something(method: str, path: str) -> bool:
    """Is this a request that the service decides about?"""
    return method == "POST" and path.startswith("/api/orders/")


class OrdersApi:
    """Over one home and the service of its settings."""

    def __init__(self, settings: Settings, wrong: WrongTokens) -> None:
        self._settings, self._wrong = settings, wrong
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/api/orders", self.offered, methods=["GET"]),
            Route("/api/orders/{model}", self.order, methods=["POST"]),
        ]

    async def offered(self, _: Request) -> Response:
        """`off`: why nothing can be ordered here; empty: it can."""
        return JSONResponse({"off": "" if self._settings.service_url else OFF})

    async def order(self, request: Request) -> Response:
        """A look, a dry run or an order; 200 says what is, would be, or was done."""
        model, address = request.path_params["model"], address_of(request)
        if not self._settings.service_url:
            return refusal(409, "orders_off", OFF)
        if not NAME.fullmatch(model):
            return refusal(404, "unknown_model", f"model {model[:80]!r}: expected the name of one")
        body = await bounded(request)
        if body is None:
            return refusal(413, "body_too_large", f"found more than {BODY_BYTES_MAX} bytes, expected fewer")
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except msgspec.MsgspecError as error:
            return refusal(400, "bad_order", str(error))
        if (lack := missing(asked)) is not None:
            return refusal(400, "bad_order", lack)
        async with self._turn:
            return await self._with_token(presented(request.headers.raw), address, model, asked)

    async def _with_token(self, token: bytes, address: str, model: str, asked: Asked) -> Response:
        if wait_s := self._wrong.wait_s(address, monotonic()):
            return too_many(wait_s)
        if not token:
            return refusal(401, "not_authorised", "found no token, expected the service's admin token")
        try:
            answer = await asyncio.to_thread(self._done, token.decode("ascii"), model, asked)
        except UnicodeDecodeError:
            self._wrong.wrong(address, monotonic())
            return refusal(401, "not_authorised", "found a token that no service has, expected its admin token")
        except AdminRefused as error:
            if error.status == 401:
                self._wrong.wrong(address, monotonic())
            return refusal(error.status, error.code, error.sentence)
        except AdminUnreachable as error:
            return refusal(502, "service_unreachable", str(error))
        except RolloutInvalid as error:
            return refusal(409, "rollout_invalid", str(error))
        except (TimeoutError, OSError) as error:
            return refusal(503, "not_written", str(error))
        return Response(msgspec.json.encode(answer), media_type=JSON)

    def _done(self, token: str, model: str, asked: Asked) -> Told:
        """Raises AdminRefused, AdminUnreachable, RolloutInvalid, TimeoutError, OSError."""
        with AdminApi(self._settings.service_url, token, PATIENCE_S) as admin:
            routes = admin.routes(model)
            if asked.generation is not None and asked.generation != routes.generation:
                found = (
                    f"generation {routes.generation}, expected {asked.generation}: the routes were changed meanwhile"
                )
                raise AdminRefused(409, "routes_conflict", found)
            if asked.do in ROUTED:
                return self._routed(admin, model, asked, routes)
        return self._said(model, asked, routes)

    def _routed(self, admin: AdminApi, model: str, asked: Asked, routes: Routes) -> Told:
        plan = admin.order(model, order_of(asked, routes.generation))
        more: dict[str, Any] = {
            "made": plan.made,
            "shares": plan.shares,
            "behind": tuple(sorted({ref for refs in plan.behind.values() for ref in refs})),
            "paused": people_of(words(self._settings.home, model)).paused,
        }
        after = admin.routes(model) if plan.made else routes
        return told(asked, model, after, words(self._settings.home, model), moves(plan.shares, made=plan.made), **more)

    def _said(self, model: str, asked: Asked, routes: Routes) -> Told:
        home = self._settings.home
        paused = people_of(words(home, model)).paused
        if asked.do not in ("pause", "resume"):
            return told(asked, model, routes, words(home, model), "", paused=paused)
        sentence = said(asked.do, document(home, model).version, paused=paused)
        if not asked.dry_run:
            say(home, model, _word(asked, routes.generation))
            paused = asked.do == "pause"
        kept = words(home, model)
        return told(asked, model, routes, kept, sentence, paused=paused, made=not asked.dry_run)


def _word(asked: Asked, generation: int) -> Word:
    do: Literal["pause", "resume"] = "pause" if asked.do == "pause" else "resume"
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Word(at, do, asked.by.strip(), asked.why.strip(), generation if do == "resume" else -1)
