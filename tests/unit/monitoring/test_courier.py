"""One courier: what it makes of answers, and in which order events leave."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.hands import Ack
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.errors import AddressRefused
from tests.unit.monitoring.dispatched import CHAT, PAGER, WEBHOOK, Office, Scripted, end, opening

AIRFLOW = Receiver(name="airflow", kind=Kind.AIRFLOW, dag="retrain")


def office(
    directory: Path, *script: Reply | NoReply | Exception, receiver: Receiver = WEBHOOK, events: int = 1
) -> Office:
    made = Office(directory, (receiver,), senders={receiver.name: Scripted(*script)})
    made.put(*(opening(number) for number in range(events)))
    return made


def test_events_leave_oldest_first_when_they_are_taken(tmp_path: Path) -> None:
    made = office(tmp_path, events=2)
    made.settle()
    assert [(one.id, one.body) for one in made.senders["webhook"].messages] == [
        ("evt_0000", opening(0).body),
        ("evt_0001", opening(1).body),
    ]
    assert made.outbox.delivered == ("evt_0000", "evt_0001")
    assert made.couriers["webhook"].status.delivered == 2


def test_a_failing_receiver_gets_the_same_id_and_bytes_until_it_takes_them(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(500), NoReply("refused"), AddressRefused("h", "10.0.0.1"))
    made.settle()
    assert {(one.id, one.body) for one in made.senders["webhook"].messages} == {("evt_0000", opening().body)}
    status = made.couriers["webhook"].status
    assert (status.attempts, status.failures, status.delivered) == (4, 3, 1)
    assert "10.0.0.1" in status.last_error


def test_410_stops_the_sending_and_keeps_the_events(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(410), events=2)
    made.run(lambda: made.couriers["webhook"].status.disabled)
    assert made.senders["webhook"].ids == ["evt_0000"]
    assert made.outbox.pending == ("evt_0000", "evt_0001")
    again = made.again()
    again.run(lambda: again.couriers["webhook"].status.disabled)
    assert again.senders["webhook"].ids == ["evt_0000"]


def test_a_receiver_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), senders={"webhook": Scripted(*[Reply(503)] * 10_000)})
    made.put(opening(0), opening(1))
    made.run(lambda: made.senders["chat"].ids == ["evt_0000", "evt_0001"] and made.senders["webhook"].ids != [])
    assert made.states("evt_0001") == {"chat": "taken", "webhook": "due"}
    assert made.outbox.pending == ("evt_0000", "evt_0001")


def test_an_event_that_is_offered_again_after_delivery_is_not_sent_again(tmp_path: Path) -> None:
    made = office(tmp_path)
    made.settle()
    made.couriers["webhook"].offer(("evt_0000",))
    made.look()
    again = made.again()
    again.look()
    assert made.senders["webhook"].ids == ["evt_0000"]


def test_what_was_not_offered_is_not_sent(tmp_path: Path) -> None:
    made = office(tmp_path)
    made.put(opening(1))
    made.couriers["webhook"].offer(("evt_0000",))
    assert asyncio.run(made.couriers["webhook"]._decide()) == ["evt_0000"]


def test_a_version_that_the_receiver_answers_is_kept_with_the_event(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(200, body=b'{"version": "3", "more": 1}'))
    made.settle()
    assert made.desk.book.of("evt_0000").receivers["webhook"].version == "3"


NO_VERSIONS = (b"<html>", b'{"version": [1]}', b'{"ver', b"\xff", b'{"version": "\xff"}', b'{"more": ' + b"[" * 100_000)


def test_an_answer_that_is_no_version_is_an_answer_without_one(tmp_path: Path) -> None:
    for number, body in enumerate(NO_VERSIONS):
        made = office(tmp_path / str(number), Reply(200, body=body))
        made.settle()
        assert made.desk.book.of("evt_0000").receivers["webhook"].version == ""


def test_a_conflict_is_delivery_only_where_airflow_has_the_run(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(409), Reply(404), Reply(409), Reply(200), receiver=AIRFLOW)
    made.settle()
    runs = "/api/v2/dags/retrain/dagRuns"
    assert [(one.method, one.path) for one in made.senders["airflow"].messages] == [
        ("POST", runs),
        ("GET", f"{runs}/evt_0000"),
        ("POST", runs),
        ("GET", f"{runs}/evt_0000"),
    ]


def test_an_end_follows_its_opening_and_only_to_who_took_it(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), senders={"chat": Scripted(Reply(500))})
    made.put(opening(), end())
    made.settle()
    assert made.senders["chat"].ids == ["evt_0000", "evt_0000", "evt_0000_end"]
    assert made.senders["webhook"].ids == ["evt_0000"]
    assert made.states("evt_0000_end") == {"chat": "taken"}


def test_an_open_incident_is_told_again_until_it_is_over(tmp_path: Path) -> None:
    made = Office(tmp_path, (PAGER,), open=frozenset({"evt_0000"}))
    made.put(opening())
    made.settle()
    for passed_s in (30.0, 31.0, 60.0, 60.0):
        made.now_s += passed_s
        made.look()
    sent = made.senders["pager"].messages
    assert made.senders["pager"].ids == ["evt_0000"] * 4
    ends = [msgspec.json.decode(one.body)[0]["endsAt"] for one in sent]
    assert ends == sorted(set(ends)), "each says for how long it holds"
    made.put(end())
    made.settle()
    made.now_s += 600.0
    made.look()
    assert made.senders["pager"].ids[4:] == ["evt_0000_end"]
    assert msgspec.json.decode(sent[-1].body)[0]["labels"] == msgspec.json.decode(sent[0].body)[0]["labels"]


def test_an_incident_that_nobody_says_is_open_is_not_told_again(tmp_path: Path) -> None:
    made = Office(tmp_path, (PAGER,))
    made.put(opening())
    made.settle()
    made.now_s += 600.0
    made.look()
    assert made.senders["pager"].ids == ["evt_0000"]


def test_an_acknowledgement_ends_repetitions_but_no_keep_alive(tmp_path: Path) -> None:
    chat = replace(CHAT, repeat_s=60.0)
    made = Office(tmp_path, (PAGER, chat), open=frozenset({"evt_0000"}))
    made.put(opening())
    made.settle()
    made.now_s += 61.0
    made.look()
    assert made.senders["chat"].ids == ["evt_0000"] * 2
    made.hands.say(Ack(event="evt_0000", at_s=made.now_s, by="ada"), made.now_s)
    for _ in range(3):
        made.now_s += 61.0
        made.look()
    assert made.senders["chat"].ids == ["evt_0000"] * 2
    assert made.senders["pager"].ids == ["evt_0000"] * 5


def test_a_restart_does_not_tell_everything_again_at_once(tmp_path: Path) -> None:
    chat = replace(CHAT, repeat_s=60.0)
    made = Office(tmp_path, (chat,), open=frozenset({"evt_0000"}))
    made.put(opening())
    made.settle()
    made.now_s += 61.0
    made.look()
    made.now_s += 10.0
    made.again().look()
    assert made.senders["chat"].ids == ["evt_0000"] * 2
