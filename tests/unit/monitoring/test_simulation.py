import json

import numpy as np
import pytest

from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State
from tests.unit.monitoring.made import START_MINUTE, chunk, model, traffic

pytestmark = pytest.mark.simulation

FLOATS = 19  # with the city 20 features, and the score
ROWS_PER_MINUTE = 5
DAY_MINUTES = 1440
MADE = model(floats=FLOATS)


def test_a_week_of_unchanged_data_makes_no_event_and_a_thousandfold_unit_then_makes_one() -> None:
    rng, state, rules = np.random.default_rng(20261102), State(), Rules()
    references, events = MADE.references(), []
    for day in range(7):
        minutes = range(START_MINUTE + day * DAY_MINUTES, START_MINUTE + (day + 1) * DAY_MINUTES)
        records = traffic(
            rng, minutes=minutes, rows_per_minute=ROWS_PER_MINUTE, floats=FLOATS, rows_per_request=ROWS_PER_MINUTE
        )
        events += fold(state, chunk(*records, made=MADE), settled=True, rules=rules, references=references)
    assert events == []
    assert state.counters.evaluations >= 7 * DAY_MINUTES
    wrong = traffic(
        rng,
        minutes=range(START_MINUTE + 7 * DAY_MINUTES, START_MINUTE + 7 * DAY_MINUTES + 240),
        rows_per_minute=ROWS_PER_MINUTE,
        floats=FLOATS,
        scale=1000.0,
    )
    events += fold(state, chunk(*wrong, made=MADE), settled=True, rules=rules, references=references)
    (event,) = events
    assert json.loads(event.body)["data"]["feature"] == "f0"
