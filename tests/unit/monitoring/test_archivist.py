import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from monitoring.archivist import Archivist
from monitoring.exporter import StatusCollector
from monitoring.status import ArchiveStatus
from service.featurelog.chunk import Positions
from tests.processes import wait_until
from tests.unit.monitoring.test_exporter import status
from tests.unit.service.featurelog.archiving import manifest_of, write_log

pytestmark = pytest.mark.slow


def archivist(
    home: Path, *, saved: Positions | None = None, timeout_s: float = 60, script: str | None = None
) -> Archivist:
    command = {} if script is None else {"command": (sys.executable, "-c", script)}
    return Archivist(home, interval_s=0.01, timeout_s=timeout_s, saved=lambda: saved or {}, **command)  # type: ignore[arg-type]


def after_one(one: Archivist) -> ArchiveStatus:
    asyncio.run(one.step())
    return one.status()


def test_a_pass_archives_and_says_so_and_nothing_waits_any_more(tmp_path: Path) -> None:
    rows = write_log(tmp_path / "log", epochs=1)
    found = after_one(archivist(tmp_path))
    assert (found.passes, found.failures, found.rows) == (1, {}, rows)
    assert found.segments == manifest_of(tmp_path).accounts["w0/1"].segments
    assert (found.waiting_segments, found.waiting_bytes, found.oldest_waiting_s) == (0, 0, None)


def test_no_process_is_started_where_nothing_waits(tmp_path: Path) -> None:
    one = archivist(tmp_path)
    assert [after_one(one).passes for _ in range(3)] == [1, 1, 1], "the first looks what there is to let go"
    write_log(tmp_path / "log", epochs=1, requests=5)
    assert [after_one(one).passes for _ in range(2)] == [2, 2]


def test_retention_goes_no_further_than_the_saved_positions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "log", epochs=1)
    monkeypatch.setenv("PLUMBLINE_LOG_RAW_BYTES_MAX", "1")
    assert after_one(archivist(tmp_path)).let_go_segments == 0
    assert after_one(archivist(tmp_path, saved={"w0": (1, 2, 7)})).let_go_segments == 2


def test_a_pass_that_cannot_work_is_counted_by_reason_and_the_backlog_is_seen(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "requests").write_bytes(b"in the way")
    found = after_one(archivist(tmp_path))
    assert found.failures == {"os_error": 1} and "requests" in found.last_error
    assert found.waiting_segments > 1 and found.waiting_bytes > 0
    assert found.oldest_waiting_s == pytest.approx(time.time(), abs=600)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("raise SystemExit(7)", "crashed"),
        ("print('what?')", "crashed"),
        ("print('{}'); raise SystemExit(2)", "crashed"),
        ("""print('{"failed": "no_space", "error": "full"}'); raise SystemExit(3)""", "no_space"),
        ("import time; time.sleep(60)", "timeout"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "timeout"),
    ],
)
def test_whatever_becomes_of_the_process_has_a_word(tmp_path: Path, script: str, reason: str) -> None:
    one = archivist(tmp_path, script=script, timeout_s=1 if reason == "timeout" else 60)
    assert after_one(one).failures == {reason: 1}


def test_a_command_that_is_not_there_is_a_reason_too(tmp_path: Path) -> None:
    one = Archivist(tmp_path, interval_s=1, timeout_s=1, saved=dict, command=(str(tmp_path / "nothing"),))
    assert after_one(one).failures == {"not_started": 1}


def test_a_pass_under_way_ends_with_the_monitor(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    script = f"""
import os, time
with open({str(place)!r} + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename({str(place)!r} + ".new", {str(place)!r})
time.sleep(60)
"""

    async def run() -> int:
        task = asyncio.create_task(archivist(tmp_path, script=script).run())
        await asyncio.to_thread(wait_until, place.exists, 30, "the pass to begin")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(place.read_text())

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(run()), 0)


def test_the_metrics_say_what_waits_and_since_when() -> None:
    archive = ArchiveStatus(failures={"no_space": 2}, rows=7, waiting_segments=3, oldest_waiting_s=12.5)
    whole = status()
    shown = {name: getattr(whole, name) for name in whole.__struct_fields__} | {"archive": archive}
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in StatusCollector(lambda: type(whole)(**shown)).collect()
        for sample in family.samples
    }
    assert found["plumbline_monitor_archive_failures_total", "no_space"] == 2
    assert found["plumbline_monitor_archived_rows_total",] == 7
    assert found["plumbline_monitor_archive_waiting_segments",] == 3
    assert found["plumbline_monitor_archive_oldest_waiting_timestamp_seconds",] == 12.5
