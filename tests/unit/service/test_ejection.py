"""Who ended a worker, when that is too often, and what becomes of the routes: laws over all that may happen."""

from hypothesis import given
from hypothesis import strategies as st

from service.ejection import CRASHES, WINDOW_S, Deaths, Left, counted, culprit, without
from service.routes_document import CanaryEntry, ModelRoutes, Routes, ShadowEntry

marks = st.integers(1, 3)
VERSIONS = ("1", "2", "3", "4")
versions = st.sampled_from(VERSIONS)
entries = st.builds(
    ModelRoutes,
    stable=versions,
    previous=st.none() | versions,
    canary=st.none() | st.builds(CanaryEntry, versions, st.just(5.0)),
    shadows=st.lists(st.builds(ShadowEntry, versions), max_size=3).map(tuple),
).filter(lambda entry: entry.canary is None or entry.canary.version != entry.stable)


@given(running=st.dictionaries(st.integers(1, 5), marks, max_size=4), crashed=st.sets(st.integers(1, 9), max_size=3))
def test_nobody_is_blamed_where_another_may_have_been_it(running: dict[int, int], crashed: set[int]) -> None:
    blamed = culprit(Left(running, crashed))
    suspects = {running[thread] for thread in crashed & running.keys()} or set(running.values())
    assert (blamed is not None) == (len(suspects) == 1)
    assert blamed is None or blamed in running.values()


def test_the_thread_that_crashed_tells_the_guilty_from_those_who_ran_beside_it() -> None:
    assert culprit(Left({10: 1, 20: 2}, {20})) == 2
    assert culprit(Left({10: 1, 20: 2}, ())) is None
    assert culprit(Left({10: 1}, {99})) == 1  # a thread of the runtime's own
    assert culprit(Left({}, {99})) is None


@given(st.lists(st.tuples(marks, st.floats(0, WINDOW_S, allow_nan=False)), max_size=40))
def test_a_version_is_ejected_exactly_at_its_third_death_in_five_minutes(steps: list[tuple[int, float]]) -> None:
    deaths: Deaths = {}
    own: dict[int, list[float]] = {1: [], 2: [], 3: []}
    now_s = 0.0
    for mark, later_s in steps:
        now_s += later_s
        own[mark] = [*(then_s for then_s in own[mark] if now_s - then_s <= WINDOW_S), now_s]
        deaths, ejected = counted(deaths, mark, now_s)
        assert ejected == (len(own[mark]) >= CRASHES)
        if ejected:
            own[mark] = []
        assert sum(map(len, deaths.values())) <= (CRASHES - 1) * 3


@given(entry=entries, out=versions, past=st.lists(versions, max_size=4), usable=st.sets(versions))
def test_no_route_names_what_was_ejected_but_a_stable_that_nothing_can_replace(
    entry: ModelRoutes, out: str, past: list[str], usable: set[str]
) -> None:
    other = ModelRoutes(stable=out)
    after = without(Routes(7, {"m": entry, "other": other}), "m", out, past, usable)
    made = after.models["m"]
    after.policies()
    assert (after.generation, after.models["other"]) == (7, other)
    assert made.canary is None or made.canary.version != out
    assert out not in {shadow.version for shadow in made.shadows} | {made.previous}
    candidates = [one for one in (entry.previous, *past) if one in usable - {out}]
    if entry.stable != out:
        assert (made.stable, made.key) == (entry.stable, entry.key)
    else:
        assert made.stable == (candidates[0] if candidates else out)


def test_a_model_without_routes_stays_without() -> None:
    assert without(Routes(7, {}), "m", "1", [], {"2"}) == Routes(7, {})


def test_what_was_good_before_takes_the_place_and_the_canary_goes_with_what_it_was_held_against() -> None:
    entry = ModelRoutes(stable="3", previous="2", key="header:x", canary=CanaryEntry("4", 5))
    made = without(Routes(7, {"m": entry}), "m", "3", ["2", "1"], {"1", "2", "4"}).models["m"]
    assert made == ModelRoutes(stable="2", key="header:x")
