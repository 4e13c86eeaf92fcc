from datetime import UTC, datetime, timedelta
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rollout.control import (
    BY,
    TABLE,
    Abort,
    Action,
    Change,
    Do,
    Entry,
    Follows,
    People,
    Promote,
    Reason,
    Routes,
    SetShare,
    Stands,
    Stay,
    Word,
    act,
    order,
    people_of,
    permits,
)
from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Changing,
    Done,
    Finding,
    Hold,
    NotApplied,
    NoTraffic,
    Outcome,
    Rollback,
    Suspicion,
)
from tests.unit.monitoring.rollout.routes_of import RoutesInMemory, canary

PLAN = Rollout(version="2", steps=(1, 5, 25, 100))
FOUND = Finding("errors", "errors", 0.04, 0.01, 0.005, 500, 9500, 3.01, 2.7)
BACK, SUSPICION, BAKING = Rollback(FOUND), Hold(Suspicion(FOUND)), Hold(Baking(60, 600))
NOT_APPLIED = Hold(NotApplied(5.0))
AT = datetime(2026, 1, 5, tzinfo=UTC)
NOBODY = People()


def told(
    outcome: Outcome | None, step: int, entry: Entry | None, *, people: People = NOBODY, plan: Rollout = PLAN
) -> Action:
    return act(plan, outcome, step, Routes(7, entry), people)


def changed(
    generation: int, before: Entry | None, after: Entry | None, *, ours: bool = False, minutes: int = 1
) -> Change:
    via, by = ("api", BY) if ours else ("command", "ada")
    return Change(generation, AT + timedelta(minutes=minutes), via, by, before, after)


def test_the_table_has_every_case_once() -> None:
    assert set(TABLE) == set(product(Follows, Stands))
    assert {TABLE[Follows.WAIT, stands] for stands in Stands} & {Do.RAISE, Do.ABORT, Do.PROMOTE} == set()
    assert {TABLE[follows, Stands.HANDS] for follows in Follows} == {Do.BY_HAND}


@pytest.mark.parametrize(
    ("outcome", "step", "entry", "action"),
    [
        (BAKING, 0, canary(1), Stay(Reason.NOTHING)),
        (None, 0, canary(1), Stay(Reason.NOTHING)),
        (Advance(1, 5), 1, canary(1), SetShare(5)),
        (NOT_APPLIED, 1, canary(1), SetShare(5)),  # the Advance could not be applied when it was said
        (NOT_APPLIED, 1, canary(5), Stay(Reason.NOTHING)),
        (SUSPICION, 1, canary(1), Stay(Reason.NOTHING)),
        (Hold(NoTraffic("canary")), 1, canary(1), Stay(Reason.NOTHING)),
        (Hold(Changing()), 1, canary(1), Stay(Reason.NOTHING)),
        (Advance(2, 25), 2, canary(1), Stay(Reason.BY_HAND)),  # two steps at once
        (BAKING, 1, canary(10), Stay(Reason.BY_HAND)),
        (BAKING, 0, Entry("1"), Stay(Reason.ABSENT)),
        (BAKING, 0, None, Stay(Reason.ABSENT)),
        (BAKING, 0, canary(1, version="3"), Stay(Reason.ABSENT)),
        (Advance(1, 5), 1, Entry("2"), Stay(Reason.OVER)),
        (BACK, 1, canary(5), Abort()),
        (BACK, 1, canary(1), Abort()),
        (BACK, 1, Entry("1"), Stay(Reason.OVER)),
        (BACK, 1, Entry("2"), Stay(Reason.TOO_LATE)),
        (BACK, 1, canary(10), Stay(Reason.BY_HAND)),
        (Done(), 3, canary(100), Promote()),
        (Done(), 3, canary(25), SetShare(100)),
        (Done(), 3, Entry("2"), Stay(Reason.OVER)),
    ],
)
def test_what_is_done_follows_from_outcome_and_routes(
    outcome: Outcome | None, step: int, entry: Entry | None, action: Action
) -> None:
    assert told(outcome, step, entry) == action


@pytest.mark.parametrize(
    "plan", [Rollout(version="2", steps=(1, 5)), Rollout(version="2", steps=(5, 100), promote=False)], ids=str
)
def test_what_the_steps_do_not_say_is_left_to_a_person(plan: Rollout) -> None:
    assert told(Done(), 1, canary(plan.steps[1]), plan=plan) == Stay(Reason.FINISHED)


def test_a_pause_stops_what_raises_a_share_and_no_rollback() -> None:
    paused = People(paused=True)
    assert told(Advance(1, 5), 1, canary(1), people=paused) == Stay(Reason.PAUSED)
    assert told(Done(), 3, canary(100), people=paused) == Stay(Reason.PAUSED)
    assert told(BACK, 1, canary(5), people=paused) == Abort()


# --- people -------------------------------------------------------------------------------------------------------


def test_a_change_by_hand_after_ours_holds_everything_until_it_is_handed_over() -> None:
    changes = (changed(5, canary(1), canary(5), ours=True), changed(6, canary(5), canary(1)))
    routes = Routes(6, canary(1), changes)
    for outcome in (BACK, NOT_APPLIED, BAKING, Done()):
        assert act(PLAN, outcome, 1, routes, NOBODY) == Stay(Reason.BY_HAND)
        assert act(PLAN, outcome, 1, routes, People(resumed=5)) == Stay(Reason.BY_HAND)
    assert act(PLAN, NOT_APPLIED, 1, routes, People(resumed=6)) == SetShare(5)
    assert act(PLAN, BACK, 1, routes, People(resumed=6)) == Abort()


def test_a_share_that_is_no_step_is_put_to_the_step_once_it_is_handed_over() -> None:
    routes = Routes(6, canary(10), (changed(6, Entry("1"), canary(10)),))
    assert act(PLAN, BAKING, 1, routes, NOBODY) == Stay(Reason.BY_HAND)
    assert act(PLAN, BAKING, 1, routes, People(resumed=6)) == SetShare(5)


def test_a_canary_that_is_brought_in_again_after_our_rollback_stays() -> None:
    changes = (changed(5, canary(5), Entry("1"), ours=True), changed(6, Entry("1"), canary(5)))
    assert act(PLAN, BACK, 1, Routes(6, canary(5), changes), NOBODY) == Stay(Reason.BY_HAND)


@pytest.mark.parametrize(
    "change",
    [
        changed(6, canary(5), canary(5)),  # its shadows
        changed(6, Entry("1"), canary(5, version="3")),
        changed(6, canary(1), canary(5), minutes=-60),  # before the rollout began
    ],
    ids=["shadows", "another canary", "before"],
)
def test_what_does_not_concern_the_rollout_is_no_change_by_hand(change: Change) -> None:
    plan = msgspec.structs.replace(PLAN, since=AT)
    routes = Routes(7, canary(5), (changed(5, canary(1), canary(5), ours=True), change))
    assert act(plan, BACK, 1, routes, NOBODY) == Abort()


def test_another_salt_deals_the_callers_anew_so_it_is_a_change_by_hand() -> None:
    changes = (changed(5, canary(1), canary(5), ours=True), changed(6, canary(5), canary(5, salt="x")))
    assert act(PLAN, BAKING, 1, Routes(6, canary(5, salt="x"), changes), NOBODY) == Stay(Reason.BY_HAND)


def test_what_people_said_last_holds() -> None:
    start, pause, resume = Word("t", "start", generation=3), Word("t", "pause"), Word("t", "resume", generation=9)
    assert people_of([]) == People()
    assert people_of([start, pause]) == People(paused=True, resumed=3)
    assert people_of([start, pause, resume]) == People(resumed=9)
    assert people_of([start, pause, start]) == People(resumed=3)


# --- the whole course ---------------------------------------------------------------------------------------------

STEPS = st.sampled_from([BAKING, SUSPICION, Hold(NoTraffic("stable")), Hold(Changing()), "advance"])


@given(st.lists(STEPS, max_size=30), st.lists(st.booleans(), min_size=31, max_size=31))
def test_a_share_rises_by_steps_only_and_each_change_is_made_once_however_often_it_is_asked(
    course: list[Outcome | str], applied: list[bool]
) -> None:
    """`applied`: whether the service can be reached at that look; each look is made twice, as by one that died after it."""
    service, step, shares = RoutesInMemory(canary(1)), 0, [1.0]
    for asked, reachable in zip(course, applied, strict=False):
        assert service.entry is not None
        assert service.entry.canary is not None
        there = service.entry.canary.percent == PLAN.steps[step]
        outcome: Outcome = BAKING if isinstance(asked, str) else asked
        if not there:
            outcome = NOT_APPLIED if outcome == BAKING else outcome
        elif asked == "advance" and step < 3:
            step += 1
            outcome = Advance(step, PLAN.steps[step])
        for _ in range(2 if reachable else 0):
            action = act(PLAN, outcome, step, service.routes("m"), NOBODY)
            if isinstance(action, SetShare):
                assert outcome not in (SUSPICION, BAKING)
                service.change("m", order(action, PLAN, service.generation, "why"))
                shares.append(action.percent)
    assert shares == list(PLAN.steps[: len(shares)])


def test_an_order_names_the_version_the_generation_and_who_gives_it() -> None:
    assert order(SetShare(5), PLAN, 7, "because") == {
        "do": "canary",
        "version": "2",
        "percent": 5,
        "generation": 7,
        "by": "plumbline-rollout",
        "why": "because",
    }
    assert order(Abort(), PLAN, 7, "w")["do"] == "abort"
    assert "version" not in order(Promote(), PLAN, 7, "w")


@pytest.mark.parametrize(
    ("outcome", "step_percent", "percent", "expected"),
    [
        (None, None, 1, None),
        (Hold(NoTraffic("canary")), None, 1, None),  # never both arms: nothing is known
        (BAKING, 5, 5, True),
        (BAKING, 5, 25, False),
        (Advance(1, 5), 5, 5, True),
        (SUSPICION, 5, 1, False),
        (BACK, 5, 1, False),
        (Done(), 25, 100, True),
    ],
)
def test_what_the_evidence_permits(
    outcome: Outcome | None, step_percent: float | None, percent: float, expected: bool | None
) -> None:
    assert permits(outcome, step_percent, percent) is expected
