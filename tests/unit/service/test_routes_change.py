"""Orders in, the next document out: the same for whoever asks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RoutesInvalid
from service.routes_change import (
    Abort,
    CanaryChange,
    Order,
    Promote,
    ReplaceRoutes,
    Rollback,
    SetCanary,
    SetRoutes,
    asked_by,
    behind,
    changed,
    reasons,
    replaced,
    skips_the_wait,
)
from service.routes_document import CanaryEntry, ModelRoutes, Routes, ShadowEntry

PINNED = {"m": ["1", "2", "3"], "other": ["1"]}
PLAIN = ModelRoutes(stable="1", key="header:x-customer")
TRIED = ModelRoutes(stable="1", key="header:x-customer", canary=CanaryEntry("2", 5))
PROMOTED = ModelRoutes(stable="2", key="header:x-customer", previous="1")
OTHER = ModelRoutes(stable="1")


def document(entry: ModelRoutes | None) -> Routes:
    models = {"other": OTHER} if entry is None else {"m": entry, "other": OTHER}
    return Routes(7, models)


@pytest.mark.parametrize(
    ("before", "order", "after"),
    [
        (None, SetRoutes(stable="1"), ModelRoutes(stable="1")),
        (None, SetRoutes(stable="1", key="feature:city"), ModelRoutes(stable="1", key="feature:city")),
        (PLAIN, SetRoutes(stable="3"), ModelRoutes(stable="3", key=PLAIN.key, previous="1")),
        (PLAIN, SetRoutes(key=None), ModelRoutes(stable="1")),
        (PLAIN, SetRoutes(canary=CanaryChange(version="2", percent=5)), TRIED),
        (PLAIN, SetRoutes(canary=CanaryChange(version="2")), msgspec.structs.replace(TRIED, canary=CanaryEntry("2", 0))),
        (TRIED, SetRoutes(canary=CanaryChange(percent=50)), msgspec.structs.replace(TRIED, canary=CanaryEntry("2", 50))),
        (TRIED, SetRoutes(canary=CanaryChange(version="3")), msgspec.structs.replace(TRIED, canary=CanaryEntry("3", 5))),
        (TRIED, SetRoutes(canary=None), PLAIN),
        (PLAIN, SetRoutes(shadows=(ShadowEntry("3", 1),)), msgspec.structs.replace(PLAIN, shadows=(ShadowEntry("3", 1),))),
        (PLAIN, SetCanary(version="2", percent=5), TRIED),
        (TRIED, SetCanary(percent=25), msgspec.structs.replace(TRIED, canary=CanaryEntry("2", 25))),
        (TRIED, Promote(), PROMOTED),
        (TRIED, Abort(), PLAIN),
        (TRIED, Rollback(), PLAIN),
        (TRIED, Rollback(to="3"), ModelRoutes(stable="3", key=PLAIN.key)),
        (PROMOTED, Rollback(), PLAIN),
        (PROMOTED, Rollback(to="3"), ModelRoutes(stable="3", key=PLAIN.key)),
    ],
)  # fmt: skip
def test_an_order_makes_this_of_a_model_and_touches_no_other(
    before: ModelRoutes | None, order: Order, after: ModelRoutes
) -> None:
    made = changed(document(before), "m", order, PINNED)
    assert made == Routes(8, {"m": after, "other": OTHER})


@pytest.mark.parametrize(
    ("before", "order", "told"),
    [
        (None, Promote(), "no routes, expected a stable version"),
        (None, SetCanary(version="2", percent=5), "no routes"),
        (PLAIN, SetCanary(percent=5), "a share without a version"),
        (PLAIN, SetRoutes(canary=CanaryChange(percent=5)), "a share without a version"),
        (PLAIN, SetCanary(version="1", percent=5), "expected another version than stable"),
        (PLAIN, SetCanary(version="9", percent=5), r"version '9', expected a pinned version \(1, 2, 3\)"),
        (PLAIN, SetRoutes(stable="9"), "version '9'"),
        (PLAIN, SetRoutes(shadows=(ShadowEntry("9"),)), "version '9'"),
        (PLAIN, SetRoutes(key="cookie:a"), "header:NAME or feature:NAME"),
        (PLAIN, SetRoutes(), "so already"),
        (PLAIN, SetRoutes(stable="1"), "so already"),
        (TRIED, SetCanary(version="2", percent=5), "so already"),
        (PLAIN, Promote(), "no canary"),
        (PLAIN, Abort(), "no canary"),
        (PLAIN, Rollback(), "no canary, and no version that was stable before"),
        (PLAIN, Rollback(to="1"), "expected another version to go back to"),
        (PLAIN, Rollback(to="9"), "version '9'"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_what_was_found_and_expected(
    before: ModelRoutes | None, order: Order, told: str
) -> None:
    with pytest.raises(RoutesInvalid, match=told):
        changed(document(before), "m", order, PINNED)


def test_a_second_rollback_must_name_its_version() -> None:
    back = changed(document(PROMOTED), "m", Rollback(), PINNED)
    with pytest.raises(RoutesInvalid, match="no version that was stable before"):
        changed(back, "m", Rollback(), PINNED)
    assert changed(back, "m", Rollback(to="2"), PINNED).models["m"].stable == "2"


def test_taking_a_canary_out_asks_for_no_pin() -> None:
    for order in (Abort(), Rollback()):
        assert changed(document(TRIED), "m", order, {}).models["m"] == PLAIN


def test_what_an_incident_waits_for_waits_for_nobody() -> None:
    orders = (SetRoutes(), SetCanary(percent=1), Promote(), ReplaceRoutes(models={}))
    assert [skips_the_wait(order) for order in orders] == [False] * 4
    assert skips_the_wait(Abort()) and skips_the_wait(Rollback())


def test_a_whole_document_is_the_next_generation_and_remembers_what_was_stable() -> None:
    models = {"m": ModelRoutes(stable="2"), "other": OTHER}
    made = replaced(document(PLAIN), ReplaceRoutes(models=models), PINNED)
    assert made == Routes(8, {"m": ModelRoutes(stable="2", previous="1"), "other": OTHER})
    said = ReplaceRoutes(models={"m": ModelRoutes(stable="2", previous="3"), "other": OTHER})
    assert replaced(document(PLAIN), said, PINNED).models["m"].previous == "3"


def test_a_whole_document_loses_no_model_unless_it_says_so() -> None:
    with pytest.raises(RoutesInvalid, match=r'models\.other: found no routes, expected its routes, or "remove"'):
        replaced(document(PLAIN), ReplaceRoutes(models={"m": TRIED}), PINNED)
    with pytest.raises(RoutesInvalid, match="one or the other"):
        replaced(document(PLAIN), ReplaceRoutes(models={"m": TRIED, "other": OTHER}, remove=("other",)), PINNED)
    made = replaced(document(PLAIN), ReplaceRoutes(models={"m": PLAIN}, remove=("other",)), PINNED)
    assert made == Routes(8, {"m": PLAIN})


@pytest.mark.parametrize(
    "models",
    [
        {"m": PLAIN, "other": OTHER},
        {"m": ModelRoutes(stable="9"), "other": OTHER},
        {"m": PLAIN, "other": OTHER, "new": ModelRoutes(stable="1")},
        {"m": ModelRoutes(stable="1", canary=CanaryEntry("2", 101)), "other": OTHER},
    ],
)
def test_a_whole_document_that_changes_nothing_or_names_what_is_not_there_is_refused(
    models: dict[str, ModelRoutes],
) -> None:
    with pytest.raises(RoutesInvalid):
        replaced(document(PLAIN), ReplaceRoutes(models=models), PINNED)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.sampled_from(("m:1", "m:2")), st.sampled_from("xy")))
)
def test_a_worker_is_behind_exactly_where_it_lacks_something_or_has_other_bytes(has: dict[str, dict[str, str]]) -> None:
    needed = {"m:1": "x", "m:2": "x"}
    late = behind(needed, has)
    assert late == {
        name: tuple(ref for ref in needed if loaded.get(ref) != "x") for name, loaded in has.items() if loaded != needed
    }
    assert behind({}, has) == {}


def test_why_a_version_is_not_loaded_is_what_the_first_worker_says_of_it() -> None:
    told = ["m:1: refused: x", "m:2: no such file", "m:2: later", "routes, m: found m:1: y", "other"]
    assert reasons({"m:2", "m:3"}, told) == {"m:2": "no such file"}


def test_the_audit_log_gets_the_order_without_who_asked_and_without_routes_that_it_has_anyway() -> None:
    order = SetCanary(version="2", percent=5, by="ada", why="release", generation=7, wait_s=1)
    assert msgspec.json.decode(asked_by(order)) == {"do": "canary", "version": "2", "percent": 5, "generation": 7}
    whole = ReplaceRoutes(models={"m": PLAIN}, remove=("other",), by="ada")
    assert msgspec.json.decode(asked_by(whole)) == {"do": "replace", "remove": ["other"]}


def test_orders_are_read_as_they_are_written() -> None:
    for order in (SetRoutes(canary=None, key=None), SetRoutes(stable="2"), SetCanary(percent=1), Rollback(to="1")):
        assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
