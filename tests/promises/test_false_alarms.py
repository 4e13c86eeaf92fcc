"""Looking at a month at once is looking at it minute by minute: what the long run of P9 stands on."""

import numpy as np
import pytest

from monitoring.fold import fold
from monitoring.judge import look
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.tally import tally_requests
from service.featurelog.record import Request
from tests.promises.false_alarms import KEY, START_S, events_of
from tests.promises.looks import _window, _windows, raised
from tests.unit.monitoring.made import MINUTE_US, Rows, chunk, heartbeat, model, request, rows

pytestmark = pytest.mark.simulation

MADE = model(rows=5000, digest=KEY.version.digest)
START_MINUTE = START_S // 60
RULES = Rules()


class Small:
    """A world of three floats and a city."""

    reference = MADE.reference
    references = MADE.references()


def requests(seed: int, minutes: int, rows_per_minute: int, *, scale: float, shift: float) -> list[Request]:
    """The second half is changed."""
    rng, found = np.random.default_rng(seed), []
    for minute in range(minutes):
        data = rows(rows_per_minute, rng)
        floats = data.floats.copy()
        if minute >= minutes // 2:
            floats[:, 0] = floats[:, 0] * scale + shift
        found.append(request((START_MINUTE + minute) * MINUTE_US, Rows(floats, data.cities, data.scores)))
    return found


def counted(records: list[Request]) -> np.ndarray:
    return np.array([tally_requests([record], MADE.reference).columns for record in records])


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.0, 0.6), (1000.0, 0.0)])
def test_counts_put_into_the_state_make_the_events_that_their_records_make(scale: float, shift: float) -> None:
    records = requests(3, 240, 12, scale=scale, shift=shift)
    end = heartbeat((START_MINUTE + 240) * MINUTE_US + 5_000_000)
    one = chunk(*records, end, made=MADE)
    events = fold(State(), one, settled=True, rules=RULES, references=MADE.references())
    made = events_of(Small(), counted(records), RULES)
    assert [event.id for event in made] == [event.id for event in events]
    assert bool(events) == (scale != 1.0 or shift != 0.0)


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3, 0.6])
def test_no_look_is_left_out_that_would_have_raised_something(shift: float) -> None:
    counts = counted(requests(4, 360, 15, scale=1.0, shift=shift))
    all_raised = []
    for scale in RULES.scales.values():
        for minutes, sums in _windows(counts, scale, 0):
            windows = [_window(scale, int(minute), row) for minute, row in zip(minutes, sums, strict=True)]
            looks = look(MADE.reference, windows, RULES, model="payments", versions=1)
            raises = np.array([any(True for _ in one.raised()) for one in looks], dtype=bool)
            all_raised += [int(minute) for minute in minutes[raises]]
    assert [one.minute for one in raised(MADE.reference, counts, RULES, model="payments")] == sorted(all_raised)
    assert bool(all_raised) == (shift >= 0.6) or 0.0 < shift < 0.6
