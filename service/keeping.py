"""Which versions stay in memory under a cap?

Laws
- What a route needs stays, whatever it costs; the cap is for what only a version in the path reaches.
- Of the others the most recently used stay while they fit beside what is needed; one that does not fit keeps no other out.
- Without a cap everything stays. The same use, costs and needs keep the same versions.
"""

from collections.abc import Collection, Mapping, Sequence


def kept(
    pinned: Sequence[str],
    needed: Collection[str],
    *,
    costs: Mapping[str, int],
    used_ns: Mapping[str, int],
    cap_bytes: int,
) -> frozenset[str]:
    """Digests that may be in memory, of those that are pinned; `costs` in bytes, `cap_bytes` 0: none.

    What was never used counts as used in the order of the pins, before all that was.
    """
    if not cap_bytes:
        return frozenset(pinned)
    found = set(pinned) & set(needed)
    left = cap_bytes - sum(costs.get(digest, 0) for digest in needed)
    recent = sorted(enumerate(pinned), key=lambda one: (used_ns.get(one[1], 0), one[0]), reverse=True)
    for _, digest in recent:
        cost = costs.get(digest, 0)
        if digest not in found and cost <= left:
            found.add(digest)
            left -= cost
    return frozenset(found)
