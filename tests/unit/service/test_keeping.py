"""What stays in memory: laws over any pins, costs and uses."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from service.keeping import kept

digests = st.sampled_from("abcdef")
pins = st.lists(digests, unique=True)
costs = st.dictionaries(digests, st.integers(0, 50))
uses = st.dictionaries(digests, st.integers(1, 9))


@given(pinned=pins, needed=st.sets(digests), costs=costs, used_ns=uses, cap=st.integers(1, 150))
def test_what_is_needed_stays_and_the_rest_fits_by_recency(
    pinned: list[str], needed: set[str], costs: Mapping[str, int], used_ns: Mapping[str, int], cap: int
) -> None:
    found = kept(pinned, needed, costs=costs, used_ns=used_ns, cap_bytes=cap)
    assert set(pinned) & needed <= found <= set(pinned)
    rest = found - needed
    taken = sum(costs.get(one, 0) for one in needed)
    assert not rest or taken + sum(costs.get(one, 0) for one in rest) <= cap

    def recency(one: str) -> tuple[int, int]:
        return used_ns.get(one, 0), pinned.index(one)

    for out in set(pinned) - found:  # beside what is needed and more recent there is no room for it
        before = [one for one in rest if recency(one) > recency(out)]
        assert taken + sum(costs.get(one, 0) for one in (*before, out)) > cap


@given(pinned=pins, needed=st.sets(digests), costs=costs)
def test_without_a_cap_everything_stays(pinned: list[str], needed: set[str], costs: Mapping[str, int]) -> None:
    assert kept(pinned, needed, costs=costs, used_ns={}, cap_bytes=0) == set(pinned)


def test_the_least_recently_used_goes_first_and_the_newest_pin_before_it() -> None:
    costs = {"a": 10, "b": 10, "c": 10, "d": 10}
    assert kept("abcd", "a", costs=costs, used_ns={"b": 5}, cap_bytes=30) == {"a", "b", "d"}
    assert kept("abcd", "a", costs=costs, used_ns={"b": 5, "c": 6}, cap_bytes=20) == {"a", "c"}
    assert kept("abcd", "a", costs={**costs, "d": 99}, used_ns={"d": 9}, cap_bytes=20) == {"a", "c"}
