"""Who gives the canary its share? The admin API is asked for the steps of the plan, and everybody's changes are written down.

Laws
- Without a token nothing is changed and nothing asked: the run only sees which versions answer.
- A change names the generation that it was made from. Where somebody else changed the routes, nothing more is changed.
- The share ends with the run, also when it is stopped: the canary is aborted if it is still the one that was put there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

MODEL = "payments"
TIMEOUT_S = 20.0  # a share rises when the workers have loaded its version: they are given 10 s
BY, WHY = "loadtests", "scenario canary"


@dataclass(slots=True)
class Conductor:
    """`mark` is told what happened, as it happens."""

    url: str
    token: str
    mark: Callable[[str], None]
    _generation: int = 0
    _canary: str = ""
    _percent: float = 0.0
    _over: bool = False
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    def begin(self) -> None:
        """Chooses the canary: the newest version of payments that is neither stable nor on its way already."""
        if not self.token:
            return self._end("no admin token: the routes stay as they are")
        routes = self._asked("GET", "/admin/routes")
        if routes is None:
            return None
        mine = routes["models"].get(MODEL, {})
        if mine.get("canary"):
            return self._end(f"{MODEL} has a canary already: it is only watched")
        pins = self._asked("POST", "/v2/repository/index", {}) or []
        others = [pin["version"] for pin in pins if pin["name"] == MODEL and pin["version"] != mine.get("stable")]
        if not others:
            return self._end(f"{MODEL} has no other version")
        self._canary, self._generation = others[-1], routes["generation"]
        return None

    def want(self, percent: float) -> None:
        """The share that the plan has now; 0 ends it."""
        if self._over or percent == self._percent:
            return
        change = {"do": "canary", "version": self._canary, "percent": percent} if percent else {"do": "abort"}
        told = self._asked(
            "POST", f"/admin/routes/{MODEL}", {**change, "generation": self._generation, "by": BY, "why": WHY}
        )
        if told is not None:
            self._generation, self._percent = told["generation"], percent
            self.mark(f"canary {self._canary}: {percent:g} %" if percent else f"canary {self._canary}: ended")

    def end(self) -> None:
        self.want(0.0)
        self._client.close()

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; None where it is refused or none comes, and then nothing more is asked."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            return self._end(f"admin API: {type(error).__name__}")
        if answer.is_error:
            said = answer.json().get("code", "") if answer.content else ""
            return self._end(f"admin API: {answer.status_code} {said}")
        return answer.json()

    def _end(self, why: str) -> None:
        self._over = True
        self.mark(why)
