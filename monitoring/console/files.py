"""Which files is the page made of, and as what are they served?

Law: only what the table names is served, so no path reaches another file; a test holds the table against the folder.
"""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).parent / "static"
HTML, CSS, SCRIPT, SVG = "text/html", "text/css", "text/javascript", "image/svg+xml"

FILES = {
    "/": ("index.html", HTML),
    "/static/console.css": ("console.css", CSS),
    "/static/icon.svg": ("icon.svg", SVG),
    "/static/api.js": ("api.js", SCRIPT),
    "/static/charts.js": ("charts.js", SCRIPT),
    "/static/detail.js": ("detail.js", SCRIPT),
    "/static/dom.js": ("dom.js", SCRIPT),
    "/static/figures.js": ("figures.js", SCRIPT),
    "/static/heat.js": ("heat.js", SCRIPT),
    "/static/histogram.js": ("histogram.js", SCRIPT),
    "/static/incidents.js": ("incidents.js", SCRIPT),
    "/static/ledger.js": ("ledger.js", SCRIPT),
    "/static/main.js": ("main.js", SCRIPT),
    "/static/models.js": ("models.js", SCRIPT),
    "/static/orders.js": ("orders.js", SCRIPT),
    "/static/places.js": ("places.js", SCRIPT),
    "/static/quality.js": ("quality.js", SCRIPT),
    "/static/top.js": ("top.js", SCRIPT),
    "/static/traffic.js": ("traffic.js", SCRIPT),
    "/static/vendor/uplot/uPlot.esm.js": ("vendor/uplot/uPlot.esm.js", SCRIPT),
    "/static/vendor/uplot/uPlot.min.css": ("vendor/uplot/uPlot.min.css", CSS),
    "/static/vendor/uplot/LICENSE": ("vendor/uplot/LICENSE", "text/plain"),
}


def file_routes() -> list[Route]:
    """One route a file."""
    return [Route(path, file, methods=["GET"]) for path in FILES]


async def file(request: Request) -> Response:
    """Asked for again each time, and not sent again where it is the same: a new version of the monitor brings a new page."""
    name, media_type = FILES[request.scope["path"]]
    body = await run_in_threadpool((STATIC / name).read_bytes)
    return Response(body, media_type=media_type, headers={"cache-control": "no-cache"})
