"""Deliveries as metrics: what a courier did, and what is held, by receivers of the settings and fixed words."""

from pathlib import Path

from monitoring.delivery import NoReply
from monitoring.dispatch.decide import Policy
from monitoring.dispatch.deliveries import Why
from monitoring.dispatch.mailroom import Mailroom
from monitoring.dispatch.metrics import delivery_metrics
from tests.unit.monitoring.dispatched import CHAT, WEBHOOK, Office, Scripted, opening


def samples(office: Office, home: Path) -> dict[tuple[str, ...], float]:
    room = Mailroom(home, office.desk, office.hands, tuple(office.couriers.values()), ())
    found = [sample for family in delivery_metrics(room.status()) for sample in family.samples]
    return {(sample.name.removeprefix("plumbline_monitor_"), *sample.labels.values()): sample.value for sample in found}


def test_what_was_sent_held_and_failed_is_counted_by_receiver(tmp_path: Path) -> None:
    senders = {"chat": Scripted(NoReply("down"), NoReply("down"))}
    made = Office(tmp_path, (WEBHOOK, CHAT), Policy(retrain_max_per_day=1), senders=senders)
    made.put(opening(0), opening(1))
    made.look()
    told = samples(made, tmp_path)
    assert told["receiver_attempts_total", "webhook"] == 1
    assert told["receiver_delivered_total", "webhook"] == 1
    assert told["events_held", "webhook", "budget"] == 1
    assert told["events_due", "webhook"] == 0
    assert (told["receiver_failures_total", "chat"], told["events_due", "chat"]) == (2, 2)
    assert told["silences",] == 0


def test_series_grow_with_receivers_and_words_only(tmp_path: Path) -> None:
    made = Office(tmp_path, (WEBHOOK, CHAT), Policy(dry_run=True))
    made.put(*(opening(number, model=f"model-{number}") for number in range(50)))
    made.look()
    told = samples(made, tmp_path)
    assert told["events_withheld", "webhook", "dry_run"] == 50
    assert len(told) <= 2 * (5 + 2 * len(Why)) + 1
