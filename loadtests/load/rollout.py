"""Who gives the canary its share? The admin API is asked for the steps of the plan, and everybody's changes are written down.

Laws
- Without a token nothing is changed and nothing asked: the run only sees which versions answer.
- A change names the generation that it was made from. After the first that is refused, or has no answer, no share is raised.
- The share ends with the run, also when it is stopped or a step went wrong: the routes are read again, and the canary is
  aborted where it has the share that was put there, or asked for without an answer. With another share it is somebody else's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

MODEL = "payments"
READY = "READY"
CONFLICT = "routes_conflict"
TIMEOUT_S = 20.0  # a share rises when the workers have loaded its version: they are given 10 s
APPLIED_WITHIN_S = 12.0  # so what had no answer is there by then, or never
LOOK_AGAIN_S = 0.25
BY, WHY = "loadtests", "scenario canary"


class Refused(Exception):
    """A request that came to nothing; `applied` None: nobody knows."""

    def __init__(self, why: str, *, applied: bool | None = False, code: str = "") -> None:
        super().__init__(why)
        self.applied, self.code = applied, code


@dataclass(slots=True)
class Conductor:
    """`mark` is told what happened, as it happens."""

    url: str
    token: str
    mark: Callable[[str], None]
    timeout_s: float = TIMEOUT_S
    _generation: int = 0
    _canary: str = ""
    _percent: float = 0.0  # asked for last
    _over: bool = False  # nothing more is raised
    _put: set[float] = field(default_factory=set)  # the shares that may be there by us: what is to be taken back
    _settled_s: float = 0.0  # of the monotonic clock: until then a step without an answer may still come true
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=self.timeout_s, trust_env=False)

    def begin(self) -> None:
        """Chooses the canary: the newest version of payments that is ready, and neither stable nor on its way already."""
        try:
            self._choose()
        except Refused as refused:
            self._end(str(refused))

    def want(self, percent: float) -> None:
        """The share that the plan has now; 0 ends it."""
        if percent == self._percent or (percent and self._over):
            return
        self._percent = percent
        if percent:
            self._raise_to(percent)
        else:
            self._take_back()

    def end(self) -> None:
        self._over = True
        self._take_back()
        self._client.close()

    def _choose(self) -> None:
        if not self.token:
            raise Refused("no admin token: the routes stay as they are")
        routes = self._asked("GET", "/admin/routes")
        mine = routes["models"].get(MODEL, {})
        if mine.get("canary"):
            raise Refused(f"{MODEL} has a canary already: it is only watched")
        pins = self._asked("POST", "/v2/repository/index", {})
        ready = [pin["version"] for pin in pins if pin["name"] == MODEL and pin["state"] == READY]
        others = [version for version in ready if version != mine.get("stable")]
        if not others:
            raise Refused(f"{MODEL} has no other version that is ready")
        self._canary, self._generation = others[-1], routes["generation"]

    def _raise_to(self, percent: float) -> None:
        before = set(self._put)
        # before it is asked: the run may end while the answer is waited for
        self._put, self._settled_s = before | {percent}, time.monotonic() + APPLIED_WITHIN_S
        try:
            told = self._change({"do": "canary", "version": self._canary, "percent": percent}, self._generation)
        except Refused as refused:
            if refused.applied is False:
                self._put, self._settled_s = before, 0.0
            return self._end(str(refused))
        self._generation, self._put, self._settled_s = told["generation"], {percent}, 0.0
        return self.mark(f"canary {self._canary}: {percent:g} %")

    def _take_back(self) -> None:
        """Until it is gone, or nothing of ours is there and nothing can come any more."""
        end_s = time.monotonic() + APPLIED_WITHIN_S
        while self._put:
            try:
                gone = self._aborted()
            except Refused as refused:
                if refused.code == CONFLICT and time.monotonic() < end_s:
                    continue  # somebody changed the routes between our look and our change
                return self._end(f"{refused}: canary {self._canary} may still have its share")
            if gone or time.monotonic() >= self._settled_s:
                self._put.clear()
            else:
                time.sleep(LOOK_AGAIN_S)
        return None

    def _aborted(self) -> bool:
        """Whether there was something to take back."""
        routes = self._asked("GET", "/admin/routes")
        canary = routes["models"].get(MODEL, {}).get("canary") or {}
        if canary.get("version") != self._canary or canary.get("percent") not in self._put:
            return False
        self._change({"do": "abort"}, routes["generation"])
        self.mark(f"canary {self._canary}: ended")
        return True

    def _change(self, change: dict[str, Any], generation: int) -> Any:
        return self._asked("POST", f"/admin/routes/{MODEL}", {**change, "generation": generation, "by": BY, "why": WHY})

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        """The answer. Raises Refused."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            applied = False if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else None
            raise Refused(f"admin API: {type(error).__name__}", applied=applied) from error
        try:
            document = answer.json()
        except ValueError:  # somebody between us answers
            document = None
        if answer.is_success and document is not None:
            return document
        code = str(document.get("code", "")) if isinstance(document, dict) else ""
        applied = False if answer.is_client_error else None
        raise Refused(f"admin API: {answer.status_code} {code}".rstrip(), applied=applied, code=code)

    def _end(self, why: str) -> None:
        self._over = True
        self.mark(why)
