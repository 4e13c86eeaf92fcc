import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from monitoring.events import stamp
from monitoring.rollout.command import rollout
from monitoring.rollout.control import Word
from monitoring.rollout.people import say
from service.featurelog.framing import frame
from service.featurelog.record import Feedback, Head, Outcome, Payload, Record, Request, Schema, Seal, encode
from service.featurelog.segments import segment_name
from tests.unit.monitoring.made import (
    MINUTE_US,
    START_MINUTE,
    START_US,
    Model,
    heartbeat,
    installed,
    model,
    request,
    rows,
)
from tests.unit.service.featurelog.archiving import RAW_GOES, archive

PLAN = """
version = "2"
steps = [20, 50, 100]
bake_s = 120
requests_min = 100
[guards.errors]
tolerance = 0.005
[guards.predictions]
tolerance = 0.1
"""
MINUTES = 12


def write_log(home: Path, *versions: Model, failing: bool = False) -> None:
    """Twelve minutes of a canary at 20 %, ten requests a minute of it."""
    rng = np.random.default_rng(5)
    records: list[Record] = []
    for place in range(MINUTES * 50):
        at_us = START_US + place * MINUTE_US // 50
        canary = place % 5 == 0
        made = request(at_us, rows(1, rng), request_id=f"r{place}", arm="canary" if canary else "stable")
        made = msgspec.structs.replace(made, schema=int(canary), bucket=1999 if canary else 2000)
        records.append(_failed(made) if canary and failing and place % 2 else made)
    records.append(heartbeat(START_US + (MINUTES + 1) * MINUTE_US))
    schemas = [msgspec.structs.replace(one.schema, id=number) for number, one in enumerate(versions)]
    half = len(records) // 2
    _write_segment(home, 0, schemas, records[:half], 0)
    _write_segment(home, 1, schemas, records[half:], half)


def _write_segment(
    home: Path, number: int, schemas: list[Schema], records: Sequence[Record], first_seq: int, *, writer: str = "w0"
) -> None:
    head: list[Payload] = [Head(1, writer, 1, number, START_US), *schemas]
    data = [frame(encode(payload), first_seq) for payload in head]
    data += [frame(encode(record), first_seq + place) for place, record in enumerate(records)]
    end = first_seq + len(records)
    data.append(frame(encode(Seal(len(records), end - 1)), end))
    directory = home / "log" / writer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / segment_name(1, number)).write_bytes(b"".join(data))


def _failed(made: Request) -> Request:
    return msgspec.structs.replace(made, outcome=Outcome.FAILED, status=500, code="model_failed", outputs=None)


def home_of(path: Path, plan: str = PLAN, *, failing: bool = False) -> Path:
    stable, canary = installed(model(version="1"), path), installed(model(version="2", seed=2), path)
    write_log(path, stable, canary, failing=failing)
    (path / "rollouts").mkdir()
    (path / "rollouts" / "payments.toml").write_text(plan)
    return path


def run(*words: str, home: Path) -> Result:
    return CliRunner().invoke(rollout, [*words, "--home", str(home)])


def test_status_says_what_follows_and_what_each_guard_saw(tmp_path: Path) -> None:
    done = run("status", "payments", "--json", home=home_of(tmp_path))
    told = json.loads(done.output)
    assert done.exit_code == 0, done.output
    assert told["outcome"] == {"is": "hold", "reason": {"is": "notapplied", "percent": 50.0}}
    assert [guard["guard"] for guard in told["guards"]] == ["errors", "predictions"]
    assert told["guards"][0]["canary_n"] == 10 * (MINUTES - 1)
    assert told["guards"][1]["stable_n"] == 40 * (MINUTES - 1)


def test_status_says_that_a_person_paused_it(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    say(home, "payments", Word("2026-01-05T10:00:00Z", "pause", "ada"))
    assert json.loads(run("status", "payments", "--json", home=home).output)["paused"] is True
    assert "payments: paused, so no share rises before" in run("status", "payments", home=home).output


def test_a_canary_that_fails_is_to_be_rolled_back_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = run("status", "payments", home=home_of(tmp_path, failing=True))
    assert done.exit_code == 1
    assert "roll back: errors" in done.output


def test_labels_are_joined_where_the_document_asks_for_them(tmp_path: Path) -> None:
    plan = PLAN + '[guards.labels]\ntolerance = 0.1\nlabels_min = 5\noutput = "score"\noff_by = 2\n'
    home = home_of(tmp_path, plan)
    minutes = (3 + place // 50 for place in range(100))  # the first of them only says what stable is like
    said = [Feedback(START_US + minute * MINUTE_US, f"r{n}", 0, 0.5, START_US) for n, minute in enumerate(minutes)]
    _write_segment(home, 0, [], said, 0, writer="w1")
    done = run("status", "payments", "--json", home=home)
    assert done.exit_code == 0, done.output
    guards = {guard["guard"]: guard for guard in json.loads(done.output)["guards"]}
    assert (guards["labels"]["canary_n"], guards["labels"]["stable_n"]) == (10, 40)
    assert guards["labels"]["canary"] == 0.0
    first, again = (run("replay", "payments", "--json", home=home) for _ in range(2))
    assert first.stdout_bytes == again.stdout_bytes


def test_a_replay_gives_the_same_bytes_and_ends_as_status_does(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    first, again = (run("replay", "payments", "--json", home=home) for _ in range(2))
    assert first.stdout_bytes == again.stdout_bytes
    lines = [json.loads(line) for line in first.output.splitlines()]
    assert len(lines) == MINUTES
    status = json.loads(run("status", "payments", "--json", home=home).output)
    assert (lines[-1]["minute"], lines[-1]["outcome"]) == (status["minute"], status["outcome"])


def test_a_replay_of_a_piece_begins_and_ends_where_it_is_told_to(tmp_path: Path) -> None:
    piece = ("--from", stamp(START_MINUTE + 3), "--to", stamp(START_MINUTE + 6))
    done = run("replay", "payments", "--json", *piece, home=home_of(tmp_path))
    told = [json.loads(line)["minute"] for line in done.output.splitlines()]
    assert told == [stamp(START_MINUTE + minutes) for minutes in (3, 4, 5)]


def test_people_are_told_only_what_changes(tmp_path: Path) -> None:
    done = run("replay", "payments", home=home_of(tmp_path))
    assert "advance to 50 %, step 2 of 3" in done.output
    assert len(done.output.splitlines()) < MINUTES


def test_since_leaves_out_what_was_before(tmp_path: Path) -> None:
    plan = f"since = {stamp(START_MINUTE + 8)}\n{PLAN}"
    done = run("status", "payments", "--json", home=home_of(tmp_path, plan))
    assert json.loads(done.output)["guards"][0]["canary_n"] == 10 * (MINUTES - 8 - 1)


@pytest.mark.parametrize("name", ["../payments", "tumours"])
def test_a_model_without_a_document_is_an_error_of_who_asked(tmp_path: Path, name: str) -> None:
    done = run("status", name, home=home_of(tmp_path))
    assert done.exit_code == 2
    assert "the rollout does not start" in done.output


def test_a_bad_document_is_an_error_with_its_place(tmp_path: Path) -> None:
    done = run("status", "payments", home=home_of(tmp_path, "version = 2"))
    assert done.exit_code == 2
    assert "rollouts/payments.toml: found Expected `str`, got `int`" in done.output


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "payments.toml").write_text(PLAN)
    done = run("status", "payments", home=tmp_path)
    assert (done.exit_code, done.output) == (0, "payments: the log has no closed minute of it\n")


def test_what_retention_let_go_is_not_passed_over(tmp_path: Path) -> None:
    """Half of the log is gone: what is asked for by time is refused, what is not begins where the records do."""
    home = home_of(tmp_path)
    assert archive(home, keep=RAW_GOES, keep_from={"w0": (1, 1, 0)}).let_go_segments == 1
    whole = START_MINUTE + MINUTES // 2
    asked = run("replay", "payments", "--from", stamp(START_MINUTE), home=home)
    assert asked.exit_code == 3
    assert f"expected those of {stamp(START_MINUTE)} and later; nothing was judged" in asked.output
    rest = run("replay", "payments", "--json", home=home)
    assert json.loads(rest.output.splitlines()[0])["minute"] == stamp(whole)


def test_an_archive_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    archive(home)
    (home / "archive" / "manifest.json").write_bytes(b"{")
    done = run("status", "payments", home=home)
    assert done.exit_code == 3
    assert "manifest.json" in done.output
