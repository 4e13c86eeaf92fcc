"""Unchanged segments with daily seasons, for weeks: no breach; and then a real one is seen."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.fold import fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State, Version
from service.featurelog.record import Record
from tests.unit.monitoring.made import CITIES, MINUTE_US, START_MINUTE, chunk, heartbeat, model, request, rows

pytestmark = pytest.mark.simulation

MADE = model(floats=2)
DECLARED = ("city", "f1 > 1")
REFERENCES = {MADE.schema.digest: Reference.of(MADE.schema, MADE.baseline, DECLARED, 16)}
VERSION = Version("payments", "1", MADE.schema.digest)
RULES = replace(
    Rules(segments={"payments": DECLARED}, segment_windows_s=(3600, 14_400, 86_400)),
    drift_windows_s=(86_400,),  # of all rows nothing is asked here: training knew no seasons
)
DAY, EVERY, ROWS = 1440, 10, 60


def day(number: int, rng: np.random.Generator, riga: float = 0.0) -> list[Record]:
    """Rows every ten minutes; f0 swings by half a deviation over the day, and cities have their hours."""
    found: list[Record] = []
    for minute in range(START_MINUTE + number * DAY, START_MINUTE + (number + 1) * DAY, EVERY):
        phase = 2 * np.pi * (minute % DAY) / DAY
        data = rows(ROWS, rng, floats=2)
        data.floats[:, 0] += 0.5 * np.sin(phase)
        late = rng.uniform(size=ROWS) < 0.3 + 0.3 * np.cos(phase)
        data.cities[late] = CITIES.index("lisbon")
        data.floats[data.cities == CITIES.index("riga"), 1] *= 1 + riga
        found.append(request(minute * MINUTE_US, data))
    return [*found, heartbeat((START_MINUTE + (number + 1) * DAY) * MINUTE_US + 1)]


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_three_weeks_of_unchanged_seasons_make_no_breach_in_any_segment(seed: int) -> None:
    rng, state = np.random.default_rng(seed), State()
    for number in range(21):
        records = day(number, rng)
        fold(state, chunk(*records, made=MADE), settled=True, rules=RULES, references=REFERENCES)
        alert = state.alerts.get(VERSION)
        assert not any(check.segment for check in (alert.latched if alert else ())), f"seed {seed}, day {number}"
    assert all(state.learnt[VERSION, name].until is not None for name in REFERENCES[MADE.schema.digest].segments.names)
    for number in (21, 22):
        records = day(number, rng, riga=0.6)
        fold(state, chunk(*records, made=MADE), settled=True, rules=RULES, references=REFERENCES)
    assert {check.segment for check in state.alerts[VERSION].latched if check.column == "f1"} >= {"city=riga"}
