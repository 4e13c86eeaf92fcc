"""The log as SQL: every row once, hot or sealed, whatever the archiver does meanwhile; nothing but the log can be read."""

import math
import shutil
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.contract import Kind
from service.featurelog.archive import Archiver
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.archive_plan import Keep
from service.featurelog.errors import HotTooLarge, SealedFileMissing
from service.featurelog.record import Schema, SchemaColumn
from service.featurelog.snapshot import snapshot
from service.featurelog.view import database
from tests.unit.service.featurelog.test_labels import asked, said
from tests.unit.service.featurelog.writing import segment

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "featurelog-1"


def archive(home: Path) -> int:
    """One pass, after which nothing that was archived is still there as raw segments; returns how many rows it took."""
    keep = Keep(raw_age_us=0, raw_bytes=0, archive_days=0, archive_bytes=1 << 40)
    return Archiver(home / "log", ArchiveFiles(home / "archive"), keep=keep, keep_from=None).run(1 << 60).rows


def ask(home: Path, sql: str, **given: Any) -> list[tuple[Any, ...]]:
    with database(home, **given) as (connection, _):
        return [tuple(row.values()) for row in connection.sql(sql).to_arrow_table().to_pylist()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN, tmp_path / "log")
    return tmp_path


def written(home: Path, epoch: int, ids: range) -> None:
    """One more epoch of the writer."""
    schema = Schema(0, "payments", "1", "sha256:1", (SchemaColumn("x", Kind.INT),), ())
    segment(home / "log", [(0, schema), *((seq, asked(seq, f"n-{seq}", 2)) for seq in ids)], epoch=epoch)


def test_hot_and_sealed_look_the_same(home: Path) -> None:
    everything = "select * from requests order by writer, epoch, seq, row"
    hot = [repr(row) for row in ask(home, everything)]
    assert len(hot) == 16
    assert archive(home) > 0
    with database(home) as (_, found):
        assert found.hot_rows == 0
    assert [repr(row) for row in ask(home, everything)] == hot
    assert ask(home, "select count(*) from labelled") == [(3,)]


def test_a_row_is_seen_once_while_the_log_grows_and_the_archiver_works_merges_and_lets_go(home: Path) -> None:
    keys = "select count(*), count(distinct (writer, epoch, seq, row)) from requests"
    stop, epochs, failures = threading.Event(), [2], []

    def work() -> None:
        try:
            while not stop.is_set():
                epochs.append(epochs[-1] + 1)
                written(home, epochs[-1], range(20))
                archive(home)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        seen = [0]
        for _ in range(12):
            ((rows, distinct),) = ask(home, keys)
            assert rows == distinct and (rows - 16) % 40 == 0 and rows >= seen[-1]
            seen.append(rows)
    finally:
        stop.set()
        thread.join()
    assert not failures
    expected = 16 + (epochs[-1] - 2) * 40
    assert ask(home, keys) == [(expected, expected)]


def test_what_is_read_stays_when_its_files_go(home: Path) -> None:
    archive(home)
    with database(home) as (connection, _):
        shutil.rmtree(home / "archive")
        shutil.rmtree(home / "log")
        assert connection.execute("select count(*) from requests").fetchall() == [(16,)]


def test_a_file_that_the_manifest_names_and_is_gone_is_told(home: Path) -> None:
    archive(home)
    gone = next((home / "archive").rglob("*.parquet"))
    gone.unlink()
    with pytest.raises(SealedFileMissing, match=gone.name), database(home):
        pass


def test_a_log_that_the_archiver_never_took_is_refused_not_copied(home: Path) -> None:
    refused = pytest.raises(HotTooLarge, match="plumbline log archive")
    with refused, snapshot(home / "log", home / "archive", hot_bytes_max=100):
        pass


def test_one_model_has_its_own_columns(home: Path) -> None:
    with database(home, model="images") as (connection, _):
        assert "amount" not in connection.sql("select * from requests").columns
        assert connection.execute("select distinct model from requests").fetchall() == [("images",)]
        assert connection.execute("select count(*) from feedback").fetchall() == [(4,)]


def test_values_come_back_as_they_were(home: Path) -> None:
    rows = ask(
        home,
        "select amount, count, \"returning\", city, score from requests where version = '1' and score is not null order by row",
    )
    assert rows[0] == (12.5, -3, True, "oslo", 0.25)
    assert math.isnan(rows[1][0]) and rows[1][1] == 2**63 - 1 and rows[1][4] == math.inf
    assert rows[2][:4] == (-math.inf, -(2**63), False, "Ålesund 🐟") and str(rows[2][4]) == "-0.0"


def test_an_empty_home_has_empty_views(tmp_path: Path) -> None:
    for view in ("requests", "shadows", "feedback", "labels", "labelled"):
        assert (
            ask(
                tmp_path,
                f"select * from {view} where arrived_at is null" if view != "labels" else "select * from labels",
            )
            == []
        )


def test_models_whose_columns_disagree_are_still_one_view(tmp_path: Path) -> None:
    for number, kind in enumerate((Kind.INT, Kind.FLOAT, Kind.BOOL)):
        schema = Schema(0, f"m{number}", "1", "sha256:1", (SchemaColumn("x", kind),), ())
        segment(tmp_path / "log", [(0, schema), (0, asked(1, "a", 1))], epoch=number + 1)
    assert [row[0] for row in ask(tmp_path, "select model from requests order by model")] == ["m0", "m1", "m2"]
    assert ask(tmp_path, "select x from requests", model="m2") == [(False,)]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "copy (select 1) to '/tmp/never.csv'",
        "attach '/tmp/never.db'",
        "install httpfs",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
        "select * from '/etc/passwd'",
    ],
)
def test_nothing_but_the_log_can_be_read_or_written(home: Path, sql: str) -> None:
    with database(home) as (connection, _), pytest.raises(duckdb.Error):
        connection.execute(sql)


def test_a_hole_in_hot_data_is_told(home: Path) -> None:
    segment(home / "log", [(0, said(1, "a", 0, 1.0, 1)), (5, said(2, "b", 0, 1.0, 1))], epoch=9)
    with database(home) as (_, found):
        assert [hole.records for hole in found.lost if hole.reason == "gap"] == [4]
