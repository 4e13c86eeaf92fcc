"""What keeps a page of another origin from reading the monitor, and the console from loading or running what is not its own?

Laws
- Every answer carries HEADERS: nothing is loaded from elsewhere, no script or style stands in a page, nobody frames it.
- Where no key is asked for, the page and `/api/` answer only to a Host that is an address, `localhost` or named by the
  settings: a name that somebody else's DNS points here (DNS rebinding) is refused; an address cannot be pointed elsewhere.
  Where keys are asked for, such a page has none.
- What changes something is refused where a browser says that a page of another origin sent it, with keys or without. Ours are
  the Host that was asked for, with its port (a missing one is the scheme's), and the names of the settings with any port: a
  proxy may hand on a Host of its own, or one without its port. The token comes in a header that no browser adds by itself, so
  this is the second lock on that door.
- What machines ask (`/metrics`, `/healthz`, `/gate/`) answers to every name: they know the monitor by names of their own.
"""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
PORTS = {"http": "80", "https": "443"}
READING = ("GET", "HEAD", "OPTIONS")
MACHINES = ("/metrics", "/healthz", "/gate/")


class Guarded:
    """An ASGI application with these headers; `hosts`: the names it answers to beside addresses, None: to every name;
    `origins`: the names under which proxies before it show its page.
    """

    def __init__(self, page: ASGIApp, hosts: Collection[str] | None, origins: Collection[str] = ()) -> None:
        self._page = page
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts) | {"localhost"}
        self._origins = frozenset(host.lower() for host in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._page(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(scope) or self._foreign(scope) or self._page
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        if self._hosts is None or scope["path"].startswith(MACHINES):
            return None
        named = Headers(scope=scope).getlist("host")
        if len(named) == 1 and self._ours(_name(named[0])):
            return None
        sentence = f"Host {', '.join(named)[:200]!r}: expected an address, localhost or a name of the setting `hosts`"
        return JSONResponse({"error": sentence, "code": "unknown_host"}, status_code=421)

    def _foreign(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] in READING or origin is None or self._shows(origin, headers.get("host", "")):
            return None
        sentence = f"Origin {origin[:200]!r}: expected this monitor's own, or a name of the setting `hosts`"
        return JSONResponse({"error": sentence, "code": "foreign_origin"}, status_code=403)

    def _shows(self, origin: str, host: str) -> bool:
        """Is the page of this origin ours, where this Host was asked for?"""
        scheme, _, place = origin.lower().partition("://")
        name = _name(place)
        if not name or scheme not in PORTS:
            return False
        return name in self._origins or (name == _name(host) and _port(place, scheme) == _port(host, scheme))

    def _ours(self, name: str) -> bool:
        return self._hosts is None or name in self._hosts or _is_address(name)


def _name(host: str) -> str:
    """Without the port, in small letters, an IPv6 address without its brackets."""
    if host.startswith("["):
        inside, closed, _ = host[1:].partition("]")
        return inside.lower() if closed else ""
    return host.partition(":")[0].lower().removesuffix(".")


def _port(host: str, scheme: str) -> str:
    """As it is written behind the name; the scheme's where there is none."""
    return host.rpartition("]")[2].partition(":")[2] or PORTS[scheme]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
