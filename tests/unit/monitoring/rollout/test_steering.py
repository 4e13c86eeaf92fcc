"""What a person says, as far as it needs no running service; the rest is in tests/integration/test_rollout_control.py."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitoring.errors import RolloutInvalid
from monitoring.rollout.command import rollout
from monitoring.rollout.control import Word
from monitoring.rollout.people import WORDS_MAX, say, words
from monitoring.rollout.steering import _begun

NOW = datetime(2026, 1, 5, 10, 0, 0, 999, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens


def run(home: Path, *arguments: str, token: str = "secret") -> Result:
    environment = {"PLUMBLINE_ADMIN_TOKEN": token, "PLUMBLINE_MONITOR_SERVICE_URL": NOWHERE}
    return CliRunner().invoke(rollout, [*arguments, "--home", str(home)], env=environment)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "payments.toml").write_text('version = "2"\n')
    return tmp_path


def test_a_pause_needs_no_service_and_says_who_and_why(place: Path) -> None:
    done = run(place, "pause", "payments", "--by", "ada", "--why", "lunch")
    assert (done.exit_code, done.output) == (0, "payments: paused; a rollback is still made\n")
    (word,) = words(place, "payments")
    assert (word.do, word.by, word.why, word.generation) == ("pause", "ada", "lunch", -1)


@pytest.mark.parametrize("command", [("resume",), ("promote",), ("abort",), ("start", "payments", "2")], ids=str)
def test_a_service_that_does_not_answer_is_told_and_nothing_is_said(place: Path, command: tuple[str, ...]) -> None:
    before = (place / "rollouts" / "payments.toml").read_bytes()
    done = run(place, command[0], *(command[1:] or ("payments",)))
    assert done.exit_code == 3
    assert f"admin API at {NOWHERE}" in done.output
    assert words(place, "payments") == []
    assert (place / "rollouts" / "payments.toml").read_bytes() == before


@pytest.mark.parametrize("command", ["resume", "promote", "abort"])
def test_without_a_token_or_a_document_the_mistake_is_told(place: Path, command: str) -> None:
    assert run(place, command, "payments", token="").exit_code == 2
    done = run(place, command, "tumours")
    assert done.exit_code == 2
    assert "tumours.toml: found no file" in done.output


def test_a_start_keeps_what_else_stands_in_the_document(tmp_path: Path) -> None:
    path = tmp_path / "payments.toml"
    path.write_text('version = "1"\nbake_s = 60\nsince = 2020-01-01T00:00:00Z\n[guards.errors]\ntolerance = 0.1\n')
    assert tomllib.loads(_begun(path, "2", "5, 50", NOW)) == {
        "version": "2",
        "since": NOW.replace(microsecond=0),
        "bake_s": 60,
        "steps": [5.0, 50.0],
        "guards": {"errors": {"tolerance": 0.1}},
    }
    assert tomllib.loads(_begun(tmp_path / "new.toml", "2", None, NOW))["version"] == "2"


@pytest.mark.parametrize(("text", "steps"), [("version = ", None), ('version = "2"', "5,ten")])
def test_a_start_that_cannot_be_written_is_refused(tmp_path: Path, text: str, steps: str | None) -> None:
    path = tmp_path / "payments.toml"
    path.write_text(text)
    with pytest.raises(RolloutInvalid):
        _begun(path, "2", steps, NOW)


def test_what_was_said_is_bounded_and_the_newest_stays(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    path = tmp_path / "rollouts" / "payments.people.jsonl"
    path.write_text('{"at":"t","do":"pause"}\n' * WORDS_MAX)
    say(tmp_path, "payments", Word("now", "resume", generation=7))
    said = words(tmp_path, "payments")
    assert (len(said), said[-1]) == (WORDS_MAX, Word("now", "resume", generation=7))
