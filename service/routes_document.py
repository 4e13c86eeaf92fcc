"""The routes document: text to policies and back, and what a change may do to it.

Laws
- A document that cannot be read whole is not read at all.
- Every change raises `generation` by one; a change made from another generation than the present one is refused.
"""

import tomllib
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

import msgspec
import tomli_w

from service.errors import RoutesInvalid
from service.routing import SALT_BYTES_MAX, Canary, RoutePolicy, Shadow

SHADOWS_MAX = 8  # each costs a run per sampled request; more is a load test, not a comparison
HEADER = (
    "# Changed by `plumbline routes` or the admin API (compare-and-swap by generation). A change by hand is entered in the\n"
    "# audit log beside this file and given a generation; replace the file as a whole.\n\n"
)


class CanaryEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    percent: float


class ShadowEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sample: float = 100.0


class ModelRoutes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The routes of one model; `key` is `header:NAME` or `feature:NAME`, `percent` and `sample` are 0 … 100.

    `previous` was stable before `stable`: where a rollback without a canary goes back to.
    """

    stable: str
    previous: str | None = None
    key: str | None = None
    salt: str = ""
    canary: CanaryEntry | None = None
    shadows: tuple[ShadowEntry, ...] = ()


class Routes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document; `entry` is the hash of the audit log's entry that made it (`routes_audit.py`)."""

    generation: int = 0
    models: Mapping[str, ModelRoutes] = {}
    entry: str = ""

    @classmethod
    def decode(cls, text: str) -> Self:
        """Raises RoutesInvalid with the place, what was found and what was expected."""
        try:
            routes = msgspec.convert(tomllib.loads(text), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
            raise RoutesInvalid("routes.toml", str(error), "generation and [models.NAME] tables") from error
        routes.policies()
        return routes

    def encode(self) -> str:
        models: dict[str, Any] = msgspec.to_builtins(dict(sorted(self.models.items())))
        entry = {"entry": self.entry} if self.entry else {}
        return HEADER + tomli_w.dumps({"generation": self.generation, **entry, "models": models})

    @property
    def digest(self) -> str:
        """Of what it says, whoever made it: as it is read back, where a share of 5 is one of 5.0."""
        read = msgspec.convert(msgspec.to_builtins(self.models), dict[str, ModelRoutes])
        said = msgspec.json.encode([self.generation, read], order="deterministic")
        return sha256(said).hexdigest()

    def policies(self) -> dict[str, RoutePolicy]:
        """One policy a model. Raises RoutesInvalid."""
        return {model: _policy(model, entry, self.generation) for model, entry in self.models.items()}

    def with_model(self, model: str, entry: ModelRoutes) -> "Routes":
        """The next generation, with this model's routes replaced."""
        _policy(model, entry, self.generation + 1)
        return Routes(self.generation + 1, {**self.models, model: entry})


def _policy(model: str, entry: ModelRoutes, generation: int) -> RoutePolicy:
    if len(entry.shadows) > SHADOWS_MAX:
        raise RoutesInvalid(f"{model}.shadows", f"{len(entry.shadows)} shadows", f"at most {SHADOWS_MAX}")
    if entry.canary and entry.canary.version == entry.stable:
        raise RoutesInvalid(f"{model}.canary", f"version {entry.stable!r}", "another version than stable")
    kind, _, name = (entry.key or "").partition(":")
    if entry.key is not None and (kind not in ("header", "feature") or not name):
        raise RoutesInvalid(f"{model}.key", repr(entry.key), "header:NAME or feature:NAME")
    salt = (entry.salt or model).encode()
    if entry.salt and len(salt) > SALT_BYTES_MAX:
        raise RoutesInvalid(f"{model}.salt", f"{len(salt)} bytes", f"at most {SALT_BYTES_MAX}")
    return RoutePolicy(
        model=model,
        stable=entry.stable,
        canary=Canary(entry.canary.version, _bp(entry.canary.percent, f"{model}.canary.percent"))
        if entry.canary
        else None,
        shadows=tuple(Shadow(s.version, _bp(s.sample, f"{model}.shadows.sample")) for s in entry.shadows),
        key_header=name.lower().encode() if kind == "header" else None,
        key_feature=name if kind == "feature" else None,
        salt=salt[:SALT_BYTES_MAX],
        generation=generation,
    )


def _bp(percent: float, where: str) -> int:
    if not 0 <= percent <= 100:
        raise RoutesInvalid(where, f"{percent:g}", "0 to 100")
    return round(percent * 100)
