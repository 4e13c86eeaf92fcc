"""The end of an incident as an event: once, after the cooldown, also where a version is heard of no more."""

import json
from dataclasses import replace

import numpy as np
import pytest

from monitoring.events import END, ENDED_TYPE, Event, opening_of, stamp
from monitoring.fold import close, fold
from monitoring.rules import Rules
from monitoring.state import State
from service.featurelog.record import Record
from tests.unit.monitoring.made import START_MINUTE, chunk, model, traffic

MADE = model(rows=5000)
RULES = replace(Rules(), drift_windows_s=(60,), n_min=20, hold_s=60, cooldown_s=600)


def folded(
    records: list[Record], state: State | None = None, rules: Rules = RULES, per_chunk: int = 1_000_000
) -> list[Event]:
    """Openings and ends, as the loop puts them."""
    held, found = State() if state is None else state, list[Event]()
    for start in range(0, len(records), per_chunk):
        piece = chunk(*records[start : start + per_chunk], made=MADE, first_seq=start)
        found += fold(held, piece, settled=True, rules=rules, references=MADE.references())
        found += held.take_ended()
    return found


def span(start: int, n: int, scale: float = 1.0) -> list[Record]:
    rng = np.random.default_rng(start)
    minutes = range(START_MINUTE + start, START_MINUTE + start + n)
    return traffic(rng, minutes=minutes, rows_per_minute=60, scale=scale)


def test_an_incident_is_over_when_the_cooldown_passed_and_says_since_when_it_was_clear() -> None:
    (opening, ending) = folded([*span(0, 5, 1000.0), *span(5, 30)])
    assert opening_of(ending.id) == opening.id
    event = json.loads(ending.body)
    assert (event["type"], event["id"]) == (ENDED_TYPE, opening.id + END)
    assert event["data"]["incident"] == opening.id
    assert event["data"]["why"] == "cleared"
    assert event["data"]["began"] == json.loads(opening.body)["data"]["began"]
    assert event["data"]["ended"] == stamp(START_MINUTE + 5 + 1 + 1), "the first clear minute, the hold, to its end"


def test_an_incident_that_flaps_for_an_hour_is_one_event_and_one_end() -> None:
    flapping = [record for start in range(0, 60, 4) for record in (*span(start, 2, 1000.0), *span(start + 2, 2))]
    assert [event.id.endswith(END) for event in folded([*flapping, *span(60, 30)])] == [False, True]


def test_a_breach_that_did_not_hold_has_no_end() -> None:
    assert folded([*span(0, 1, 1000.0), *span(1, 30)], rules=replace(RULES, hold_s=300)) == []


def test_a_version_that_is_heard_of_no_more_ends_its_incident() -> None:
    state = State()
    (opening,) = folded(span(0, 5, 1000.0), state)
    assert close(state, START_MINUTE + 100_000, RULES, MADE.references()) == []
    (ending,) = state.take_ended()
    assert state.take_ended() == []
    data = json.loads(ending.body)["data"]
    assert (data["incident"], data["why"]) == (opening.id, "forgotten")
    assert not state.alerts


def test_the_second_incident_has_an_id_and_an_end_of_its_own() -> None:
    events = folded([*span(0, 5, 1000.0), *span(5, 30), *span(35, 5, 1000.0), *span(40, 30)])
    assert len({event.id for event in events}) == 4
    assert sorted(event.id.endswith(END) for event in events) == [False, False, True, True]


@pytest.mark.parametrize("per_chunk", [997, 150])
def test_ends_do_not_depend_on_how_the_log_is_cut(per_chunk: int) -> None:
    records = [*span(0, 5, 1000.0), *span(5, 30), *span(35, 5, 1000.0), *span(40, 30)]
    whole, cut = folded(records), folded(records, per_chunk=per_chunk)
    assert sorted((event.id, event.body) for event in cut) == sorted((event.id, event.body) for event in whole)
