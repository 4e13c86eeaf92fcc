import asyncio
import sys
from pathlib import Path

import pytest

from monitoring.events import END
from monitoring.explainer import WAITING_MAX, Explainer
from monitoring.status import ExplainStatus

pytestmark = pytest.mark.slow


def explainer(home: Path, script: str, timeout_s: float = 60) -> Explainer:
    return Explainer(home, timeout_s=timeout_s, command=(sys.executable, "-c", script))


def test_each_event_is_explained_once_and_one_at_a_time(tmp_path: Path) -> None:
    script = f"""
import os, sys
event = sys.argv[-1]
lock = os.open({str(tmp_path / "lock")!r}, os.O_CREAT | os.O_EXCL)
open({str(tmp_path)!r} + "/" + event, "x")
os.unlink({str(tmp_path / "lock")!r})
"""

    async def run() -> ExplainStatus:
        one = explainer(tmp_path, script)
        one.offer(("evt_a", "evt_b"))
        one.offer(("evt_a", "evt_b", "evt_c", "evt_a" + END))
        await one.drain()
        return one.status()

    assert asyncio.run(run()) == ExplainStatus(explained=3)
    assert {path.name for path in tmp_path.iterdir()} == {"evt_a", "evt_b", "evt_c"}


def test_what_was_explained_by_an_earlier_run_is_not_explained_again(tmp_path: Path) -> None:
    kept = tmp_path / "monitor" / "explained" / "evt_a.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")

    async def run() -> ExplainStatus:
        one = explainer(tmp_path, "")
        one.offer(("evt_a", "evt_b"))
        await one.drain()
        return one.status()

    assert asyncio.run(run()).explained == 1


def test_of_too_many_the_oldest_are_skipped_and_counted(tmp_path: Path) -> None:
    async def run() -> ExplainStatus:
        one = explainer(tmp_path, "")
        one.offer(f"evt_{n}" for n in range(WAITING_MAX + 5))
        return one.status()

    assert asyncio.run(run()).skipped == 5


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("raise SystemExit('no such event')", "refused"),
        ("import time; time.sleep(60)", "timeout"),
    ],
)
def test_whatever_becomes_of_the_process_has_a_word(tmp_path: Path, script: str, reason: str) -> None:
    one = explainer(tmp_path, script, timeout_s=2 if reason == "timeout" else 60)
    asyncio.run(one.step("evt_a"))
    assert one.status().failures == {reason: 1}
    assert one.status().explained == 0
