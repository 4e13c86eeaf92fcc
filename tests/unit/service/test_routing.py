from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.routing import BUCKETS, Arm, Canary, RoutePolicy, Shadow, bucket_of, choose, pin, route

pytestmark = pytest.mark.slow

KEYS = st.binary(max_size=40)
SALTS = st.binary(max_size=16)
SHARES = st.integers(0, BUCKETS)
SHADOWS = st.lists(st.builds(Shadow, st.sampled_from(("1", "2", "3", "4")), SHARES), max_size=4).map(tuple)
POLICIES = st.builds(
    RoutePolicy,
    st.just("m"),
    st.just("1"),
    canary=st.none() | st.builds(Canary, st.just("2"), SHARES),
    shadows=SHADOWS,
    salt=SALTS,
    generation=st.integers(0, 99),
)
# Of 99 degrees of freedom: a fair hash exceeds it once in 100 000 runs, and ours always gives the same.
CHI_SQUARE_99_999 = 175.0


@given(POLICIES, KEYS)
def test_the_same_policy_and_key_give_the_same_decision(policy: RoutePolicy, key: bytes) -> None:
    decision = route(policy, key)
    assert route(replace(policy), bytes(key)) == decision
    assert decision.bucket == bucket_of(key, policy.salt)
    assert decision.generation == policy.generation


@given(POLICIES, KEYS)
def test_the_arm_follows_from_bucket_and_share_alone(policy: RoutePolicy, key: bytes) -> None:
    decision = route(policy, key)
    in_canary = policy.canary is not None and decision.bucket < policy.canary.share_bp
    assert decision.arm is (Arm.CANARY if in_canary else Arm.STABLE)
    assert decision.version == ("2" if in_canary else "1")


@given(KEYS, SALTS, SHARES, SHARES)
def test_raising_the_share_never_moves_a_caller_back(key: bytes, salt: bytes, one: int, other: int) -> None:
    low, high = sorted((one, other))
    before = route(RoutePolicy("m", "1", canary=Canary("2", low), salt=salt), key)
    after = route(RoutePolicy("m", "1", canary=Canary("2", high), salt=salt), key)
    assert before.arm is Arm.STABLE or after.arm is Arm.CANARY


@given(KEYS, SALTS)
def test_no_share_is_nobody_and_the_whole_share_is_everybody(key: bytes, salt: bytes) -> None:
    assert route(RoutePolicy("m", "1", canary=Canary("2", 0), salt=salt), key).arm is Arm.STABLE
    assert route(RoutePolicy("m", "1", canary=Canary("2", BUCKETS), salt=salt), key).arm is Arm.CANARY


@given(POLICIES, SHADOWS, KEYS)
def test_shadows_change_neither_arm_nor_bucket(policy: RoutePolicy, shadows: tuple[Shadow, ...], key: bytes) -> None:
    one, other = route(policy, key), route(replace(policy, shadows=shadows), key)
    assert (one.version, one.arm, one.bucket) == (other.version, other.arm, other.bucket)


@given(POLICIES, KEYS)
def test_a_version_is_never_the_shadow_of_its_own_answer(policy: RoutePolicy, key: bytes) -> None:
    decision = route(policy, key)
    assert decision.version not in decision.shadows
    assert set(decision.shadows) <= {shadow.version for shadow in policy.shadows}


@given(KEYS, st.lists(SHARES, min_size=2, max_size=2))
def test_raising_the_sample_of_a_shadow_never_takes_a_key_out(key: bytes, shares: list[int]) -> None:
    low, high = (RoutePolicy("m", "1", shadows=(Shadow("3", share),)) for share in sorted(shares))
    assert set(route(low, key).shadows) <= set(route(high, key).shadows)


def test_buckets_are_uniform_over_keys() -> None:
    n, cells = 50_000, 100
    for salt in (b"", b"payments"):
        counts = Counter(bucket_of(b"customer-%d" % number, salt) * cells // BUCKETS for number in range(n))
        statistic = sum((counts[cell] - n / cells) ** 2 / (n / cells) for cell in range(cells))
        assert statistic < CHI_SQUARE_99_999, f"salt {salt!r}"


def test_salts_and_shadows_choose_independently() -> None:
    n = 20_000
    policy = RoutePolicy("m", "1", canary=Canary("2", 5000), shadows=(Shadow("3", 5000),), salt=b"a")
    found = [route(policy, b"%d" % number) for number in range(n)]
    other = [route(replace(policy, salt=b"b"), b"%d" % number) for number in range(n)]
    both = sum(one.arm is Arm.CANARY and bool(one.shadows) for one in found)
    moved = sum(one.arm is two.arm for one, two in zip(found, other, strict=True))
    assert abs(both - n / 4) < 5 * (n * 3 / 16) ** 0.5
    assert abs(moved - n / 2) < 5 * (n / 4) ** 0.5


def test_a_pinned_request_has_no_bucket_and_no_shadow() -> None:
    decision = pin(RoutePolicy("m", "1", shadows=(Shadow("3", BUCKETS),), generation=7), "9")
    assert (decision.version, decision.arm, decision.bucket, decision.generation) == ("9", Arm.PINNED, -1, 7)
    assert decision.shadows == ()


def test_a_policy_names_every_version_that_it_may_use() -> None:
    policy = RoutePolicy("m", "1", canary=Canary("2", 1), shadows=(Shadow("3", 1), Shadow("1", 1)))
    assert policy.versions() == {"1", "2", "3"}
    assert RoutePolicy("m", "1").versions() == {"1"}


# Of a normal variable: 99.9 % of its values are nearer to the mean than so many standard deviations.
Z_999 = 3.2905
KEYS_N = 100_000


def test_a_share_of_10_percent_of_100_000_keys_is_in_its_interval_and_only_grows() -> None:
    for salt in (b"payments", b"tumours", b"pepper"):
        keys = [b"customer-%d" % number for number in range(KEYS_N)]
        in_canary: set[bytes] = set()
        for share_bp in (100, 1000, 2500, 5000, 10_000):
            policy = RoutePolicy("m", "1", canary=Canary("2", share_bp), salt=salt)
            now = {key for key in keys if route(policy, key).arm is Arm.CANARY}
            p = share_bp / BUCKETS
            assert abs(len(now) - p * KEYS_N) <= Z_999 * (KEYS_N * p * (1 - p)) ** 0.5, (salt, share_bp)
            assert in_canary <= now
            in_canary = now


def test_a_testers_choice_is_an_arm_by_its_name_or_a_version() -> None:
    policy = RoutePolicy("m", "1", canary=Canary("2", 0), generation=7)
    chosen = {wanted: choose(policy, wanted) for wanted in ("stable", "canary", "9")}
    assert {wanted: decision.version for wanted, decision in chosen.items()} == {"stable": "1", "canary": "2", "9": "9"}
    assert {(decision.arm, decision.bucket) for decision in chosen.values()} == {(Arm.PINNED, -1)}
    assert choose(RoutePolicy("m", "1"), "canary").version == "canary"
