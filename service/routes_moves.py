"""What would a change of the routes move? Shares before and after, and how many keys go from which version to which.

Laws
- With salt and key unchanged the moves are counted bucket by bucket, so they are exact; with another salt or key every key is
  dealt anew, and the moves are what is to be expected of that.
- What is kept and what moves add up to 100 %.
"""

from collections.abc import Iterator, Mapping

import msgspec

from service.routes_document import Routes
from service.routing import BUCKETS, RoutePolicy


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one version in one arm (`stable`, `canary`, `shadow`), in per cent of the model's requests."""

    model: str
    arm: str
    version: str
    before: float
    after: float


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}):
    """Keys that another version answers after the change, in per cent of all; "" is nobody: the model was not, or is no
    longer, routed. `dealt_anew`: by another salt or key.
    """

    model: str
    source: str
    target: str
    percent: float
    dealt_anew: bool = False


def shares(before: Routes, after: Routes) -> tuple[Share, ...]:
    """Of all models that change; arms that stay as they are among them."""
    found = []
    for model, was, will in _changing(before, after):
        old, new = _arms(was), _arms(will)
        for arm, version in sorted(old.keys() | new.keys(), key=lambda key: (_ORDER[key[0]], key[1])):
            share = Share(model, arm, version, old.get((arm, version), 0) / 100, new.get((arm, version), 0) / 100)
            found.append(share)
    return tuple(found)


def flows(before: Routes, after: Routes) -> tuple[Flow, ...]:
    """Of all models that change; what stays with its version is left out."""
    found = []
    for model, was, will in _changing(before, after):
        anew = was is not None and will is not None and _dealing(was) != _dealing(will)
        moved = _dealt_anew(was, will) if anew and was and will else _by_bucket(was, will)
        found += [Flow(model, old, new, round(bp / 100, 4), anew) for (old, new), bp in sorted(moved.items()) if bp]
    return tuple(found)


def rising(before: Routes, after: Routes) -> frozenset[tuple[str, str]]:
    """(model, version) that answer more afterwards, or are a new shadow's: what every worker should have loaded first."""
    found = set()
    for model, was, will in _changing(before, after):
        if will is None:
            continue
        old, new = _answering(was), _answering(will)
        found |= {(model, version) for version, bp in new.items() if bp > old.get(version, 0)}
        shadows = {shadow.version for shadow in was.shadows} if was else set()
        found |= {(model, shadow.version) for shadow in will.shadows if shadow.version not in shadows}
    return frozenset(found)


_ORDER = {"stable": 0, "canary": 1, "shadow": 2}
_Bp = dict[str, int]


def _changing(before: Routes, after: Routes) -> Iterator[tuple[str, RoutePolicy | None, RoutePolicy | None]]:
    old, new = before.policies(), after.policies()
    for model in sorted(old.keys() | new.keys()):
        if before.models.get(model) != after.models.get(model):
            yield model, old.get(model), new.get(model)


def _arms(policy: RoutePolicy | None) -> dict[tuple[str, str], int]:
    if policy is None:
        return {}
    canary_bp = policy.canary.share_bp if policy.canary else 0
    found = {("stable", policy.stable): BUCKETS - canary_bp}
    if policy.canary:
        found["canary", policy.canary.version] = canary_bp
    return {**found, **{("shadow", shadow.version): shadow.sample_bp for shadow in policy.shadows}}


def _answering(policy: RoutePolicy | None) -> _Bp:
    return {version: bp for (arm, version), bp in _arms(policy).items() if arm != "shadow"}


def _dealing(policy: RoutePolicy) -> tuple[object, ...]:
    return policy.salt, policy.key_header, policy.key_feature


def _ranges(policy: RoutePolicy | None) -> tuple[tuple[int, str], ...]:
    """(first bucket behind it, version), ascending."""
    if policy is None:
        return ((BUCKETS, ""),)
    if policy.canary is None:
        return ((BUCKETS, policy.stable),)
    return (policy.canary.share_bp, policy.canary.version), (BUCKETS, policy.stable)


def _by_bucket(was: RoutePolicy | None, will: RoutePolicy | None) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    old, new = _ranges(was), _ranges(will)
    begin = 0
    for end in sorted({end for end, _ in (*old, *new)}):
        pair = _version_at(old, begin), _version_at(new, begin)
        if end > begin and pair[0] != pair[1]:
            found[pair] = found.get(pair, 0) + end - begin
        begin = end
    return found


def _version_at(ranges: tuple[tuple[int, str], ...], bucket: int) -> str:
    return next((version for end, version in ranges if bucket < end), "")


def _dealt_anew(was: RoutePolicy, will: RoutePolicy) -> Mapping[tuple[str, str], float]:
    return {
        (old, new): old_bp * new_bp / BUCKETS
        for old, old_bp in _answering(was).items()
        for new, new_bp in _answering(will).items()
        if old != new
    }
