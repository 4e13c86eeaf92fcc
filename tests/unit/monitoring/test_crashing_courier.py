"""kill -9 at every border between an event and its mark: nothing is lost, and what comes twice has the same id."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from monitoring.dispatch.shelf import on_shelf
from tests.unit.monitoring.crashing_courier import POINTS
from tests.unit.monitoring.process import DEADLINE_S, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.simulation]
ALL = {
    "webhook evt_0000",
    "webhook evt_0001",
    "chat evt_0000",
    "chat evt_0001",
    "chat evt_0000_end",
}
AGAIN = {"sent_unanswered", "answered", "half_mark"}  # sent, and not known to be: one message comes twice


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_border_of_sending_loses_nothing_and_doubles_under_one_id_only(
    tmp_path: Path, point: str
) -> None:
    directory = tmp_path / "monitor"
    command = [sys.executable, "-m", "tests.unit.monitoring.crashing_courier", str(directory)]
    dead = subprocess.run([*command, point], cwd=ROOT, timeout=DEADLINE_S, check=False)
    assert dead.returncode == -signal.SIGKILL
    subprocess.run([*command, "none"], cwd=ROOT, timeout=DEADLINE_S, check=True)
    sent = Counter((directory / "sent").read_text().splitlines())
    assert set(sent) == ALL
    assert sum(sent.values()) - len(ALL) == (point in AGAIN)
    facts, deliveries = on_shelf(tmp_path)
    assert {one.id for one in facts} == {"evt_0000", "evt_0001", "evt_0000_end"}
    states = {
        (event, name, type(one).__name__) for event, held in deliveries.items() for name, one in held.receivers.items()
    }
    assert {state for _, _, state in states} == {"Taken"}
    assert not list((directory / "outbox").glob("evt_*.json"))
    assert not list(directory.rglob("*.new"))


@pytest.mark.parametrize("point", ["decision", "second_decision", "mark"])
def test_a_kill_after_a_decision_does_not_spend_the_budget_twice(tmp_path: Path, point: str) -> None:
    """With the budget of one a day and incidents of two models, each model has one retraining, before and after."""
    directory = tmp_path / "monitor"
    command = [sys.executable, "-m", "tests.unit.monitoring.crashing_courier", str(directory)]
    subprocess.run([*command, point], cwd=ROOT, timeout=DEADLINE_S, check=False)
    subprocess.run([*command, "none"], cwd=ROOT, timeout=DEADLINE_S, check=True)
    sent = (directory / "sent").read_text().splitlines()
    assert Counter(one for one in sent if one.startswith("webhook")) == {"webhook evt_0000": 1, "webhook evt_0001": 1}
