"""Which versions are served now: follows the routes document and the lock, loads, then swaps.

Laws
- A request sees one snapshot from beginning to end; a swap is one assignment.
- A model's routes are swapped only when every version they use is loaded and warm; until then the previous ones serve (P5).
- What must be loaded first is loaded beside that (service/loading.py): routes between loaded versions change at once.
- A version that was ejected is not run from the look on that finds it in `ejected.json`, whatever the routes say.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from models.durable import stamp
from models.errors import ArtifactRefused, LockInvalid, ModelError
from models.lock import Pin
from models.lock_file import LockFile
from models.pool import LoadedVersion, Pool
from service.ejected import EjectedFile
from service.errors import (
    Failed,
    ModelNotReady,
    ModelUnknown,
    RoutesInvalid,
    VersionEjected,
    VersionLoading,
    VersionUnknown,
)
from service.featurelog.writer import FeatureLog
from service.http.wire import Wire
from service.in_flight import Cells
from service.loading import Loading
from service.memory import give_back_holes
from service.rehearsal import Own, Rehearsed, recent, rehearse
from service.residence import Residence
from service.routes_document import Routes
from service.routes_file import RoutesFile
from service.routing import RoutePolicy
from service.served import ServedVersion
from service.telemetry import Telemetry

LOOKS_MAX = 16  # before readiness: under a cap what was loaded may leave room for something else
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Policies by model, versions by (model, version), and what is wrong; `ejected`, with the reason, are among the failed.

    `absent` are pinned and not in memory; each makes the error for who asks for it. `states`: what became of each pin.
    """

    generation: int = 0
    policies: Mapping[str, RoutePolicy] = field(default_factory=dict)
    versions: Mapping[tuple[str, str], ServedVersion] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()
    ejected: Mapping[tuple[str, str], str] = field(default_factory=dict)
    absent: Mapping[tuple[str, str], Callable[[], Failed]] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)

    def policy(self, model: str) -> RoutePolicy:
        """Raises ModelUnknown, ModelNotReady, VersionEjected."""
        policy = self.policies.get(model)
        if policy is None:
            if out := [(version, why) for (name, version), why in self.ejected.items() if name == model]:
                raise VersionEjected(f"{model}:{out[0][0]}", out[0][1])
            if broken := [f for f in self.failed if f[0] == model]:
                raise ModelNotReady(f"{model}:{broken[0][1]}", broken[0][2])
            raise ModelUnknown(model[:64])
        return policy

    def version(self, model: str, version: str) -> ServedVersion:
        """Raises VersionUnknown, VersionEjected, VersionEvicted, VersionLoading."""
        found = self.versions.get((model, version))
        if found is None:
            if (why := self.ejected.get((model, version))) is not None:
                raise VersionEjected(f"{model}:{version}", why)
            if (absent := self.absent.get((model, version))) is not None:
                raise absent()
            raise VersionUnknown(model, version[:64], [v for m, v in self.versions if m == model])
        return found

    def versions_of(self, model: str) -> list[ServedVersion]:
        """Stable first, then the others by name. Raises ModelUnknown, ModelNotReady, VersionEjected."""
        stable = self.policy(model).stable
        found = [version for (name, _), version in sorted(self.versions.items()) if name == model]
        return sorted(found, key=lambda version: version.pin.version != stable)


class Catalogue:
    """Keeps `current` in step with `routes.toml` and the lock file."""

    def __init__(
        self,
        *,
        routes: RoutesFile,
        lock_file: LockFile,
        pool: Pool,
        wires: Sequence[Wire],
        telemetry: Telemetry,
        ejected: EjectedFile,
        privacy_key: bytes = b"",
        cells: Cells | None = None,
        residence: Residence | None = None,
        log: FeatureLog | None = None,
    ) -> None:
        """`cells`: where it is told what runs (service/in_flight.py); `log`: whose requests a new version rehearses."""
        self._routes, self._lock_file, self._pool, self._ejected = routes, lock_file, pool, ejected
        self._residence = Residence(pool, cap_bytes=0, wanted=None) if residence is None else residence
        self._loading = Loading(pool, telemetry, cells, self._rehearsed, self._residence.crowded)
        self._pins: tuple[Pin, ...] = ()
        self._log = log
        self._wires, self._telemetry, self._privacy_key = tuple(wires), telemetry, privacy_key
        self._served: dict[str, ServedVersion] = {}
        self._stamps: tuple[Hashable, ...] | None = None
        self.current = Snapshot()

    async def follow(self, poll_s: float) -> None:
        """Runs until cancelled."""
        try:
            while True:
                await asyncio.sleep(poll_s)
                await self._look()
        finally:
            self._loading.close()

    async def refresh(self) -> None:
        """Returns when everything that is pinned is loaded or refused."""
        await self._look()
        for _ in range(LOOKS_MAX):
            await self._loading.settle()
            await self._look()
            if not self._loading.busy:
                break

    async def _look(self) -> None:
        places = (self._routes.path, self._lock_file.path, self._ejected.path)
        files = (*map(stamp, places), self._pool.stamp())
        stamps = (*files, self._loading.turns, self._residence.stamp())
        if stamps == self._stamps:
            return
        snapshot = await asyncio.to_thread(self._build, self.current)
        if snapshot is None:
            return  # the document is being written: the next look finds it whole
        self._stamps = stamps
        if snapshot.problems:
            self._telemetry.routes_error()
            _log.error("catalogue.problems", problems=snapshot.problems, generation=snapshot.generation)
        self.current = snapshot
        self._telemetry.routes(snapshot.generation)
        self._telemetry.versions_ejected(len(snapshot.ejected))
        pinned = {pin.digest for pin in self._pins}
        dropped = self._let_go(pinned | {version.pin.digest for version in snapshot.versions.values()}, snapshot)
        self._loading.ask(self._pins, files)
        self._served = {version.pin.ref: version for version in snapshot.versions.values()}
        _log.info(
            "catalogue.serving",
            generation=snapshot.generation,
            versions=[v.pin.ref for v in snapshot.versions.values()],
        )
        if dropped:
            await asyncio.to_thread(give_back_holes)

    def _let_go(self, wanted: AbstractSet[str], snapshot: Snapshot) -> bool:
        """Whether something went that is neither pinned nor routed, or has no room; requests in it keep it until they end."""
        dropped = self._pool.retain(frozenset(wanted))
        evicted = dropped & self._residence.out
        self._telemetry.versions_kept(self._residence.memory_bytes(self._pool.digests()), len(evicted))
        if evicted:
            _log.info("versions.evicted", versions=[":".join(key) for key in snapshot.absent], digests=sorted(evicted))
        return bool(dropped)

    def _build(self, present: Snapshot) -> Snapshot | None:
        try:
            routes, unentered = self._routes.follow(patient=bool(present.policies))
            lock = self._lock_file.read()
        except (RoutesInvalid, LockInvalid, OSError) as error:
            return replace(present, problems=(str(error),))
        if routes is None:
            return None
        out, unread = self._ejected.read()
        barred = {one.digest: one.why for one in out}
        ejected = {(pin.name, pin.version): barred[pin.digest] for pin in lock.pins if pin.digest in barred}
        pins = [pin for pin in lock.pins if pin.digest not in barred]
        resident = self._residence.chosen(pins, routes, present.policies.values(), present.versions.values())
        self._pins = resident.pins
        versions, failed, loading = self._load(self._pins)
        failed += [(name, version, VersionEjected("", why).told) for (name, version), why in ejected.items()]
        policies, problems = _routable(routes, versions, present, loading, ejected.keys())
        problems += [reason for reason in (unentered, unread) if reason]
        used = {(p.model, v) for p in policies.values() for v in p.versions()}
        kept = {key: version for key, version in present.versions.items() if key in used}
        problems += [f"{name}:{version}: {reason}" for name, version, reason in failed]
        absent: dict[tuple[str, str], Callable[[], Failed]] = dict(resident.absent)
        absent |= {key: partial(VersionLoading, ":".join(key)) for key in loading}
        states = {
            **{":".join(key): self._told(version) for key, version in versions.items()},
            **dict.fromkeys(map(":".join, resident.absent), "evicted"),
            **dict.fromkeys(map(":".join, loading), "loading"),
            **{f"{name}:{version}": f"refused: {reason}" for name, version, reason in failed},
            **{":".join(key): f"ejected: {why}" for key, why in ejected.items()},
        }
        served = {**kept, **versions}
        return Snapshot(
            routes.generation,
            policies,
            served,
            tuple(problems),
            tuple(failed),
            ejected,
            absent,
            dict(sorted(states.items())),
        )

    def _load(
        self, pins: Sequence[Pin]
    ) -> tuple[dict[tuple[str, str], ServedVersion], list[tuple[str, str, str]], set[tuple[str, str]]]:
        """What can be served, what was refused and why, and what is on its way."""
        versions: dict[tuple[str, str], ServedVersion] = {}
        failed: list[tuple[str, str, str]] = []
        loading: set[tuple[str, str]] = set()
        for pin in pins:
            try:
                loaded = self._loading.of(pin)
                if loaded is None:
                    loading.add((pin.name, pin.version))
                else:
                    versions[pin.name, pin.version] = self._serve(pin, loaded)
            except (ModelError, OSError) as error:
                failed.append((pin.name, pin.version, str(error)))
        return versions, failed, loading

    def _told(self, version: ServedVersion) -> str:
        rehearsed = self._loading.rehearsed.get(version.pin.digest)
        return f"loaded, {rehearsed}" if rehearsed else "loaded"

    def _rehearsed(self, loaded: LoadedVersion) -> Rehearsed:
        """A new version on the requests of the one that answers now; in the thread that loads it. Raises ArtifactRefused."""
        present, model = self.current, loaded.pin.name
        policy = present.policies.get(model)
        stable = present.versions.get((model, policy.stable)) if policy is not None else None
        if stable is None or self._log is None:
            return Rehearsed(0, 0)
        declared = self._log.declared(stable.schema)
        own = None if declared is None else Own(self._log.writer, self._log.epoch, declared)
        try:
            served = ServedVersion(loaded, self._privacy_key)
            answered = recent(self._log.root, stable.pin.digest, own)
            return rehearse(served, answered, partial(self._pool.rehearse, loaded.pin))
        except ArtifactRefused:
            raise
        except ModelError as error:
            return Rehearsed(0, 0, str(error))  # without the key of a hashed feature it cannot be served either

    def _serve(self, pin: Pin, loaded: LoadedVersion) -> ServedVersion:
        known = self._served.get(pin.ref)
        if known is None or known.pin != pin:
            known = ServedVersion(loaded, self._privacy_key)
            known.codecs = {wire.name: wire.compile(known) for wire in self._wires}
        return known


def _routable(
    routes: Routes,
    versions: Mapping[tuple[str, str], ServedVersion],
    present: Snapshot,
    loading: AbstractSet[tuple[str, str]],
    ejected: AbstractSet[tuple[str, str]],
) -> tuple[dict[str, RoutePolicy], list[str]]:
    """The new policy of each model whose versions are all there; otherwise the one it has. What was ejected is in neither."""
    policies: dict[str, RoutePolicy] = {}
    problems: list[str] = []
    before = {model: left for model, policy in present.policies.items() if (left := _without(policy, ejected))}
    for model, named in routes.policies().items():
        if (policy := _without(named, ejected)) is None:
            continue
        missing = sorted(version for version in policy.versions() if (model, version) not in versions)
        if not missing:
            policies[model] = policy
            continue
        if lost := [version for version in missing if (model, version) not in loading]:
            problems.append(
                str(RoutesInvalid(model, f"version {lost[0]!r}, not pinned or not loaded", "pinned versions"))
            )
        if model in before:
            policies[model] = before[model]
    return policies, problems


def _without(policy: RoutePolicy, ejected: AbstractSet[tuple[str, str]]) -> RoutePolicy | None:
    """The policy without what was ejected; None where that is its stable version."""
    out = {version for model, version in ejected if model == policy.model}
    if not out & policy.versions():
        return policy
    if policy.stable in out:
        return None
    canary = None if policy.canary is None or policy.canary.version in out else policy.canary
    shadows = tuple(shadow for shadow in policy.shadows if shadow.version not in out)
    return replace(policy, canary=canary, shadows=shadows)
