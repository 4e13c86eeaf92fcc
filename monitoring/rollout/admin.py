"""How are the routes of a running service read and changed: its admin API, in bounded time.

Laws
- A change says from which generation it was decided; where somebody was first it is refused there (409) and nothing happens.
- No redirect is followed and no proxy or netrc of the environment is used: the token goes to the url of the settings only.
"""

from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from models.errors import UNDECODABLE
from monitoring.errors import AdminRefused, AdminUnreachable
from monitoring.rollout.control import Change, Entry, Plan, Routes

WAIT_S = 2.0  # for workers that have not loaded the version; who started the rollout waited for that already
TIMEOUT_S = 6.0  # of an answer: WAIT_S, two seconds in which workers say that they follow, and the disk
SENTENCE_CHARS_MAX = 500  # of what somebody else says and we repeat

T = TypeVar("T")


class _Document(msgspec.Struct, frozen=True):
    generation: int
    models: dict[str, Entry]


class _History(msgspec.Struct, frozen=True):
    changes: tuple[Change, ...]


class _Error(msgspec.Struct, frozen=True):
    error: str
    code: str


class AdminApi:
    """One service's; not thread-safe. Every call raises AdminUnreachable, AdminRefused."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._client = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
        )
        self._histories: dict[str, tuple[int, tuple[Change, ...]]] = {}  # by the generation at which it was read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def routes(self, model: str) -> Routes:
        """The model's routes and who changed them."""
        document = self._ask("GET", "/admin/routes", _Document)
        generation, changes = self._histories.get(model, (-1, ()))
        if generation != document.generation:
            changes = self._ask("GET", f"/admin/routes/{model}/history", _History).changes
            self._histories[model] = document.generation, changes
        return Routes(document.generation, document.models.get(model), changes)

    def change(self, model: str, order: dict[str, Any]) -> int:
        """Makes a change, and returns the new generation."""
        return self.order(model, order).generation

    def order(self, model: str, order: dict[str, Any]) -> Plan:
        """Makes a change, or with `dry_run` says what it would do."""
        return self._ask("POST", f"/admin/routes/{model}", Plan, {"wait_s": WAIT_S, **order})

    def _ask(self, method: str, path: str, into: type[T], body: dict[str, Any] | None = None) -> T:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            asked = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            found = type(error).__name__
            if not isinstance(error, httpx.LocalProtocolError):  # whose text shows our header, the token
                found += f": {error}"
            raise AdminUnreachable(self._url, found, asked=asked) from error
        try:
            if answer.status_code != 200:
                told = msgspec.json.decode(answer.content, type=_Error)
                raise AdminRefused(answer.status_code, told.code, told.error[:SENTENCE_CHARS_MAX])
            return msgspec.json.decode(answer.content, type=into)
        except UNDECODABLE as error:
            raise AdminUnreachable(self._url, f"status {answer.status_code}, {error}") from error
