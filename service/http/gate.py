"""Who is let in? The keys of this worker, the admin token beside them, and what each key may still ask for.

Laws
- Nobody is let in by a gate that has never read its keys.
- Whoever is refused is counted, by fixed words; what was presented is kept nowhere.
"""

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path

import structlog
from pydantic import SecretStr

from models.keyring import Keyring
from models.keys import Holder, Refused, administrator, presented
from service.allowance import Allowances
from service.errors import RequestError, TooManyRows
from service.http.answer import Headers
from service.http.needs import NEEDS, Need, lacking
from service.http.paths import Target
from service.keys_errors import KeyMissing, KeyRefused, KeysUnavailable, RateLimited, ScopeMissing
from service.presence import worker_signs

WORKERS_EVERY_S = 2.0  # how often the live ones are counted, whose number divides what a key may ask for
TOKEN = "admin token"  # how the holder of the token is called
_log = structlog.get_logger()


class Gate:
    """One a worker; used from its event loop."""

    def __init__(
        self, *, keyring: Keyring, token: SecretStr | None, workers_root: Path, count: Callable[[str], None]
    ) -> None:
        """`count`: takes the word of a refusal."""
        self._keyring, self._workers_root, self._count = keyring, workers_root, count
        self._token = token.get_secret_value().encode() if token is not None else None
        self._administrator = administrator(TOKEN)
        self._allowances, self._share = Allowances(), 1.0

    # --- what is asked of it

    def enter(self, target: Target, headers: Headers) -> Holder | None:
        """Who asks this; None: the target needs no key.

        Raises KeyMissing, KeyRefused, ScopeMissing, RateLimited (it has nothing left), KeysUnavailable.
        """
        need = NEEDS[target.verb]
        if need is Need.NOTHING:
            return None
        holder = self._holder(headers)
        if scope := lacking(holder, target):
            raise self._refused("scope", ScopeMissing(holder.id, holder.scopes, scope))
        if need is Need.PREDICT and holder.rows_per_s:
            self._limit(holder, 0)
        return holder

    def reads(self, headers: Headers) -> bool:
        """May this request be told what is otherwise kept from who has no key? Nobody is refused by it."""
        found = self._find(presented(headers))
        return isinstance(found, Holder) and found.read

    def who(self, headers: Headers) -> str:
        """How the audit log names who asks."""
        found = self._find(presented(headers))
        if not isinstance(found, Holder):
            return ""
        return f"key {found.id} {found.name}" if found.id != TOKEN else TOKEN

    def predicts(self, holder: Holder, model: str) -> None:
        """Raises ScopeMissing."""
        if not holder.predicts(model):
            raise self._refused("scope", ScopeMissing(holder.id, holder.scopes, f"predict:{model}"))

    def charge(self, holder: Holder, rows: int) -> None:
        """Takes them from what the key may ask for. Raises TooManyRows: it never may, RateLimited: not now."""
        if holder.rows_per_s:
            if rows > holder.burst_rows:
                raise TooManyRows(rows, int(holder.burst_rows))
            self._limit(holder, rows)

    def _limit(self, holder: Holder, rows: int) -> None:
        """`rows` 0: looks whether there is one, and takes none."""
        now_s = time.monotonic()
        bucket = self._allowances.of(holder, now_s)
        wait_s = bucket.take(rows, now_s, self._share) if rows else bucket.wait_s(1, now_s, self._share)
        if wait_s:
            raise self._refused("rate", RateLimited(holder.id, holder.rows_per_s, ceil(wait_s)))

    def _holder(self, headers: Headers) -> Holder:
        text = presented(headers)
        found = self._find(text)
        if isinstance(found, Holder):
            return found
        ring = self._keyring.ring
        if ring is None:
            raise self._refused("unavailable", KeysUnavailable(self._keyring.problem))
        if not text:
            raise self._refused("missing", KeyMissing(len(ring)))
        assert found is not None
        raise self._refused(found.why, KeyRefused(found.why, found.id))

    def _find(self, text: bytes) -> Holder | Refused | None:
        """None: there are no keys to look for it in."""
        if not text:
            return None
        ring = self._keyring.ring
        found = ring.find(text, time.time()) if ring is not None else None
        if isinstance(found, Holder) or self._token is None or not hmac.compare_digest(text, self._token):
            return found
        return self._administrator

    def _refused(self, word: str, error: RequestError) -> RequestError:
        self._count(word)
        return error

    # --- how it stands

    @property
    def problem(self) -> str:
        """What is wrong with the keys; "" where nothing is."""
        return self._keyring.problem

    @property
    def shut(self) -> bool:
        """No key can be let in."""
        return self._keyring.ring is None

    def open(self) -> None:
        """Reads the keys for the first time."""
        self._keyring.read()
        self._tell()

    async def follow(self, poll_s: float) -> None:
        """Runs until cancelled: a change of the keys holds after one poll."""
        counted_s = -WORKERS_EVERY_S
        while True:
            if (now_s := time.monotonic()) - counted_s >= WORKERS_EVERY_S:
                counted_s = now_s
                with suppress(OSError):  # then the share stays as it was
                    self._share = 1 / max(1, len(await asyncio.to_thread(worker_signs, self._workers_root)))
            await asyncio.sleep(poll_s)
            if self._keyring.changed():
                before = self._keyring.ring, self._keyring.problem
                await asyncio.to_thread(self._keyring.read)
                if before != (self._keyring.ring, self._keyring.problem):
                    self._tell()

    def _tell(self) -> None:
        ring, problem = self._keyring.ring, self._keyring.problem
        if ring is not None:
            self._allowances.retain(ring.ids)
        keys = 0 if ring is None else len(ring)
        (_log.warning if problem else _log.info)("keys.asked_for", keys=keys, problem=problem)
