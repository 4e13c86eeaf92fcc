"""`GET /api/power`: the power cards at the present traffic, or at that which is asked about."""

from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitoring.power.card import ROWS_PER_MINUTE_MAX, cards
from monitoring.reference import Reference
from monitoring.status import Status, traffic_of

JSON = "application/json"


def power_route(status: Callable[[], Status], references: Callable[[], Mapping[str, Reference]]) -> Route:
    """`references`: what is known of the versions, by digest."""

    def power(request: Request) -> Response:  # not async: it takes a moment, so it has a thread of its own
        return _power(status(), dict(references()), request.query_params)

    return Route("/api/power", power)


def _power(status: Status, references: Mapping[str, Reference], asked: Mapping[str, str]) -> Response:
    """The cards of all versions or those of `model`, at the present traffic or `rows_per_minute`."""
    try:
        given = float(asked["rows_per_minute"]) if "rows_per_minute" in asked else None
        if given is not None and not 0 <= given <= ROWS_PER_MINUTE_MAX:
            raise ValueError(given)
    except ValueError:
        sentence = f"rows_per_minute: expected a number from 0 to {ROWS_PER_MINUTE_MAX:.0f}"
        return JSONResponse({"error": sentence, "code": "bad_input"}, status_code=400)
    rates = [
        (one.model, one.version, one.digest, traffic_of(one) if given is None else given)
        for one in status.versions
        if asked.get("model", one.model) == one.model
    ]
    return Response(msgspec.json.encode(cards(references, rates, status.rules)), media_type=JSON)
