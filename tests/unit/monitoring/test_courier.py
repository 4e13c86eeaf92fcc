"""One courier: what it makes of answers, and in which order events leave."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
import structlog

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.deliveries import Delivery
from monitoring.dispatch.desk import Desk
from monitoring.dispatch.hands import Ack
from monitoring.dispatch.message import Message
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.errors import AddressRefused
from monitoring.events import END
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


def test_a_version_in_an_answer_that_is_encoded_is_told_as_unreadable_and_not_taken(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(200, body=b'{"version": "3"}', encoding="gzip"))
    made.settle()
    assert made.desk.book.of("evt_0000").receivers["webhook"].version == ""
    status = made.couriers["webhook"].status
    assert (status.delivered, status.failures) == (1, 0)
    assert status.last_error == "delivered, but the answer is encoded (gzip) and was not read"


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


class Unforeseen(Exception):
    """What no adapter says that it raises; its text is a secret."""


HIDDEN = "https://hooks.example/T/B/hunter2"


def test_what_nobody_foresaw_delays_one_event_and_is_counted_told_and_tried_again(
    tmp_path: Path,
) -> None:
    made = office(tmp_path, Unforeseen(HIDDEN), Unforeseen(HIDDEN), events=2)
    with structlog.testing.capture_logs() as logs:
        made.settle()
    sent, status = made.senders["webhook"].ids, made.couriers["webhook"].status
    assert sorted(sent) == ["evt_0000"] * 2 + ["evt_0001"] * 2
    assert (status.failures, status.delivered) == (2, 2)
    assert status.last_error == "Unforeseen: unforeseen, the monitor's log says where"
    told = [line for line in logs if line["event"] == "event_failed"]
    assert len(told) == 2 and all("dispatched.py" in line["at"] for line in told)
    assert "hunter2" not in str(logs)


@dataclass
class Blind(Desk):
    """A desk that cannot decide one event, so many times."""

    blind: int = 0

    def decided(self, event_id: str, receiver: Receiver, at_s: float) -> Delivery | None:
        if event_id == "evt_0000" and self.blind:
            self.blind -= 1
            raise Unforeseen(HIDDEN)
        return super().decided(event_id, receiver, at_s)


def blind(made: Office, times: int) -> None:
    """Puts such a desk in the office's place."""
    old = made.desk
    made.desk = Blind(old.outbox, old.book, old.receivers, old.policy, old.hands, blind=times)
    made.couriers = {one.name: made.courier(one) for one in made.receivers}


def test_an_event_that_cannot_be_decided_holds_up_no_other(tmp_path: Path) -> None:
    made = office(tmp_path, events=2)
    blind(made, 3)
    made.settle()
    assert made.senders["webhook"].ids == ["evt_0001", "evt_0000"]
    assert made.couriers["webhook"].status.failures == 3


def test_a_courier_outlives_what_is_of_no_single_event(tmp_path: Path) -> None:
    made, asked = office(tmp_path), 0

    def open_incidents() -> frozenset[str]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Unforeseen(HIDDEN)
        return frozenset()

    courier = made.couriers["webhook"] = replace(made.couriers["webhook"], open_incidents=open_incidents)
    courier.receiver = replace(courier.receiver, repeat_s=60.0)
    made.run(lambda: asked == 3)
    assert courier.status.failures == 2
    assert made.senders["webhook"].ids == ["evt_0000"]


def test_a_retry_after_that_no_date_has_room_for_ends_no_courier(tmp_path: Path) -> None:
    made = office(tmp_path, Reply(503, "Thu, 01 Jan 2026 00:00:00 +99999999999999999999"))
    made.settle()
    assert made.senders["webhook"].ids == ["evt_0000"] * 2


GONE = Reply(410)


def trickle(made: Office, numbers: range) -> None:
    """Incidents one after the other, each looked at before the next."""
    for number in numbers:
        made.put(opening(number))
        made.look()


@pytest.mark.parametrize("answer", [GONE, Reply(503), NoReply("refused")])
def test_a_receiver_that_takes_nothing_keeps_no_incident_from_the_others(
    tmp_path: Path, answer: Reply | NoReply
) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), senders={"webhook": Scripted(*[answer] * 1000)}, pending_max=3)
    trickle(made, range(9))
    assert made.senders["chat"].ids == [f"evt_{number:04d}" for number in range(9)]
    assert [made.states(f"evt_{number:04d}")["webhook"] for number in range(9)] == ["due"] * 3 + ["full"] * 6
    assert made.outbox.pending == ("evt_0000", "evt_0001", "evt_0002")
    assert (made.outbox.refused, made.desk.refused) == (0, {"webhook": 6}), "what is not kept is counted"


def test_what_was_kept_for_a_receiver_is_sent_when_it_takes_again_and_then_it_has_room(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), senders={"webhook": Scripted(GONE)}, pending_max=2)
    trickle(made, range(4))
    (tmp_path / "outbox" / "disabled-webhook").unlink()
    again = made.again()
    again.settle()
    trickle(again, range(4, 6))
    assert made.senders["webhook"].ids[1:] == ["evt_0000", "evt_0001", "evt_0004", "evt_0005"]
    assert made.senders["chat"].ids == [f"evt_{number:04d}" for number in range(6)]


def test_a_receiver_whose_courier_hangs_at_a_post_keeps_no_incident_from_the_others(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), pending_max=2)
    chat = made.couriers["chat"]

    async def carried() -> None:
        for number in range(7):
            made.put(opening(number))
            chat.offer(made.outbox.pending)
            await chat._carry_due(await chat._decide())

    asyncio.run(carried())
    assert made.senders["chat"].ids == [f"evt_{number:04d}" for number in range(7)]
    assert made.outbox.pending == ("evt_0000", "evt_0001"), "bounded also where its courier never looked"
    assert made.desk.refused == {"webhook": 5}


class NoEnds(Scripted):
    """Takes openings and refuses ends."""

    async def send(self, message: Message) -> Reply | NoReply:
        reply = await super().send(message)
        return Reply(400) if message.id.endswith(END) else reply


def test_a_receiver_that_refuses_ends_only_is_bounded_too(tmp_path: Path) -> None:
    receivers = (replace(PAGER, repeat_s=0.0), replace(CHAT, resolved=False))
    made = Office(tmp_path, receivers, senders={"pager": NoEnds()}, pending_max=2)
    for number in range(8):
        made.put(opening(number))
        made.look()
        made.put(end(number))
        made.look()
    assert made.senders["chat"].ids == [f"evt_{number:04d}" for number in range(8)]
    assert made.outbox.pending == ("evt_0000_end", "evt_0001_end")
    assert made.desk.refused == {"pager": 6}
