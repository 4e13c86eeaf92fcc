"""Which versions are served now: follows the routes document and the lock, loads, then swaps.

Laws
- A request sees one snapshot from beginning to end; a swap is one assignment.
- A model's routes are swapped only when every version they use is loaded and warm; until then the previous ones serve (P5).
- What must be loaded first is loaded beside that (service/loading.py): routes between loaded versions change at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from models.durable import Stamp, stamp
from models.errors import LockInvalid, ModelError
from models.lock import Pin
from models.lock_file import LockFile
from models.pool import LoadedVersion, Pool
from service.errors import ModelNotReady, ModelUnknown, RoutesInvalid, VersionUnknown
from service.http.wire import Wire
from service.loading import Loading
from service.routes_document import Routes
from service.routes_file import RoutesFile
from service.routing import RoutePolicy
from service.served import ServedVersion
from service.telemetry import Telemetry

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Policies by model, versions by (model, version), and what is wrong."""

    generation: int = 0
    policies: Mapping[str, RoutePolicy] = field(default_factory=dict)
    versions: Mapping[tuple[str, str], ServedVersion] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()

    def policy(self, model: str) -> RoutePolicy:
        """Raises ModelUnknown, ModelNotReady."""
        policy = self.policies.get(model)
        if policy is None:
            if broken := [f for f in self.failed if f[0] == model]:
                raise ModelNotReady(f"{model}:{broken[0][1]}", broken[0][2])
            raise ModelUnknown(model[:64])
        return policy

    def version(self, model: str, version: str) -> ServedVersion:
        """Raises VersionUnknown."""
        found = self.versions.get((model, version))
        if found is None:
            raise VersionUnknown(model, version[:64], [v for m, v in self.versions if m == model])
        return found

    def versions_of(self, model: str) -> list[ServedVersion]:
        """Stable first, then the others by name. Raises ModelUnknown, ModelNotReady."""
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
        privacy_key: bytes = b"",
    ) -> None:
        self._routes, self._lock_file, self._pool = routes, lock_file, pool
        self._loading, self._pins = Loading(pool, telemetry), tuple[Pin, ...]()
        self._wires, self._telemetry, self._privacy_key = tuple(wires), telemetry, privacy_key
        self._served: dict[str, ServedVersion] = {}
        self._stamps: tuple[Stamp | int, ...] | None = None
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
        await self._loading.settle()
        await self._look()

    async def _look(self) -> None:
        files = (stamp(self._routes.path), stamp(self._lock_file.path), self._pool.stamp())
        stamps = (*files, self._loading.turns)
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
        pinned = {pin.digest for pin in self._pins}
        self._pool.retain(frozenset(pinned | {version.pin.digest for version in snapshot.versions.values()}))
        self._loading.ask(self._pins, files)
        self._served = {version.pin.ref: version for version in snapshot.versions.values()}
        _log.info(
            "catalogue.serving",
            generation=snapshot.generation,
            versions=[v.pin.ref for v in snapshot.versions.values()],
        )

    def _build(self, present: Snapshot) -> Snapshot | None:
        try:
            routes, unentered = self._routes.follow(patient=bool(present.policies))
            lock = self._lock_file.read()
        except (RoutesInvalid, LockInvalid, OSError) as error:
            return Snapshot(present.generation, present.policies, present.versions, (str(error),), present.failed)
        if routes is None:
            return None
        self._pins = lock.pins
        versions, failed, loading = self._load(lock.pins)
        policies, problems = _routable(routes, versions, present, loading)
        problems += [unentered] if unentered else []
        used = {(p.model, v) for p in policies.values() for v in p.versions()}
        kept = {key: version for key, version in present.versions.items() if key in used}
        problems += [f"{name}:{version}: {reason}" for name, version, reason in failed]
        return Snapshot(routes.generation, policies, {**kept, **versions}, tuple(problems), tuple(failed))

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
) -> tuple[dict[str, RoutePolicy], list[str]]:
    """The new policy of each model whose versions are all there; otherwise the one it has."""
    policies: dict[str, RoutePolicy] = {}
    problems: list[str] = []
    for model, policy in routes.policies().items():
        missing = sorted(version for version in policy.versions() if (model, version) not in versions)
        if not missing:
            policies[model] = policy
            continue
        if lost := [version for version in missing if (model, version) not in loading]:
            problems.append(
                str(RoutesInvalid(model, f"version {lost[0]!r}, not pinned or not loaded", "pinned versions"))
            )
        if model in present.policies:
            policies[model] = present.policies[model]
    return policies, problems
