"""`/api/orders`: what a person does about a model's routes and its rollout from the page.

Laws
- The monitor lends nobody its own token. The one in the header is passed on, to the service of the settings alone, and whom the
  service's admin API lets in may do this, also what only the home hears of (pause).
- What was looked at is what is changed: an order names the generation, and where somebody was first it is refused.
- One order at a time; who would have to wait longer than TURN_S for the one before is refused, and nothing is done for a caller
  who has gone.
- Wrong tokens count against their address (wrong_tokens.py), before the service is asked.
"""

import asyncio
from time import monotonic

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from models.errors import UNDECODABLE
from models.keys import presented
from models.lock import NAME
from monitoring.console.errand import ORDER_S, Errand
from monitoring.console.order import Asked, missing
from monitoring.dispatch.api import BODY_BYTES_MAX, address_of, bounded
from monitoring.dispatch.authority import refusal, too_many
from monitoring.errors import AdminRefused, AdminUnreachable, OutcomeUnknown, RolloutInvalid
from monitoring.settings import Settings
from monitoring.wrong_tokens import WrongTokens

TURN_S = 1.0  # a look takes milliseconds; what takes longer waits for workers or for a service that is ill
GONE = 499  # nobody reads it
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
        model = request.path_params["model"]
        if not self._settings.service_url:
            return refusal(409, "orders_off", OFF)
        if not NAME.fullmatch(model):
            return refusal(404, "unknown_model", f"model {model[:80]!r}: expected the name of one")
        body = await bounded(request)
        if body is None:
            return refusal(413, "body_too_large", f"found more than {BODY_BYTES_MAX} bytes, expected fewer")
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except UNDECODABLE as error:
            return refusal(400, "bad_order", str(error))
        if (lack := missing(asked)) is not None:
            return refusal(400, "bad_order", lack)
        return await self._in_turn(request, model, asked)

    async def _in_turn(self, request: Request, model: str, asked: Asked) -> Response:
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            return refusal(409, "busy", "found another order under way, expected none; this one was not begun")
        try:
            return await self._with_token(request, model, asked)
        finally:
            self._turn.release()

    async def _with_token(self, request: Request, model: str, asked: Asked) -> Response:
        given, address = presented(request.headers.raw), address_of(request)
        if wait_s := self._wrong.wait_s(address, monotonic()):
            return too_many(wait_s)
        if not given:
            return refusal(401, "not_authorised", "found no token, expected the service's admin token")
        try:
            token = given.decode("ascii")
        except UnicodeDecodeError:
            self._wrong.wrong(address, given, monotonic())
            return refusal(401, "not_authorised", "found a token that no service has, expected its admin token")
        home, url = self._settings.home, self._settings.service_url
        answer = await _carried_out(request, Errand(home, url, token, model, asked, monotonic() + ORDER_S))
        if answer.status_code == 401:
            self._wrong.wrong(address, given, monotonic())
        return answer


async def _carried_out(request: Request, errand: Errand) -> Response:
    try:
        seen = await asyncio.to_thread(errand.look)
        if await request.is_disconnected():
            return Response(status_code=GONE)
        answer = await asyncio.to_thread(errand.do, seen)
    except AdminRefused as error:
        return refusal(error.status, error.code, error.sentence)
    except OutcomeUnknown as error:
        return refusal(502, "outcome_unknown", str(error))
    except AdminUnreachable as error:
        return refusal(502, "service_unreachable", str(error))
    except RolloutInvalid as error:
        return refusal(409, "rollout_invalid", str(error))
    except (TimeoutError, OSError) as error:
        return refusal(503, "not_written", str(error))
    return Response(msgspec.json.encode(answer), media_type=JSON)
