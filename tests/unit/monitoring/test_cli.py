"""`plumbline monitor replay` where retention has let go of raw records: what it cannot judge it does not pass over."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from monitoring.cli import monitor
from monitoring.events import stamp
from monitoring.rules import Rules
from tests.unit.monitoring.made import START_MINUTE, installed, model, traffic, write_log
from tests.unit.service.featurelog.archiving import RAW_GOES, archive, manifest_of

INCIDENT = START_MINUTE + 40
END = INCIDENT + 40


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A quiet segment, one with an incident, and one of a day later."""
    made, rng = installed(model(rows=5000), tmp_path), np.random.default_rng(6)
    parts = (
        traffic(rng, minutes=range(START_MINUTE, INCIDENT), rows_per_minute=20),
        traffic(rng, minutes=range(INCIDENT, END), rows_per_minute=20, scale=1000.0),
        traffic(rng, minutes=range(END + 1440, END + 1450), rows_per_minute=1),
    )
    seq = 0
    for number, records in enumerate(parts):
        write_log(tmp_path, made, records, number=number, first_seq=seq)
        seq += len(records)
    return tmp_path


def let_go(home: Path, segments: int) -> None:
    assert archive(home, keep=RAW_GOES, keep_from={"w0": (1, segments, 0)}).let_go_segments == segments


def replay(home: Path, begin: int, end: int, *, code: int = 0) -> Result:
    words = ["replay", "--home", str(home), "--from", stamp(begin), "--to", stamp(end), "--json"]
    found = CliRunner().invoke(monitor, words)
    assert found.exit_code == code, found.output
    return found


def test_where_nothing_was_let_go_a_replay_says_nothing_but_its_events(home: Path) -> None:
    archive(home)
    found = replay(home, INCIDENT, END)
    assert len(found.stdout.splitlines()) == 1
    assert found.stderr == ""


def test_a_piece_that_was_let_go_wholly_or_in_part_is_an_error_that_says_what_is_there(home: Path) -> None:
    let_go(home, 1)
    for begin, end in ((START_MINUTE, START_MINUTE + 10), (INCIDENT, END)):  # the first segment reaches into its minute
        found = replay(home, begin, end, code=1)
        assert found.stdout == ""
        assert f"raw records before {stamp(INCIDENT + 1)} were archived and let go" in found.stderr
        assert f"expected those of {stamp(begin)} to {stamp(end)}; nothing was judged" in found.stderr
        assert "log_raw_keep_h and log_raw_bytes_max" in found.stderr


def test_where_only_the_windows_before_a_piece_are_cut_its_events_come_with_a_warning(home: Path) -> None:
    let_go(home, 1)
    found = replay(home, INCIDENT + 1, END)
    assert json.loads(found.stdout)["data"]["feature"] == "f0"
    assert found.stderr.startswith(f"warning: raw records before {stamp(INCIDENT + 1)}")
    assert f"back to {stamp(INCIDENT + 1 - Rules().longest_minutes)}" in found.stderr


def test_what_was_let_go_before_the_windows_is_not_told(home: Path) -> None:
    let_go(home, 1)
    begin = INCIDENT + 1 + Rules().longest_minutes
    assert replay(home, begin, begin + 1).stderr == ""
    let_go_of_two = archive(home, keep=RAW_GOES)
    assert let_go_of_two.let_go_segments == 1
    replay(home, INCIDENT + 1, END, code=1)


def test_a_manifest_that_cannot_be_read_is_told_and_nothing_is_judged(home: Path) -> None:
    let_go(home, 1)
    (home / "archive" / "manifest.json").write_text("{")
    found = replay(home, INCIDENT + 1, END, code=3)
    assert (found.stdout, "manifest.json" in found.stderr) == ("", True)


def test_the_manifest_tells_the_latest_record_of_what_was_let_go(home: Path) -> None:
    archive(home)
    latest = [segment.max_at_us for segment in manifest_of(home).raw["w0"].kept]
    assert [at_us // 60_000_000 for at_us in latest] == [INCIDENT, END, END + 1450]
    assert manifest_of(home).raw["w0"].max_at_us == 0
    let_go(home, 2)
    assert manifest_of(home).raw["w0"].max_at_us == latest[1]
