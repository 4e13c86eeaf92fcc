"""Which version answers a request, as a function of policy and key.

Laws
- Same policy and key, same decision: on every worker, after every restart.
- Raising the canary's share never moves a caller back to stable; lowering it never moves a caller to the canary.
- A shadow is chosen by its own hash of the key: it changes neither the arm nor the bucket.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

import msgspec

BUCKETS = 10_000  # a share is a whole number of basis points
SALT_BYTES_MAX = 16  # blake2b's own limit
HASHES_KEPT = 1024  # salts × shadows in use


class Arm(StrEnum):
    """Why a version was chosen."""

    STABLE = "stable"
    CANARY = "canary"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Canary:
    """A challenger and its share in basis points."""

    version: str
    share_bp: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that sees a sample of the requests and answers none."""

    version: str
    sample_bp: int


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How the requests of one model are shared out.

    `key_header` or `key_feature` makes it sticky; without them every request is decided on its own.
    """

    model: str
    stable: str
    canary: Canary | None = None
    shadows: tuple[Shadow, ...] = ()
    key_header: bytes | None = None
    key_feature: str | None = None
    salt: bytes = b""
    generation: int = 0

    def versions(self) -> frozenset[str]:
        """Every version that this policy may use."""
        canary = (self.canary.version,) if self.canary else ()
        return frozenset((self.stable, *canary, *(shadow.version for shadow in self.shadows)))


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What was decided, with everything needed to decide it again from the log."""

    version: str
    arm: Arm
    bucket: int
    generation: int
    shadows: tuple[str, ...] = ()


def route(policy: RoutePolicy, key: bytes) -> Decision:
    """Same key, same bucket: raising the share never moves a caller back to stable."""
    if (
        policy.canary is None and not policy.shadows
    ):  # nothing depends on the hash but the record: still log the true bucket
        return Decision(policy.stable, Arm.STABLE, bucket_of(key, policy.salt), policy.generation)
    bucket = bucket_of(key, policy.salt)
    in_canary = policy.canary is not None and bucket < policy.canary.share_bp
    version = policy.canary.version if policy.canary is not None and in_canary else policy.stable
    shadows = tuple(
        shadow.version
        for shadow in policy.shadows
        if shadow.version != version and bucket_of(key, policy.salt, shadow.version.encode()) < shadow.sample_bp
    )
    return Decision(version, Arm.CANARY if in_canary else Arm.STABLE, bucket, policy.generation, shadows)


def pin(policy: RoutePolicy, version: str) -> Decision:
    """The caller named the version: no bucket, no shadow."""
    return Decision(version, Arm.PINNED, -1, policy.generation)


def choose(policy: RoutePolicy, wanted: str) -> Decision:
    """A tester's choice: `stable`, `canary` or a version. As `pin`, so that it stands on neither side of a comparison of arms.

    `canary` without one is a version of that name: unknown, rather than quietly stable.
    """
    if wanted == Arm.STABLE:
        return pin(policy, policy.stable)
    if wanted == Arm.CANARY and policy.canary is not None:
        return pin(policy, policy.canary.version)
    return pin(policy, wanted)


def bucket_of(key: bytes, salt: bytes, person: bytes = b"") -> int:
    """0 … 9 999, uniform over keys."""
    keyed = _salted(salt, person).copy()  # half the cost of salting a new one
    keyed.update(key)
    return int.from_bytes(keyed.digest(), "big") % BUCKETS


@lru_cache(HASHES_KEPT)
def _salted(salt: bytes, person: bytes) -> blake2b:
    return blake2b(digest_size=8, salt=salt[:SALT_BYTES_MAX], person=person[:SALT_BYTES_MAX])
