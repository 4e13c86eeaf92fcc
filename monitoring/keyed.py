"""Who may read the monitor's page where others than this machine reach it? Whoever has a key of the scope `read`.

Laws
- `/healthz` answers everybody: a supervisor has no key. So do the files that the console is made of: they say nothing, and a
  browser cannot send a key before it has them.
- What says something of alerts is decided about by its own authority, which asks for more.
- The keys are looked at with each request: one that was revoked opens nothing from the next one on.
- Nobody is let in before the keys could be read once.
"""

import time
from collections.abc import Callable, Collection

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from models.keyring import Keyring
from models.keys import READ, Refused, presented

OPEN = frozenset({"/healthz"})
Elsewhere = Callable[[str, str], bool]  # of method and path: does somebody else decide who may?


def nowhere(method: str, path: str) -> bool:
    """Everything is decided here."""
    return False


_CHALLENGE = {"www-authenticate": 'Bearer realm="plumbline monitor"'}


class Keyed:
    """An ASGI application behind the keys of its home."""

    def __init__(
        self, page: ASGIApp, keyring: Keyring, elsewhere: Elsewhere = nowhere, open_to_all: Collection[str] = OPEN
    ) -> None:
        self._page, self._keyring, self._elsewhere, self._open_to_all = page, keyring, elsewhere, open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self._page
        if scope["type"] == "http" and not self._open(scope["method"], scope["path"]):
            answer = self._refusal(scope["headers"]) or self._page
        await answer(scope, receive, send)

    def _open(self, method: str, path: str) -> bool:
        return path in self._open_to_all or self._elsewhere(method, path)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> JSONResponse | None:
        if self._keyring.changed():
            self._keyring.read()
        ring = self._keyring.ring
        if ring is None:
            return _said(503, "keys_unavailable", f"{self._keyring.problem}; nobody is let in before it can be read")
        text = presented(headers)
        if not text:
            return _said(401, "key_missing", "API key: found none, expected one of the scope read")
        found = ring.find(text, time.time())
        if isinstance(found, Refused):
            return _said(401, "key_refused", f"API key: {found.why.value}, expected a live one of the scope read")
        if not found.read:
            return _said(403, "scope_missing", f"API key {found.id}: opens {found.scopes}, expected {READ}")
        return None


def _said(status: int, code: str, sentence: str) -> JSONResponse:
    headers = _CHALLENGE if status == 401 else None
    return JSONResponse({"error": sentence, "code": code}, status_code=status, headers=headers)
