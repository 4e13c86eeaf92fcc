"""Which pinned versions has this worker in memory, and what is told to who asks for another?

Laws
- Under a cap (service/keeping.py) routes, where a rollback goes back to, and what a change waits for are needed; the rest stays
  by use. Without one everything that is pinned is loaded.
- Who asks for a version that is not in memory, and fits, gets it loaded and is told to ask again; nobody waits for it.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple

from models.durable import stamp
from models.lock import Pin
from models.pool import Pool
from service.errors import Failed, VersionEvicted, VersionLoading
from service.keeping import kept
from service.routes_document import Routes
from service.routing import RoutePolicy
from service.served import ServedVersion
from service.wanted import WantedFile


class Resident(NamedTuple):
    """`pins`: to be loaded, what is needed first; `absent`: (model, version) → makes the error for who asks."""

    pins: tuple[Pin, ...]
    absent: Mapping[tuple[str, str], Callable[[], Failed]]


class Residence:
    """One a worker; `out`: digests that are pinned and have no room now."""

    def __init__(self, pool: Pool, *, cap_bytes: int, wanted: WantedFile | None) -> None:
        self._pool, self._cap_bytes, self._wanted = pool, cap_bytes, wanted
        self._used_ns: dict[str, int] = {}
        self._asked = 0
        self._kept: frozenset[str] = frozenset()
        self._needed: AbstractSet[str] = frozenset()
        self.out: frozenset[str] = frozenset()

    def stamp(self) -> Hashable:
        """Changes when somebody asked for what is not there, or a change waits for it."""
        return self._asked, stamp(self._wanted.path) if self._cap_bytes and self._wanted is not None else None

    def chosen(
        self, pins: Sequence[Pin], routes: Routes, policies: Iterable[RoutePolicy], served: Iterable[ServedVersion]
    ) -> Resident:
        """Of these pins; `policies`: of what is served now, by `served`."""
        if not self._cap_bytes:
            return Resident(tuple(pins), {})
        self._learn(pins, served)
        needed = self._needed = self._needs(pins, routes, policies)
        costs = {digest: self._pool.cost_bytes(digest) for digest in {*needed, *(pin.digest for pin in pins)}}
        digests = list(dict.fromkeys(pin.digest for pin in pins))
        keep = kept(digests, needed, costs=costs, used_ns=self._used_ns, cap_bytes=self._cap_bytes)
        self._kept, self.out = keep, frozenset(digests) - keep
        left = self._cap_bytes - sum(costs[digest] for digest in needed)
        absent = {
            (pin.name, pin.version): partial(self._ask, pin)
            if costs[pin.digest] <= left
            else partial(VersionEvicted, pin.ref, costs[pin.digest])
            for pin in pins
            if pin.digest not in keep
        }
        return Resident(
            tuple(sorted((p for p in pins if p.digest in keep), key=lambda p: p.digest not in needed)), absent
        )

    def crowded(self, pin: Pin) -> bool:
        """Whether what was chosen costs so much more than its files said that this one has no room any more."""
        if not self._cap_bytes or pin.digest in self._needed:
            return False
        return self.memory_bytes((self._pool.digests() & self._kept) | {pin.digest}) > self._cap_bytes

    def memory_bytes(self, digests: Iterable[str]) -> int:
        """What these take."""
        return sum(map(self._pool.cost_bytes, digests))

    def _ask(self, pin: Pin) -> VersionLoading:
        """Somebody wants it: the next look loads it."""
        self._used_ns[pin.digest] = time.monotonic_ns()
        self._asked += 1
        return VersionLoading(pin.ref)

    def _learn(self, pins: Sequence[Pin], served: Iterable[ServedVersion]) -> None:
        pinned = {pin.digest for pin in pins}
        self._used_ns = {digest: used_ns for digest, used_ns in self._used_ns.items() if digest in pinned}
        for version in served:
            if version.used_ns > self._used_ns.get(version.pin.digest, 0):
                self._used_ns[version.pin.digest] = version.used_ns

    def _needs(self, pins: Sequence[Pin], routes: Routes, policies: Iterable[RoutePolicy]) -> AbstractSet[str]:
        routed = {(p.model, version) for p in (*routes.policies().values(), *policies) for version in p.versions()}
        before = {(model, entry.previous) for model, entry in routes.models.items() if entry.previous is not None}
        needed = {pin.digest for pin in pins if (pin.name, pin.version) in routed | before}
        return needed | (self._wanted.read() & {pin.digest for pin in pins} if self._wanted is not None else set())
