"""The log as a data scientist gets it back: query, tail, export, labels."""

import csv
import io
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from models.contract import Kind
from service.commands.log import log
from service.featurelog.files import lock_directory
from service.featurelog.record import Schema, SchemaColumn
from tests.processes import heard
from tests.unit.service.featurelog.test_labels import asked, said
from tests.unit.service.featurelog.test_view import archive
from tests.unit.service.featurelog.writing import request, segment, write

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "featurelog-1"
Say = Callable[..., Result]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Runs `plumbline log …` on a home with the golden log."""
    shutil.copytree(GOLDEN, tmp_path / "log")

    def run(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(log, [*map(str, words), "--home", str(tmp_path)])
        assert result.exit_code == code, result.output
        return result

    return run


def lines(result: Result) -> list[Any]:
    return [msgspec.json.decode(line) for line in result.stdout.splitlines()]


# --- query --------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_in_every_format(tmp_path: Path, say: Say) -> None:
    sql = "select row, amount, score, arrived_at from requests where request_id = 'id-0' order by row"
    assert "id-0" not in say("query", sql).output and "12.5" in say("query", sql).output
    (row, *_) = csv.DictReader(io.StringIO(say("query", sql, "--format", "csv").stdout))
    assert row == {"row": "0", "amount": "12.5", "score": "0.25", "arrived_at": "2025-11-24T16:00:00+00:00"}
    as_json = msgspec.json.decode(say("query", sql, "--format", "json").stdout)
    assert as_json == lines(say("query", sql, "--format", "jsonl"))
    assert [one["amount"] for one in as_json] == [12.5, None, None, None]
    say("query", sql, "--format", "parquet", "--out", tmp_path / "out.parquet")
    amounts = pq.read_table(tmp_path / "out.parquet")["amount"].to_pylist()
    assert amounts[0] == 12.5 and math.isnan(amounts[1]) and amounts[2] == -math.inf


def test_csv_keeps_nan_infinity_and_null_apart_and_nested_columns_are_json(say: Say) -> None:
    sql = "select amount, city, problems from requests where request_id in ('id-0', 'id-2') order by seq, row"
    rows = list(csv.reader(io.StringIO(say("query", sql, "--format", "csv").stdout)))[1:]
    assert [row[0] for row in rows] == ["12.5", "nan", "-inf", "", ""]
    assert rows[1][2] == "" and msgspec.json.decode(rows[4][2])[0]["column"] == "amount"


def test_types_that_only_sql_has_come_as_text(tmp_path: Path, say: Say) -> None:
    values = "interval 90 minute as span, timestamp_ns '2026-01-01' as ns, '\\xAA'::blob as bytes, sum(seq) as total"
    sql = f"select {values} from requests"
    (row,) = lines(say("query", sql, "--format", "jsonl"))
    assert (row["span"], row["bytes"], row["ns"][:10]) == ("01:30:00", "qg==", "2026-01-01")
    assert "01:30:00" in say("query", sql).output
    assert say("query", sql, "--format", "csv").stdout.splitlines()[1].startswith("01:30:00,2026-01-01T00:00:00,qg==,")
    say("query", sql, "--format", "parquet", "--out", tmp_path / "x.parquet")
    assert (
        "cast the column"
        in say("query", "select [interval 1 day]", "--format", "parquet", "--out", tmp_path / "y", code=2).stderr
    )


def test_no_rows_are_an_answer_too(say: Say) -> None:
    sql = "select row from requests where false"
    assert msgspec.json.decode(say("query", sql, "--format", "json").stdout) == []
    assert say("query", sql, "--format", "jsonl").stdout == ""
    assert say("query", sql, "--format", "csv").stdout == "row\n"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("selec 1", "LINE 1: selec 1"),
        ("select amoun from requests", '"amoun" not found'),
        ("select * from nothing", "nothing"),
        ("select 1; select 2", "expected one SELECT"),
        ("", "expected one SELECT"),
        ("drop view requests", "expected one SELECT"),
        ("copy (select 1) to 'x.csv'", "expected one SELECT"),
        ("select * from read_text('/etc/passwd')", "disabled by configuration"),
        ("select 1 / 'a'", "Could not convert"),
    ],
)
def test_a_wrong_question_is_a_wrong_use_and_duckdb_says_where(say: Say, sql: str, told: str) -> None:
    result = say("query", sql, code=2)
    assert told in result.stderr and "Traceback" not in result.output


def test_a_file_that_was_not_finished_does_not_appear(tmp_path: Path, say: Say) -> None:
    (tmp_path / "out").mkdir()
    say("query", "select error('no') from requests", "--format", "csv", "--out", tmp_path / "out" / "x.csv", code=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_pivot_and_a_description_are_questions(say: Say) -> None:
    assert "amount" in say("query", "describe requests").output
    assert "answered" in say("query", "pivot (select version, outcome from requests) on outcome using count(*)").output


def test_what_an_answer_does_not_hold_is_told(tmp_path: Path, say: Say) -> None:
    assert "no row of a model 'paiments'" in say("query", "select 1", "--model", "paiments").stderr
    assert "no row" not in say("query", "select 1", "--model", "payments").stderr
    segment(tmp_path / "log", [(0, said(1, "a", 0, 1.0, 1)), (5, said(2, "b", 0, 1.0, 1))], epoch=9)
    for words in (("query", "select 1"), ("labels",), ("export", "--table", "feedback")):
        assert "not readable: w0 epoch 9 segment 0: gap, 4 records" in say(*words).stderr


# --- export -------------------------------------------------------------------------------------------------------


def test_labelled_rows_are_exported_with_their_label_as_training_data(tmp_path: Path, say: Say) -> None:
    say("export", "--labelled", "--model", "payments", "--format", "parquet", "--out", tmp_path / "train.parquet")
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert [(row["row"], row["label"], row["count"]) for row in rows] == [
        (0, "1.0", -3),
        (1, "true", 2**63 - 1),
        (2, "fraud", -(2**63)),
    ]


def test_rows_and_records_are_chosen_by_time_version_and_condition(say: Say) -> None:
    chosen = ("--model", "payments", "--version", "2")
    assert {row["request_id"] for row in lines(say("export", "--table", "requests", *chosen))} == {"id-1"}
    assert [one["request_id"] for one in lines(say("export", *chosen)) if one["type"] == "request"] == ["id-1"]
    times = ("--from", "2025-11-24T16:00:00.000001Z", "--to", "2025-11-24T16:00:00.000003Z")
    assert {row["request_id"] for row in lines(say("export", "--table", "requests", *times))} == {"id-1", "id-2"}
    assert {one["request_id"] for one in lines(say("export", *times))} == {"id-1", "id-2"}
    condition = ("--where", "amount > 10 and outcome = 'shed'")
    assert {row["request_id"] for row in lines(say("export", "--table", "requests", *condition))} == {"id-3"}
    assert [row["request_id"] for row in lines(say("export", *condition))] == ["id-3"]


def test_records_that_are_only_in_the_archive_any_more_are_not_silently_left_out(tmp_path: Path, say: Say) -> None:
    before = [msgspec.json.encode(row) for row in lines(say("export", "--table", "requests"))]
    archive(tmp_path)
    write(tmp_path / "log", [request(1)])
    archive(tmp_path)
    found = say("export")
    assert "were archived and let go; --table requests has their rows" in found.stderr
    after = [msgspec.json.encode(row) for row in lines(say("export", "--table", "requests"))]
    assert set(before) < set(after) and len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--table", "records", "--format", "csv"), "expected jsonl"),
        (("--labelled", "--table", "feedback"), "expected one of them"),
        (("--table", "feedback", "--model", "payments"), "--model: feedback have no such column"),
        (("--from", "yesterday"), "expected ISO 8601"),
        (("--table", "requests", "--where", "amoun > 1"), '"amoun" not found'),
        (("--where", "amount >"), "syntax error"),
    ],
)
def test_a_wrong_export_is_told(say: Say, words: tuple[str, ...], told: str) -> None:
    assert told in say("export", *words, code=2).stderr


# --- labels -------------------------------------------------------------------------------------------------------


def test_labels_are_reported_by_version(say: Say) -> None:
    found = msgspec.json.decode(say("labels", "--json").stdout)
    assert (found["received"], found["joined"], found["unknown"]) == (4, 4, {})
    assert found["versions"][0] == {
        "model": "payments",
        "version": "1",
        "answered": 5,
        "joined": 4,
        "unknowable": 1,
        "waiting": 1,
        "labelled_share": 0.6,
        "delay_s_median": 7e-06,
    }
    assert "received 4 = joined 4 + unknown 0 + duplicate 0 + changed 0" in say("labels").output
    assert msgspec.json.decode(say("labels", "--json", "--from", "2026-01-01").stdout)["versions"] == []


def test_labels_without_a_prediction_are_told_with_their_reason(tmp_path: Path, say: Say) -> None:
    segment(tmp_path / "log", [(0, said(1, "never-asked", 0, 1.0, 1))], epoch=9)
    assert "1 name a request that is not in the log" in say("labels").output


# --- tail ---------------------------------------------------------------------------------------------------------


def test_the_newest_are_found_without_reading_more_segments_than_needed(tmp_path: Path, say: Say) -> None:
    shutil.rmtree(tmp_path / "log")
    schema = Schema(0, "payments", "1", "sha256:1", (SchemaColumn("x", Kind.INT),), ())
    for epoch in range(1, 12):
        records = [(seq, asked(100 * epoch + seq, f"{epoch}-{seq}", 2)) for seq in range(3)]
        path = segment(tmp_path / "log", [(0, schema), *records], epoch=epoch)
        if epoch < 6:
            path.write_bytes(b"never read")
    assert [one["request_id"] for one in lines(say("tail", "-n", 4))] == ["10-2", "11-0", "11-1", "11-2"]
    assert say("tail", "-n", 0).stdout == ""


def test_a_condition_that_fits_no_record_is_a_wrong_use(say: Say) -> None:
    wanted = ("tail", "--arm", "canary", "--where", "score = 0.25")
    assert [one["request_id"] for one in lines(say(*wanted))] == ["id-1"]
    assert '"scor" not found' in say("tail", "--where", "scor = 0.25", code=2).stderr


@contextmanager
def following(home: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "plumbline", "log", "tail", "-f", *words, "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def next_id(stream: IO[bytes] | None) -> str:
    assert stream is not None
    name: str = msgspec.json.decode(stream.readline())["request_id"]
    return name


def test_following_goes_on_across_rotations_and_with_new_writers_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(1)])
    with heard(signal.SIGINT), following(tmp_path, "--outcome", "answered") as process:
        assert next_id(process.stdout) == "r1"
        write(tmp_path / "log", [request(2)])
        assert next_id(process.stdout) == "r2"
        held = lock_directory(tmp_path / "log" / "w0")
        write(tmp_path / "log", [request(3)])  # by the writer of the next directory
        os.close(held)
        assert next_id(process.stdout) == "r3"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == b""


def test_following_ends_when_nobody_listens_also_while_nothing_comes(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(1)])
    with following(tmp_path, "--outcome", "answered") as process:
        assert process.stdout is not None and process.stderr is not None
        next_id(process.stdout)
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""
