"""P8: what a log says does not depend on who wrote which part of it, nor on how it is read."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from monitoring.events import Event
from monitoring.fold import fold
from monitoring.intake import Intake
from monitoring.judge import Look, look
from monitoring.rules import Rules
from monitoring.state import Judged, State
from monitoring.stored import store
from service.featurelog.record import Record
from tests.unit.monitoring.made import MINUTE_US, START_MINUTE, heartbeat, model, traffic, write_log

pytestmark = pytest.mark.simulation

MADE = model(rows=5000)
MINUTES, ROWS_PER_MINUTE = 45, 20
END_US = (START_MINUTE + MINUTES) * MINUTE_US + 10_000_000


def records() -> list[Record]:
    """Normal, then a thousandfold unit."""
    rng = np.random.default_rng(17)
    half = START_MINUTE + MINUTES // 2
    normal = traffic(rng, minutes=range(START_MINUTE, half), rows_per_minute=ROWS_PER_MINUTE)
    wrong = traffic(rng, minutes=range(half, START_MINUTE + MINUTES), rows_per_minute=ROWS_PER_MINUTE, scale=1000.0)
    return [*normal[:-1], *wrong[:-1]]


def split(home: Path, writers: int, seed: int) -> Path:
    """Each record to a writer by chance; every writer ends with a heartbeat. Names and order say nothing."""
    dice = Random(seed)
    names = [f"w{number:02d}" for number in range(writers)]
    dice.shuffle(names)
    parts: dict[str, list[Record]] = {name: [] for name in names}
    for record in records():
        parts[dice.choice(names)].append(record)
    for name, part in parts.items():
        write_log(home, MADE, [*part, heartbeat(END_US)], writer=name)
    return home


def told(home: Path, records_max: int) -> tuple[State, list[Event]]:
    """As the monitor reads and folds it."""
    intake, state, events, rules = Intake(home / "log", {}, records_max), State(), list[Event](), Rules()
    while True:
        chunk, settled = intake.read()
        events += fold(state, chunk, settled=settled, rules=rules, references=MADE.references())
        if chunk.caught_up:
            return state, events


def said(state: State, events: list[Event]) -> dict[str, Any]:
    """Counts, verdicts and events, without the names of writers."""
    kept, bodies = store(state), [json.loads(event.body) for event in events]
    for body in bodies:
        del body["data"]["log_range"]
    counters = {name: count for name, count in kept.counters.items() if name != "records"}  # a heartbeat a writer
    return {
        "tracks": sorted(kept.tracks, key=lambda track: track.key),
        "alerts": kept.alerts,
        "closed": kept.closed,
        "counters": counters,
        "verdicts": [
            (version, [(one.window.scale.window_s, one.findings()) for one in _looks(judged)])
            for version, judged in sorted(state.judged.items())
        ],
        "ids": [event.id for event in events],
        "events": bodies,
    }


def _looks(judged: Judged) -> list[Look]:
    """Every window as it was last due, looked at exactly."""
    return look(judged.reference, list(judged.windows.values()), Rules(), model="payments", versions=1)


@pytest.mark.parametrize("records_max", [50_000, 137])
@pytest.mark.parametrize(("writers", "seed"), [(3, 1), (3, 2), (16, 3), (16, 4)])
def test_one_three_and_sixteen_writers_give_the_same_counts_verdicts_and_event_ids(
    tmp_path: Path, writers: int, seed: int, records_max: int
) -> None:
    alone = said(*told(split(tmp_path / "one", 1, 0), 50_000))
    several = said(*told(split(tmp_path / "several", writers, seed), records_max))
    assert len(alone["ids"]) == 1
    for part, expected in alone.items():
        assert several[part] == expected, part
