"""Sent, held or never: the decision, and what is kept of it."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.decide import DAY_S, History, Policy, dispatch
from monitoring.dispatch.deliveries import Due, Held, Taken, Why, Withheld
from monitoring.dispatch.facts import Facts, Look
from monitoring.dispatch.hands import Expire, Hands, Silence, hands_of
from monitoring.fold import fold
from monitoring.labels.rise import Rise
from monitoring.rules import Rules
from monitoring.state import State
from tests.unit.monitoring.dispatched import CHAT, PAGER, WEBHOOK, Office, Scripted, end, facts, opening
from tests.unit.monitoring.made import START_MINUTE, chunk, model, traffic

NOW_S = 1_000_000.0
EVENT = facts(opening())


def silence(
    identifier: str = "s1", *, at_s: float = NOW_S - 10, until_s: float = NOW_S + 100, **patterns: str
) -> Silence:
    return Silence(id=identifier, at_s=at_s, until_s=until_s, by="ada", why="backfill", **patterns)


def silenced(**patterns: str) -> Hands:
    return hands_of([silence(**patterns)])


def decided(event: Facts = EVENT, *, hands: Hands | None = None, policy: Policy | None = None, **known: object):
    history = History(**known)
    return dispatch(event, WEBHOOK, hands or Hands(), history, policy or Policy(), NOW_S)


def test_where_nothing_holds_it_an_event_is_due_at_once() -> None:
    assert decided() == Due(NOW_S, EVENT.id)


@pytest.mark.parametrize(
    ("patterns", "covers"),
    [
        ({}, True),
        ({"model": "pay*"}, True),
        ({"model": "fraud"}, False),
        ({"version": "2"}, False),
        ({"feature": "amount"}, True),
        ({"feature": "amo*", "check": "drift"}, True),
        ({"check": "null"}, False),
    ],
)
def test_a_silence_holds_what_it_names_until_it_ends(patterns: dict[str, str], covers: bool) -> None:
    held = Held(Why.SILENCE, NOW_S, NOW_S + 100, "s1")
    assert decided(hands=silenced(**patterns)) == (held if covers else Due(NOW_S, EVENT.id))


def test_a_silence_of_one_check_does_not_hide_another_one() -> None:
    wider = msgspec.structs.replace(EVENT, looks=(*EVENT.looks, Look("city", "unseen")))
    unnamed = msgspec.structs.replace(EVENT, looks_left_out=3)
    for event in (wider, unnamed):
        assert isinstance(decided(event, hands=silenced(feature="amount")), Due)
        assert isinstance(decided(event, hands=silenced()), Held)


@pytest.mark.parametrize("hold_s", [60, 1800])
def test_a_silence_of_a_feature_covers_it_in_every_window_and_of_every_kind(hold_s: int) -> None:
    made, rng = model(rows=5000), np.random.default_rng(6)
    normal = traffic(rng, minutes=range(START_MINUTE, START_MINUTE + 40), rows_per_minute=20)
    wrong = traffic(rng, minutes=range(START_MINUTE + 40, START_MINUTE + 140), rows_per_minute=20, scale=1000.0)
    rules, references = Rules(hold_s=hold_s), made.references()
    (event,) = fold(State(), chunk(*normal, *wrong, made=made), settled=True, rules=rules, references=references)
    told = facts(event)
    assert {look.feature for look in told.looks} == {"f0"}
    assert len(told.looks) > 1 and told.looks_left_out == 0
    assert isinstance(decided(told, hands=silenced(feature="f0")), Held)
    assert isinstance(decided(told, hands=silenced(feature="f0", check="drift")), Due), (
        "values above the range are told"
    )


def test_a_silence_holds_neither_before_it_was_said_nor_after_it_ended() -> None:
    later = silence(at_s=NOW_S + 1)
    over = silence(until_s=NOW_S)
    for hands in (
        hands_of([later]),
        hands_of([over]),
        hands_of([silence(), Expire(id="s1", at_s=NOW_S - 1, by="ada")]),
    ):
        assert isinstance(decided(hands=hands), Due)


def test_a_dry_run_is_kept_and_never_sent() -> None:
    assert decided(policy=Policy(dry_run=True)) == Withheld(Why.DRY_RUN, NOW_S)
    one = dispatch(EVENT, replace(WEBHOOK, dry_run=True), Hands(), History(), Policy(), NOW_S)
    assert one == Withheld(Why.DRY_RUN, NOW_S)


@pytest.mark.parametrize(
    ("rise", "without_labels", "sent"),
    [
        (Rise.ROSE, "hold", True),
        (Rise.NOT_RISEN, "send", False),
        (Rise.UNKNOWN, "send", True),
        (Rise.UNKNOWN, "hold", False),
    ],
)
def test_the_gate_lets_through_what_costs_and_does_as_it_is_told_where_it_knows_nothing(
    rise: Rise, without_labels: str, sent: bool
) -> None:
    policy = Policy(gate=True, without_labels=without_labels)
    assert isinstance(decided(policy=policy, rise=rise), Due) is sent
    chat = dispatch(EVENT, CHAT, Hands(), History(rise=rise), policy, NOW_S)
    assert isinstance(chat, Due), "who only tells is not gated"


def test_the_budget_of_retrainings_holds_what_is_beyond_until_a_day_has_passed() -> None:
    policy = Policy(retrain_max_per_day=2)
    sent_s = (NOW_S - 90_000.0, NOW_S - 5000.0, NOW_S - 4000.0)
    held = Held(Why.BUDGET, NOW_S, NOW_S - 5000.0 + DAY_S, "2 of 2 in 24 h")
    assert decided(policy=policy, retrains_s=sent_s) == held
    assert isinstance(decided(policy=policy, retrains_s=sent_s[:2]), Due)
    assert isinstance(decided(policy=policy, retrains_s=sent_s, retrained=True), Due), "one incident, one retraining"
    assert isinstance(dispatch(EVENT, CHAT, Hands(), History(retrains_s=sent_s), policy, NOW_S), Due), "telling is free"


def test_a_budget_of_none_asks_for_no_retraining_at_all() -> None:
    assert decided(policy=Policy(retrain_max_per_day=0)) == Held(Why.BUDGET, NOW_S, None, "0 of 0 in 24 h")


@pytest.mark.parametrize("why", [Why.SILENCE, Why.GATE, Why.BUDGET])
def test_an_incident_that_ended_while_its_opening_was_held_is_told_to_nobody(why: Why) -> None:
    assert decided(over=True, before=Held(why, NOW_S - 50)) == Withheld(Why.SUPERSEDED, NOW_S)


def test_an_incident_that_came_and_went_under_a_silence_is_told_to_nobody() -> None:
    assert decided(over=True, hands=silenced()) == Withheld(Why.SUPERSEDED, NOW_S, "silence")


def test_an_incident_that_is_over_and_was_never_held_is_sent_all_the_same() -> None:
    assert decided(over=True) == Due(NOW_S, EVENT.id)
    assert decided(over=True, before=Held(Why.GROUP, NOW_S - 50, NOW_S)) == Due(NOW_S, EVENT.id)


def test_a_hold_keeps_its_beginning() -> None:
    assert decided(hands=silenced(), before=Held(Why.SILENCE, 7.0, NOW_S + 1)) == Held(
        Why.SILENCE, 7.0, NOW_S + 100, "s1"
    )


@pytest.mark.parametrize(
    ("opened", "outcome"),
    [
        (Taken(1.0, 2.0, 200), Due(NOW_S, EVENT.id + "_end")),
        (Due(1.0, EVENT.id), Held(Why.OPENING, NOW_S)),
        (Held(Why.SILENCE, 1.0), Held(Why.OPENING, NOW_S)),
        (Withheld(Why.DRY_RUN, 1.0), Withheld(Why.NOT_OPENED, NOW_S)),
        (None, Withheld(Why.NOT_OPENED, NOW_S)),
    ],
)
def test_an_end_goes_to_who_took_the_opening(opened, outcome) -> None:
    assert decided(facts(end()), opening=opened, hands=silenced()) == outcome


# --- with what is kept ---------------------------------------------------------------------------------------------


def test_what_a_silence_held_is_sent_when_it_ends_and_survives_a_restart(tmp_path: Path) -> None:
    made = Office(tmp_path)
    made.hands.say(silence(until_s=made.now_s + 100, at_s=made.now_s), made.now_s)
    made.put(opening())
    made.look()
    assert (made.states("evt_0000"), made.senders["webhook"].ids) == ({"webhook": "silence"}, [])
    made = made.again()
    made.now_s += 99.0
    made.look()
    assert made.outbox.pending == ("evt_0000",)
    made.now_s += 1.0
    made.look()
    assert made.senders["webhook"].ids == ["evt_0000"]
    assert made.outbox.pending == ()


def test_a_silence_that_comes_after_the_decision_stops_nothing(tmp_path: Path) -> None:
    made = Office(tmp_path, senders={"webhook": Scripted(NoReply("down"))})
    made.put(opening())
    made.look()
    made.hands.say(silence(at_s=made.now_s, until_s=made.now_s + 1e6), made.now_s)
    made.again().settle()
    assert made.senders["webhook"].ids == ["evt_0000"] * 2


def test_a_superseded_incident_leaves_the_pending_ones_with_its_end(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT))
    made.hands.say(silence(at_s=made.now_s, until_s=made.now_s + 1e6), made.now_s)
    made.put(opening())
    made.look()
    made.put(end())
    made.look()
    assert made.states("evt_0000") == {"chat": "superseded", "webhook": "superseded"}
    assert made.states("evt_0000_end") == {"chat": "not_opened"}
    assert made.outbox.pending == ()
    assert made.senders["webhook"].ids == made.senders["chat"].ids == []


def test_the_budget_is_counted_over_restarts_incidents_and_receivers(tmp_path: Path) -> None:
    other = replace(WEBHOOK, name="other")
    made = Office(tmp_path, (WEBHOOK, other, CHAT), Policy(retrain_max_per_day=1))
    made.put(opening(0))
    made.look()
    made = made.again()
    made.put(opening(1), opening(2, model="fraud"))
    made.look()
    assert made.states("evt_0000") == {"chat": "taken", "other": "taken", "webhook": "taken"}
    assert made.states("evt_0001") == {"chat": "taken", "other": "budget", "webhook": "budget"}
    assert made.states("evt_0002")["webhook"] == "taken", "another model has a budget of its own"
    made.now_s += DAY_S
    made.look()
    assert made.states("evt_0001") == {"chat": "taken", "other": "taken", "webhook": "taken"}


def test_what_the_gate_held_is_sent_when_the_loss_rises_later(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), Policy(gate=True, without_labels="hold"))
    made.put(opening())
    made.look()
    assert made.states("evt_0000") == {"chat": "taken", "webhook": "gate"}
    made.desk.rise = lambda _: Rise.ROSE
    made.look()
    assert made.states("evt_0000") == {"chat": "taken", "webhook": "taken"}


def test_a_dry_run_keeps_the_event_for_who_looks(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK,), Policy(dry_run=True))
    made.put(opening())
    made.look()
    made = Office(tmp_path, (WEBHOOK,), senders=made.senders)
    made.look()
    assert made.states("evt_0000") == {"webhook": "dry_run"}
    assert made.outbox.delivered == ("evt_0000",)
    assert made.senders["webhook"].ids == []


def test_incidents_of_one_model_within_the_group_window_are_one_message_for_a_chat(tmp_path: Path) -> None:
    chat = replace(CHAT, group_s=30.0)
    made = Office(tmp_path, (WEBHOOK, chat))
    made.put(opening(0), opening(1, version="2"), opening(2, model="fraud"))
    made.look()
    assert made.senders["webhook"].ids == ["evt_0000", "evt_0001", "evt_0002"], "a retraining does not wait"
    assert made.senders["chat"].ids == []
    made.now_s += 29.0
    made.put(opening(3, version="3"))
    made.look()
    made.now_s += 1.0
    made.look()
    assert made.senders["chat"].ids == ["evt_0000", "evt_0002"]
    told = msgspec.json.decode(made.senders["chat"].messages[0].body)
    assert told["text"] == "payments: 3 incidents"
    for event in ("evt_0000", "evt_0001", "evt_0003"):
        assert event in str(told["blocks"])
        assert made.states(event)["chat"] == "taken"


def test_a_group_that_was_half_decided_at_a_crash_is_sent_whole_under_the_same_id(tmp_path: Path) -> None:
    chat = replace(CHAT, group_s=30.0)
    made = Office(tmp_path, (chat,))
    made.put(opening(0), opening(1))
    made.look()
    made.now_s += 30.0
    made.desk.book.write("evt_0001", "chat", Due(made.now_s, "evt_0000"))  # members first, then the crash
    made.again().look()
    assert made.senders["chat"].ids == ["evt_0000"]
    assert made.again().states("evt_0001") == {"chat": "taken"}


def test_a_member_whose_leader_will_not_be_sent_is_sent(tmp_path: Path) -> None:
    chat = replace(CHAT, group_s=30.0)
    made = Office(tmp_path, (chat,))
    made.put(opening(0), opening(1))
    made.desk.book.write("evt_0000", "chat", Withheld(Why.DRY_RUN, 0.0))
    made.desk.book.write("evt_0001", "chat", Due(0.0, "evt_0000"))
    made.look()
    assert made.states("evt_0001") == {"chat": "taken"}


def test_a_receiver_is_told_of_its_models_only_and_what_nobody_wants_waits_for_nobody(tmp_path: Path) -> None:
    made = Office(tmp_path, (replace(WEBHOOK, models=("fraud*",)),))
    made.put(opening(0), opening(1, model="fraud-eu"))
    made.look()
    assert made.senders["webhook"].ids == ["evt_0001"]
    assert set(made.outbox.delivered) == {"evt_0000", "evt_0001"}


def test_without_receivers_events_wait(tmp_path: Path) -> None:
    made = Office(tmp_path, ())
    made.put(opening())
    made.look()
    assert made.outbox.pending == ("evt_0000",)


def test_a_receiver_that_is_new_gets_what_is_pending_and_nothing_older(tmp_path: Path) -> None:
    made = Office(tmp_path)
    made.put(opening(0))
    made.look()
    made.senders["webhook"].script += [Reply(500)]
    made.put(opening(1))
    made.look()
    wider = Office(tmp_path, (WEBHOOK, CHAT), senders=made.senders)
    wider.settle()
    assert wider.senders["chat"].ids == ["evt_0001"]


@pytest.mark.parametrize(
    "body",
    [
        b"\x00",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": null}',
        b'{"data": {"checks_left_out": "x"}}',
        b'{"data": {"checks": [1]}}',
    ],
)
def test_bytes_that_are_no_event_stay_where_they_are_and_are_counted(tmp_path: Path, body: bytes) -> None:
    made = Office(tmp_path)
    made.put(opening(1))
    (tmp_path / "outbox" / "evt_bad.json").write_bytes(body)
    made = made.again()
    made.look()
    assert made.senders["webhook"].ids == ["evt_0001"]
    assert made.outbox.pending == ("evt_bad",)
    assert made.desk.unreadable == 1


def test_a_book_that_cannot_be_read_is_put_aside_and_its_event_sent_again_under_its_id(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, PAGER), senders={"pager": Scripted(*[NoReply("down")] * 3)})
    made.put(opening())
    made.look()
    (tmp_path / "outbox" / "deliveries" / "evt_0000.json").write_bytes(b"{")
    made.again().settle()
    assert made.senders["webhook"].ids == ["evt_0000"] * 2


def test_the_book_forgets_what_the_outbox_forgot(tmp_path: Path) -> None:
    made = Office(tmp_path)
    made.put(opening())
    made.look()
    (tmp_path / "outbox" / "delivered" / "evt_0000.json").unlink()
    assert made.again().desk.book.all() == []
    assert list((tmp_path / "outbox" / "deliveries").iterdir()) == []
