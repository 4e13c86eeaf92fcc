"""What does the console answer: its page, and what the page asks for beside what everybody can ask the monitor for.

Law: the page's files say nothing of what is watched, so they need no key; everything else does, as all that a monitor tells.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitoring.console.chart import RANGES, chart_of
from monitoring.console.files import file_routes
from monitoring.console.rows import rows_of
from monitoring.console.stream import Stream
from monitoring.pulse import Pulse
from monitoring.status import newest_of

JSON = "application/json"


def console_routes(pulse: Pulse, stream: Stream) -> list[Route]:
    """`stream` ends its streams when it is closed."""

    async def version(request: Request) -> Response:
        model, name = request.query_params.get("model", ""), request.query_params.get("version", "")
        for one in newest_of(pulse.status().versions):
            if (one.model, one.version) == (model, name):
                return Response(msgspec.json.encode(one), media_type=JSON)
        return _unknown(model, name)

    def heat(
        request: Request,
    ) -> Response:  # not async: exact tests of all windows take a moment, so it has a thread of its own
        model, name = request.query_params.get("model", ""), request.query_params.get("version")
        found = pulse.gallery().heat(model, name)
        return _unknown(model, name) if found is None else Response(msgspec.json.encode(found), media_type=JSON)

    async def rows(request: Request) -> Response:
        model, name = request.query_params.get("model", ""), request.query_params.get("version")
        found = pulse.gallery().story(model, name)
        if found is None:
            sentence = f"model {model!r} version {name!r}: no incident is open that rows are kept of"
            return JSONResponse({"error": sentence, "code": "no_incident"}, status_code=404)
        return Response(msgspec.json.encode(rows_of(*found)), media_type=JSON)

    def series(request: Request) -> Response:
        model, name = request.query_params.get("model", ""), request.query_params.get("range", "3h")
        if name not in RANGES:
            sentence = f"range {name[:20]!r}: expected one of {', '.join(RANGES)}"
            return JSONResponse({"error": sentence, "code": "bad_input"}, status_code=400)
        return Response(msgspec.json.encode(chart_of(pulse.series(), model, name)), media_type=JSON)

    return [
        *file_routes(),
        Route("/api/stream", stream.stream),
        Route("/api/overview", stream.overview),
        Route("/api/version", version),
        Route("/api/heat", heat),
        Route("/api/series", series),
        Route("/api/rows", rows),
    ]


def _unknown(model: str, version: str | None) -> Response:
    sentence = f"model {model!r} version {version!r}: expected one that was judged, see /api/overview"
    return JSONResponse({"error": sentence, "code": "not_judged"}, status_code=404)
