"""What people say of alerts: kept, bounded, the same for commands and the API, and only from who may."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette

from models.key_file import FILE, KeyFile
from models.keyring import Keyring
from monitoring.cli import monitor
from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.api import AlertsApi, says_something
from monitoring.dispatch.authority import Authority
from monitoring.dispatch.hands import Ack, Answer, Expire, Silence, hands_of
from monitoring.dispatch.hands_file import HandsFile
from monitoring.dispatch.incidents import shown
from monitoring.dispatch.mailroom import Mailroom
from monitoring.dispatch.present import phases_of
from monitoring.dispatch.shelf import on_shelf
from monitoring.errors import HandsFull
from monitoring.keyed import Keyed
from tests.keys import bearer, made
from tests.reference import EMPTY
from tests.unit.monitoring.dispatched import CHAT, WEBHOOK, Office, Scripted, end, opening

NOW_S = 1_000_000.0
DAY_S = 86_400.0


def silence(number: int = 0, *, at_s: float = NOW_S, for_s: float = 100.0) -> Silence:
    return Silence(id=f"s{number}", at_s=at_s, until_s=at_s + for_s, by="ada", why="backfill")


def ack(number: int = 0, at_s: float = NOW_S) -> Ack:
    return Ack(event=f"evt_{number:04d}", at_s=at_s, by="ada")


# --- the file ------------------------------------------------------------------------------------------------------


def test_what_was_said_is_there_for_the_next_who_looks(tmp_path: Path) -> None:
    file, follower = HandsFile(tmp_path), HandsFile(tmp_path)
    assert follower.hands().silences == {}
    file.say(silence(), NOW_S)
    assert [one.id for one in follower.hands().active(NOW_S)] == ["s0"]
    file.say(Expire(id="s0", at_s=NOW_S + 1, by="bob"), NOW_S)
    assert follower.hands().active(NOW_S + 1) == []
    assert [type(word).__name__ for word in HandsFile(tmp_path).words()] == ["Silence", "Expire"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_short_is_cut_off_and_hurts_nothing(tmp_path: Path, cut: int) -> None:
    file = HandsFile(tmp_path)
    file.say(silence(0), NOW_S)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole + msgspec.json.encode(silence(1))[:cut])
    assert set(file.hands().silences) == {"s0"}
    file.say(silence(2), NOW_S)
    assert set(file.hands().silences) == {"s0", "s2"}
    assert file.path.read_bytes().startswith(whole)
    assert file.skipped == 0


def test_a_line_that_is_no_word_is_skipped_and_counted(tmp_path: Path) -> None:
    file = HandsFile(tmp_path)
    file.path.write_bytes(b"rubbish\n{}\n" + msgspec.json.encode(ack()) + b"\n")
    assert set(file.hands().acks) == {"evt_0000"}
    assert file.skipped == 2


def test_beyond_the_limit_old_words_go_and_what_holds_stays(tmp_path: Path) -> None:
    file = HandsFile(tmp_path, words_max=4)
    old_s = NOW_S - 40 * DAY_S
    for word in (silence(0, at_s=old_s), ack(1, old_s), silence(2, at_s=old_s, for_s=60 * DAY_S), ack(3)):
        file.say(word, NOW_S)
    file.say(silence(4), NOW_S)
    assert set(file.hands().silences) == {"s2", "s4"}
    assert set(file.hands().acks) == {"evt_0003"}


def test_where_all_words_hold_one_more_is_refused(tmp_path: Path) -> None:
    file = HandsFile(tmp_path, words_max=2)
    file.say(silence(0), NOW_S)
    file.say(silence(1), NOW_S)
    with pytest.raises(HandsFull, match="nothing was added"):
        file.say(silence(2), NOW_S)
    assert len(file.words()) == 2


def test_many_who_speak_at_once_are_all_heard(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=number: HandsFile(tmp_path).say(ack(n), NOW_S), daemon=True)
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert len(HandsFile(tmp_path).hands().acks) == 16


def test_the_first_acknowledgement_counts_and_the_last_answer() -> None:
    words = [Ack(event="e", at_s=1, by="ada"), Ack(event="e", at_s=2, by="bob")]
    answers = [Answer(event="e", at_s=1, by="ada", version="2"), Answer(event="e", at_s=2, by="bob", version="3")]
    hands = hands_of([*words, *answers])
    assert (hands.acks["e"].by, hands.answers["e"].version) == ("ada", "3")


# --- what is shown -------------------------------------------------------------------------------------------------


def home_of(tmp_path: Path, *receivers: Any, senders: dict[str, Scripted] | None = None) -> Office:
    return Office(tmp_path / "monitor", receivers or (WEBHOOK,), senders=senders or {})


def test_an_incident_is_shown_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    office = home_of(tmp_path, WEBHOOK, CHAT, senders={"webhook": Scripted(Reply(200, body=b'{"version":"7"}'))})
    office.put(opening(0), opening(1))
    office.look()
    office.put(end(0))
    office.look()
    office.hands.say(ack(0), NOW_S)
    office.hands.say(silence(0), NOW_S)
    facts, deliveries = on_shelf(tmp_path)
    newest, first = shown(facts, deliveries, office.hands.hands(), NOW_S + 1, {"evt_0001": "firing"})
    assert (newest.event, newest.phase, newest.acked, newest.answer) == ("evt_0001", "firing", None, None)
    assert (first.event, first.phase, first.silenced_by) == ("evt_0000", "over", "s0")
    assert first.acked is not None
    assert first.acked.by == "ada"
    assert first.answer is not None
    assert (first.answer.version, first.answer.by) == ("7", "webhook")
    assert {name: one["state"] for name, one in first.receivers.items()} == {"chat": "taken", "webhook": "taken"}
    assert {name: one["state"] for name, one in first.ending.items()} == {"chat": "taken"}


def test_looking_changes_nothing_on_disk(tmp_path: Path) -> None:
    office = home_of(tmp_path)
    office.put(opening())
    office.look()
    (tmp_path / "monitor" / "outbox" / "half.json.1.new").write_bytes(b"x")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    on_shelf(tmp_path)
    assert sorted((str(path), path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


# --- commands ------------------------------------------------------------------------------------------------------


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(monitor, ["--home", str(home), *arguments])


def test_a_silence_is_added_listed_and_expired_by_command(tmp_path: Path) -> None:
    why = ["--why", "backfill", "--by", "ada"]
    added = run(tmp_path, "silence", "add", "--model", "payments", "--for", "2h", *why)
    assert added.exit_code == 0, added.output
    identifier = added.output.strip()
    (one,) = [msgspec.json.decode(line) for line in run(tmp_path, "silence", "list", "--json").output.splitlines()]
    assert (one["id"], one["model"], one["version"], one["by"], one["active"]) == (
        identifier,
        "payments",
        "*",
        "ada",
        True,
    )
    assert run(tmp_path, "silence", "expire", identifier, "--by", "bob").exit_code == 0
    assert run(tmp_path, "silence", "list").output == "no silence\n"
    assert "(over)" in run(tmp_path, "silence", "list", "--all").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["silence", "add", "--why", "x"], "one of them"),
        (["silence", "add", "--why", "x", "--for", "2h", "--until", "2999-01-01"], "one of them"),
        (["silence", "add", "--why", "x", "--until", "2020-01-01T00:00:00Z"], "more than 0"),
        (["silence", "add", "--why", "x", "--for", "400d"], "more than 0 and at most"),
        (["silence", "add", "--why", " ", "--for", "2h"], "why it is silenced"),
        (["silence", "add", "--why", "x" * 501, "--for", "2h"], "at most 500"),
        (["silence", "add", "--for", "2h"], "--why"),
        (["silence", "add", "--why", "x", "--for", "soon"], "expected a length"),
        (["silence", "add", "--why", "x", "--until", "soon"], "soon"),
    ],
)
def test_what_cannot_be_kept_is_used_wrongly(tmp_path: Path, arguments: list[str], says: str) -> None:
    told = run(tmp_path, *arguments)
    assert told.exit_code == 2
    assert says in told.output
    assert HandsFile(tmp_path / "monitor").words() == []


def test_events_are_listed_acknowledged_and_answered_by_command(tmp_path: Path) -> None:
    office = home_of(tmp_path, senders={"webhook": Scripted(NoReply("down"))})
    office.put(opening())
    office.look()
    assert run(tmp_path, "ack", "evt_0000", "--by", "ada").exit_code == 0
    assert run(tmp_path, "answer", "evt_0000", "3", "--by", "airflow").exit_code == 0
    told = run(tmp_path, "events").output
    assert "evt_0000  payments:1  open, acknowledged by ada, answered with version 3" in told
    assert "webhook: due" in told
    one = msgspec.json.decode(run(tmp_path, "events", "--json").output)
    assert (one["event"], one["answer"]) == ("evt_0000", {"version": "3", "by": "airflow"})


def test_what_is_said_of_an_incident_s_end_by_command_is_said_of_the_incident(tmp_path: Path) -> None:
    office = home_of(tmp_path)
    office.put(opening(), end())
    office.look()
    assert run(tmp_path, "ack", "evt_0000_end", "--by", "ada").exit_code == 0
    assert run(tmp_path, "answer", "evt_0000_end", "3", "--by", "airflow").exit_code == 0
    hands = HandsFile(tmp_path / "monitor").hands()
    assert (set(hands.acks), set(hands.answers)) == ({"evt_0000"}, {"evt_0000"})
    assert run(tmp_path, "ack", "evt_0000_end_end", "--by", "ada").exit_code == 1


@pytest.mark.parametrize("arguments", [["ack", "evt_9"], ["answer", "evt_9", "3"], ["silence", "expire", "s9"]])
def test_what_is_not_there_is_a_fault_that_was_found(tmp_path: Path, arguments: list[str]) -> None:
    told = run(tmp_path, *arguments)
    assert told.exit_code == 1
    assert "expected one that" in told.output


def test_a_home_without_events_has_none(tmp_path: Path) -> None:
    assert run(tmp_path, "events").output == "no event\n"


# --- the API -------------------------------------------------------------------------------------------------------


class Api:
    """The monitor's page over one office, asked in process."""

    def __init__(self, home: Path, token: str | None = "secret", *, keyed: bool = False) -> None:
        self.office = home_of(home)
        keyring = Keyring(KeyFile(home / FILE))
        room = Mailroom(home, self.office.desk, self.office.hands, tuple(self.office.couriers.values()), ())
        page = Starlette(routes=AlertsApi(room, Authority(token, keyring), lambda: EMPTY).routes())
        self.app = Keyed(page, keyring, says_something) if keyed else page

    def ask(self, method: str, path: str, body: Any = None, token: str = "secret") -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
                content = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
                return await client.request(method, path, content=content, headers=bearer(token) if token else {})

        return asyncio.run(asked())


SILENCE = {"model": "payments", "for_s": 3600, "why": "backfill", "by": "ada"}


def test_a_silence_is_added_listed_and_expired_over_http(tmp_path: Path) -> None:
    api = Api(tmp_path)
    added = api.ask("POST", "/api/silences", SILENCE)
    assert added.status_code == 201, added.text
    identifier = added.json()["id"]
    (one,) = api.ask("GET", "/api/silences").json()["silences"]
    assert (one["id"], one["active"], one["by"]) == (identifier, True, "ada")
    assert api.ask("DELETE", f"/api/silences/{identifier}", {"by": "bob"}).status_code == 200
    (one,) = api.ask("GET", "/api/silences").json()["silences"]
    assert one["active"] is False
    assert len(HandsFile(tmp_path / "monitor").words()) == 2


def test_an_incident_is_listed_acknowledged_and_answered_over_http(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.office.put(opening())
    api.office.look()
    assert api.ask("POST", "/api/incidents/evt_0000/ack", {"by": "ada", "why": "on it"}).status_code == 200
    assert api.ask("POST", "/api/incidents/evt_0000/answer", {"by": "airflow", "version": "3"}).status_code == 200
    (one,) = api.ask("GET", "/api/incidents").json()["incidents"]
    assert one["event"] == "evt_0000"
    assert one["acked"]["by"] == "ada"
    assert one["answer"] == {"version": "3", "by": "airflow"}
    assert one["receivers"]["webhook"]["state"] == "taken"


def test_what_is_said_of_an_incident_s_end_over_http_is_said_of_the_incident(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.office.put(opening(), end())
    api.office.look()
    said = [api.ask("POST", "/api/incidents/evt_0000_end/ack", {"by": "ada"})]
    said += [api.ask("POST", "/api/incidents/evt_0000_end/answer", {"by": "airflow", "version": "3"})]
    assert [(one.status_code, one.json()["event"]) for one in said] == [(200, "evt_0000")] * 2
    (one,) = api.ask("GET", "/api/incidents").json()["incidents"]
    assert (one["acked"]["by"], one["answer"]["version"]) == ("ada", "3")
    assert api.ask("POST", "/api/incidents/evt_0000_end_end/ack", {"by": "ada"}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/silences", {"for_s": 60, "by": "a"}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "for_s": -1}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "for_s": float("inf")}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "for_s": 1e9}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "by": ""}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "modell": "x"}, 400, "bad_word"),
        ("POST", "/api/silences", {**SILENCE, "feature": "x" * 501}, 400, "bad_word"),
        ("POST", "/api/silences", b"{", 400, "bad_word"),
        ("POST", "/api/silences", b"\xff\xfe", 400, "bad_word"),
        ("POST", "/api/silences", b" " * 20_000, 413, "body_too_large"),
        ("DELETE", "/api/silences/none", {"by": "a"}, 404, "unknown_silence"),
        ("POST", "/api/incidents/evt_9/ack", {"by": "a"}, 404, "unknown_event"),
        ("POST", "/api/incidents/evt_9_end/ack", {"by": "a"}, 404, "unknown_event"),
        ("POST", "/api/incidents/evt_9/answer", {"by": "a", "version": "3"}, 404, "unknown_event"),
    ],
)
def test_bad_words_are_refused_by_name_and_nothing_is_kept(
    tmp_path: Path, method: str, path: str, body: Any, status: int, code: str
) -> None:
    api = Api(tmp_path)
    answer = api.ask(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert HandsFile(tmp_path / "monitor").words() == []


def test_an_answer_without_a_version_is_refused(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.office.put(opening())
    assert api.ask("POST", "/api/incidents/evt_0000/answer", {"by": "a"}).status_code == 400


@pytest.mark.parametrize("keyed", [False, True])
def test_only_the_admin_token_and_keys_of_the_scope_admin_may_say_something(tmp_path: Path, keyed: bool) -> None:
    api = Api(tmp_path, keyed=keyed)
    admin, reader = made(tmp_path, "admin"), made(tmp_path, "read")
    for token, status in (("", 401), ("wrong", 401), (reader, 403), (admin, 201), ("secret", 201)):
        assert api.ask("POST", "/api/silences", SILENCE, token).status_code == status
    reading = 200 if not keyed else 401
    assert api.ask("GET", "/api/silences", token="").status_code == reading
    assert api.ask("GET", "/api/silences", token=reader).status_code == 200


def test_who_holds_a_key_is_written_down_by_the_key_s_name(tmp_path: Path) -> None:
    api = Api(tmp_path)
    text = made(tmp_path, "admin")
    name = KeyFile(tmp_path / FILE).read().keys[0].name
    assert api.ask("POST", "/api/silences", {**SILENCE, "by": "somebody else"}, text).json()["by"] == name


def test_without_a_token_and_keys_nobody_may_say_anything(tmp_path: Path) -> None:
    api = Api(tmp_path, token=None)
    for token in ("", "guess"):
        answer = api.ask("POST", "/api/silences", SILENCE, token)
        assert answer.status_code in (401, 403)
    assert api.ask("POST", "/api/silences", SILENCE, "").json()["code"] == "admin_disabled"


def test_a_status_without_alerts_has_no_phases() -> None:
    assert phases_of(EMPTY) == {}
