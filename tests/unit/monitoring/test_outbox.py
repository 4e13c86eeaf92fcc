from pathlib import Path

from monitoring.events import END, Event
from monitoring.outbox import Outbox


def outbox(directory: Path, pending_max: int = 10, delivered_kept: int = 3) -> Outbox:
    return Outbox(directory, pending_max=pending_max, delivered_kept=delivered_kept)


def event(n: int) -> Event:
    return Event(f"evt_{n}", f'{{"n":{n}}}'.encode())


def test_a_put_event_is_pending_with_its_bytes_also_after_a_restart(tmp_path: Path) -> None:
    assert outbox(tmp_path).put([event(1), event(2)]) == ("evt_1", "evt_2")
    again = outbox(tmp_path)
    assert again.pending == ("evt_1", "evt_2")
    assert again.body("evt_2") == b'{"n":2}'


def test_an_id_that_is_pending_or_delivered_is_not_put_again(tmp_path: Path) -> None:
    held = outbox(tmp_path)
    held.put([event(1), event(2)])
    held.mark_delivered("evt_1")
    for box in (held, outbox(tmp_path)):
        assert box.put([event(1), event(2)]) == ()
        assert box.pending == ("evt_2",)
        assert box.delivered == ("evt_1",)


def test_beyond_the_limit_the_newest_are_refused_and_counted(tmp_path: Path) -> None:
    held = outbox(tmp_path, pending_max=2)
    assert held.put([event(n) for n in range(5)]) == ("evt_0", "evt_1")
    assert held.refused == 3


def test_the_limit_is_of_each_receiver_and_ends_do_not_count(tmp_path: Path) -> None:
    held = outbox(tmp_path, pending_max=2)
    held.keep_for(2)
    assert held.put([event(0), Event("evt_0" + END, b"{}"), *(event(n) for n in range(1, 6))])[2:] == (
        "evt_1",
        "evt_2",
        "evt_3",
    )
    assert held.refused == 2
    held.keep_for(0)
    assert held.put([event(6)]) == ()


def test_only_the_newest_delivered_are_kept(tmp_path: Path) -> None:
    held = outbox(tmp_path, delivered_kept=2)
    held.put([event(n) for n in range(4)])
    for n in range(4):
        held.mark_delivered(f"evt_{n}")
    assert held.delivered == ("evt_2", "evt_3")
    assert outbox(tmp_path).delivered == ("evt_2", "evt_3")
    assert sorted(path.name for path in (tmp_path / "delivered").iterdir()) == ["evt_2.json", "evt_3.json"]


def test_a_file_that_was_being_written_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "evt_9.json.123.new").write_bytes(b"half")
    assert outbox(tmp_path).pending == ()
    assert not list(tmp_path.glob("*.new"))


def test_a_disabled_receiver_stays_disabled_until_the_url_or_the_file_changes(tmp_path: Path) -> None:
    outbox(tmp_path).disable("webhook", "https://a.example/hook")
    again = outbox(tmp_path)
    assert again.disabled("webhook", "https://a.example/hook")
    assert not again.disabled("chat", "https://a.example/hook")
    assert not again.disabled("webhook", "https://b.example/hook")
    (tmp_path / "disabled-webhook").unlink()
    assert not again.disabled("webhook", "https://a.example/hook")


def test_an_end_is_taken_where_its_opening_is_known_and_nowhere_else(tmp_path: Path) -> None:
    held = outbox(tmp_path, pending_max=1)
    end = Event("evt_1" + END, b"{}")
    assert held.put([end]) == ()
    assert held.put([event(1), event(2), end]) == ("evt_1", "evt_1" + END)
    assert held.refused == 1
    assert "evt_1" + END in outbox(tmp_path)
