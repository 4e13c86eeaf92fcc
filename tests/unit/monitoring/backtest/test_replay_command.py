"""`plumbline monitor replay`: the pages that rules make of a piece of a real log, beside those that were sent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from models.registry import Registry
from monitoring.backtest.command import _print
from monitoring.backtest.pages import Column, Page
from monitoring.cli import monitor
from monitoring.events import Event, stamp
from monitoring.fold import fold
from monitoring.group import schemas_named
from monitoring.intake import Intake
from monitoring.outbox import Outbox
from monitoring.references import References
from monitoring.rules import Rules
from monitoring.settings import RULE_KEYS, Settings
from monitoring.state import State
from monitoring.wiring import OUTBOX
from tests.unit.monitoring.made import START_MINUTE, installed, model, traffic, write_log

pytestmark = pytest.mark.slow

INCIDENT, END = START_MINUTE + 40, START_MINUTE + 80


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A log with one incident, and what a monitor sent for it: pending, as no receiver is set."""
    made, rng = installed(model(rows=5000), tmp_path), np.random.default_rng(6)
    records = traffic(rng, minutes=range(START_MINUTE, INCIDENT), rows_per_minute=20)
    records += traffic(rng, minutes=range(INCIDENT, END), rows_per_minute=20, scale=1000.0)
    write_log(tmp_path, made, records)
    outbox(tmp_path).put(sent(tmp_path))
    return tmp_path


def outbox(home: Path) -> Outbox:
    return Outbox(home / OUTBOX, pending_max=10, delivered_kept=10)


def sent(home: Path) -> list[Event]:
    """As the monitor's loop makes them: reader, references from the registry, fold."""
    intake, references, state = Intake(home / "log", {}, 100), References(Registry(home / "registry")), State()
    events: list[Event] = []
    while True:
        chunk, settled = intake.read()
        known = references.learn(schemas_named(chunk.runs))
        events += fold(state, chunk, settled=settled, rules=Rules(), references=known)
        if chunk.caught_up:
            return events


def run(home: Path, *words: str, code: int = 0) -> Result:
    command = ["replay", "--home", str(home), "--from", stamp(START_MINUTE), "--to", stamp(END), *words]
    found = CliRunner().invoke(monitor, command)
    assert found.exit_code == code, found.output
    return found


def pages(home: Path, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(home, *words, "--json").stdout.splitlines()]


def rules(home: Path, text: str) -> tuple[str, str]:
    (home / "other.toml").write_text(text)
    return "--rules", str(home / "other.toml")


@pytest.mark.parametrize("delivered", [False, True])
def test_with_unchanged_rules_every_page_is_the_one_that_was_sent_byte_for_byte(home: Path, delivered: bool) -> None:
    (event,) = sent(home)
    if delivered:
        outbox(home).mark_delivered(event.id)
    (page,) = pages(home)
    assert (page["id"], page["column"], page["same_bytes"]) == (event.id, Column.BOTH, True)
    assert event.body in run(home, "--json").stdout_bytes


def test_rules_that_forgive_more_send_less_and_say_what_was_sent(home: Path) -> None:
    (page,) = pages(home, *rules(home, "tolerance_floor_psi = 100.0\nskew_tolerance = 0.999"))
    assert page["column"] == Column.ONLY_SENT
    assert page["event"]["data"]["feature"] == "f0"


def test_what_was_never_sent_would_be(home: Path) -> None:
    for path in (home / OUTBOX).glob("*.json"):
        path.unlink()
    (page,) = pages(home, *rules(home, "[monitor]\nn_min_rows = 50"))
    assert page["column"] == Column.ONLY_WOULD_BE_SENT


def test_a_longer_hold_makes_a_later_page_of_the_same_incident(home: Path) -> None:
    (page,) = pages(home, *rules(home, "hold_s = 300"))
    assert (page["column"], page["same_bytes"]) == (Column.BOTH, False)


def test_people_see_a_table_and_what_was_sent_outside_of_the_piece_is_not_in_it(home: Path) -> None:
    shown = run(home).stdout
    assert "×" in shown
    words = ["replay", "--home", str(home), "--from", stamp(START_MINUTE), "--to", stamp(START_MINUTE + 10)]
    assert CliRunner().invoke(monitor, words).stdout == "no event\n"


def piece(home: Path, begin: int, end: int) -> list[dict[str, Any]]:
    words = ["replay", "--home", str(home), "--from", stamp(begin), "--to", stamp(end), "--json"]
    return [json.loads(line) for line in CliRunner().invoke(monitor, words).stdout.splitlines()]


def test_an_incident_that_stood_when_the_piece_began_is_no_page_of_it(home: Path) -> None:
    assert piece(home, INCIDENT + 20, END) == []


def test_a_relapse_within_the_cooldown_is_no_page_of_the_piece_and_its_end_is_none(tmp_path: Path) -> None:
    """An incident, three hours of rows as ever, in which it cools, and the same again."""
    made, rng = installed(model(rows=5000), tmp_path), np.random.default_rng(6)
    rules = Rules(drift_windows_s=(60, 600), cooldown_s=7200)
    (tmp_path / "plumbline.toml").write_text('[monitor]\ndrift_windows = ["1m", "10m"]\ncooldown_s = 7200\n')
    parts = [(0, 40, 1.0), (40, 80, 1000.0), (80, 160, 1.0), (160, 200, 1000.0), (200, 360, 1.0), (360, 380, 1000.0)]
    records = [
        record
        for begin, end, scale in parts
        for record in traffic(
            rng, minutes=range(START_MINUTE + begin, START_MINUTE + end), rows_per_minute=60, scale=scale
        )
    ]
    write_log(tmp_path, made, records)
    state, references = State(), made.references()
    intake, events = Intake(tmp_path / "log", {}, 100_000), list[Event]()
    while True:
        chunk, settled = intake.read()
        events += fold(state, chunk, settled=settled, rules=rules, references=references)
        if chunk.caught_up:
            break
    outbox(tmp_path).put([*events, *state.take_ended()])
    first, second = events
    assert piece(tmp_path, START_MINUTE + 120, START_MINUTE + 240) == [], "the relapse"
    (page,) = piece(tmp_path, START_MINUTE + 240, START_MINUTE + 380)
    assert (page["id"], page["column"], page["same_bytes"]) == (second.id, Column.BOTH, True)
    assert [page["id"] for page in piece(tmp_path, START_MINUTE, START_MINUTE + 380)] == [first.id, second.id]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 3001", "port: found no rule"),
        ("hold = 60", "hold: found no rule"),
        ("hold_s = -1", "hold_s"),
        ("hold_s =", "TOML"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(home: Path, text: str, said: str) -> None:
    assert said in run(home, *rules(home, text), code=2).stderr


def test_the_keys_of_rules_are_the_settings_that_rules_are_made_of() -> None:
    """A setting that a rule is made of later is a key by then, or this test names it."""
    read: set[str] = set()

    class Watched(Settings):
        def __getattribute__(self, name: str) -> Any:
            if name in Settings.model_fields:
                read.add(name)
            return super().__getattribute__(name)

    watched = Watched()
    read.clear()
    watched.rules()
    assert read == RULE_KEYS


@pytest.mark.parametrize("what", ["feature 'amount[usd]' drifted", "lost the category '[/b]'", 40 * "word "])
def test_a_page_is_shown_with_its_id_its_time_and_every_name_as_it_is(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = "evt_2716546c69544bda294af0a2bc46ab15"
    _print([Page(event, json.dumps({"time": "2026-01-01T00:00:00Z", "data": {"reason": what}}).encode(), None)])
    shown = capsys.readouterr().out
    assert event in shown and "2026-01-01T00:00:00Z" in shown
    assert shown.count("…") == 0
    assert all(name in shown.replace("\n", "") for name in ("amount[usd]", "[/b]") if name in what)
