"""What a dry run says is what happens to every bucket."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from service.routes_document import CanaryEntry, ModelRoutes, Routes, ShadowEntry
from service.routes_moves import Flow, Share, flows, rising, shares
from service.routing import BUCKETS, RoutePolicy

VERSIONS = ("1", "2", "3")
PERCENTS = st.integers(0, 10_000).map(lambda bp: bp / 100)


@st.composite
def entries(draw: st.DrawFn) -> ModelRoutes:
    stable, canary = draw(st.permutations(VERSIONS))[:2]
    share = draw(st.none() | PERCENTS)
    return ModelRoutes(stable=stable, canary=None if share is None else CanaryEntry(canary, share))


def one(entry: ModelRoutes | None, generation: int = 1) -> Routes:
    return Routes(generation, {} if entry is None else {"m": entry})


def by_bucket(before: ModelRoutes | None, after: ModelRoutes | None) -> Counter[tuple[str, str]]:
    """Every bucket looked at."""
    old, new = one(before).policies().get("m"), one(after).policies().get("m")
    return Counter((answering(old, bucket), answering(new, bucket)) for bucket in range(BUCKETS))


def answering(policy: RoutePolicy | None, bucket: int) -> str:
    if policy is None:
        return ""
    in_canary = policy.canary is not None and bucket < policy.canary.share_bp
    return policy.canary.version if policy.canary is not None and in_canary else policy.stable


@given(st.none() | entries(), st.none() | entries())
def test_what_moves_is_what_moves_bucket_by_bucket(before: ModelRoutes | None, after: ModelRoutes | None) -> None:
    found = {(flow.source, flow.target): round(flow.percent * 100) for flow in flows(one(before), one(after, 2))}
    assert found == {pair: n for pair, n in by_bucket(before, after).items() if pair[0] != pair[1]}


@given(entries(), entries(), st.sampled_from(["header:a", "feature:b"]))
def test_with_another_key_every_key_is_dealt_anew(before: ModelRoutes, after: ModelRoutes, key: str) -> None:
    other = ModelRoutes(stable=after.stable, canary=after.canary, key=key)
    found = flows(one(before), one(other, 2))
    stays = sum(
        share.before * next(s.after for s in all_shares(before, other) if s.version == share.version) / 100
        for share in all_shares(before, other)
    )
    assert all(flow.dealt_anew for flow in found)
    assert abs(sum(flow.percent for flow in found) + stays - 100) < 0.01


def all_shares(before: ModelRoutes, after: ModelRoutes) -> list[Share]:
    """By version, whatever the arm."""
    totals: dict[str, Share] = {}
    for share in shares(one(before), one(after, 2)):
        known = totals.get(share.version, Share("m", "", share.version, 0, 0))
        totals[share.version] = Share("m", "", share.version, known.before + share.before, known.after + share.after)
    return list(totals.values())


@given(st.none() | entries(), entries())
def test_the_shares_of_those_that_answer_add_up(before: ModelRoutes | None, after: ModelRoutes) -> None:
    found = [share for share in shares(one(before), one(after, 2)) if share.arm != "shadow"]
    if before != after:
        assert abs(sum(share.after for share in found) - 100) < 1e-9
        assert abs(sum(share.before for share in found) - (0 if before is None else 100)) < 1e-9


@given(st.none() | entries(), entries())
def test_what_rises_is_what_answers_more_than_before(before: ModelRoutes | None, after: ModelRoutes) -> None:
    moved = by_bucket(before, after)
    gained = Counter[str]()
    for (old, new), n in moved.items():
        gained[new] += n
        gained[old] -= n
    assert rising(one(before), one(after, 2)) == {("m", version) for version, n in gained.items() if n > 0 and version}


def test_a_canary_is_told_with_its_share_and_the_keys_that_move() -> None:
    before = Routes(1, {"m": ModelRoutes(stable="1"), "other": ModelRoutes(stable="1")})
    after = before.with_model("m", ModelRoutes(stable="1", canary=CanaryEntry("2", 5), shadows=(ShadowEntry("3", 10),)))
    assert shares(before, after) == (
        Share("m", "stable", "1", 100, 95),
        Share("m", "canary", "2", 0, 5),
        Share("m", "shadow", "3", 0, 10),
    )
    assert flows(before, after) == (Flow("m", "1", "2", 5),)
    assert rising(before, after) == {("m", "2"), ("m", "3")}


def test_nothing_moves_where_nothing_changes() -> None:
    routes = one(ModelRoutes(stable="1", canary=CanaryEntry("2", 5)))
    assert (shares(routes, routes), flows(routes, routes), rising(routes, routes)) == ((), (), frozenset())
