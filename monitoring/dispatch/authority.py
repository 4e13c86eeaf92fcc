"""Who may silence and acknowledge through the monitor's API? Whoever has the admin token, or a key of the scope `admin`.

Laws
- Also on loopback: a page in a browser reaches it, and a silence is a way to hide something.
- The token is compared in constant time; keys are looked at with each request.
- Who guesses is slowed down by address (wrong_tokens.py); who gives the same wrong one again does not guess.
- Where there is neither a token nor a key, nobody may; the commands work all the same, on the machine itself.
"""

import hmac
import math
import time

from starlette.responses import JSONResponse

from models.keyring import Keyring
from models.keys import ADMIN, Holder, presented
from monitoring.wrong_tokens import WrongTokens

TOKEN_HOLDER = "admin token"
_CHALLENGE = {"www-authenticate": 'Bearer realm="plumbline monitor"'}
Headers = list[tuple[bytes, bytes]]


class Authority:
    """`token`: the admin API's, None where none is set."""

    def __init__(self, token: str | None, keyring: Keyring, wrong: WrongTokens | None = None) -> None:
        self._token, self._keyring = token, keyring
        self._wrong = WrongTokens() if wrong is None else wrong

    def who(self, headers: Headers, address: str) -> str | JSONResponse:
        """The name that is written beside what is said, "" for the token's; or the refusal. `address`: whose request it is."""
        now_s, text = time.monotonic(), presented(headers)
        if wait_s := self._wrong.wait_s(address, now_s):
            return too_many(wait_s)
        found = self._known(text)
        if text and isinstance(found, JSONResponse) and found.status_code == 401:
            self._wrong.wrong(address, text, now_s)
        return found

    def _known(self, text: bytes) -> str | JSONResponse:
        if self._token is not None and text and hmac.compare_digest(text, self._token.encode()):
            return ""
        found = self._holder(text)
        if isinstance(found, JSONResponse):
            return found
        if not found.admin:
            return refusal(403, "scope_missing", f"API key {found.id}: opens {found.scopes}, expected {ADMIN}")
        return found.name

    def _holder(self, text: bytes) -> Holder | JSONResponse:
        if self._keyring.changed():
            self._keyring.read()
        ring = self._keyring.ring
        if not text:
            expected = "the admin token or an API key of the scope admin"
            if self._token is None and not ring:
                return refusal(403, "admin_disabled", f"found neither an admin token nor keys, expected {expected}")
            return refusal(401, "not_authorised", f"found no token, expected {expected}")
        found = None if ring is None else ring.find(text, time.time())
        if isinstance(found, Holder):
            return found
        return refusal(401, "not_authorised", "found an unknown token, expected the admin token or a live key")


def refusal(status: int, code: str, sentence: str) -> JSONResponse:
    """An error of the API."""
    headers = _CHALLENGE if status == 401 else None
    return JSONResponse({"error": sentence, "code": code}, status_code=status, headers=headers)


def too_many(wait_s: float) -> JSONResponse:
    """The refusal of who may not try yet."""
    seconds = math.ceil(wait_s)
    answer = refusal(429, "too_many_tries", f"too many wrong tokens from this address; it may try again in {seconds} s")
    answer.headers["retry-after"] = str(seconds)
    return answer
