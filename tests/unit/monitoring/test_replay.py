import json
from collections.abc import Iterator

import numpy as np
import pytest

from monitoring.events import Event
from monitoring.fold import fold
from monitoring.replay import Reach, reach, replay, whole_from
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.stored import restore, store
from service.featurelog.chunk import Chunk
from service.featurelog.record import Record
from tests.unit.monitoring.made import MINUTE_US, START_MINUTE, chunk, model, traffic

pytestmark = pytest.mark.slow

MADE = model(rows=5000)
RULES = Rules()


def records() -> list[Record]:
    """Two days: one of normal data, then an incident; a day before is longer than every window."""
    rng = np.random.default_rng(8)
    normal = traffic(rng, minutes=range(START_MINUTE, START_MINUTE + 2000, 4), rows_per_minute=4)
    wrong = traffic(rng, minutes=range(START_MINUTE + 2000, START_MINUTE + 2200), rows_per_minute=4, scale=1000.0)
    return [*normal, *wrong]


def chunks(every: int) -> Iterator[Chunk]:
    held = records()
    for start in range(0, len(held), every):
        yield chunk(*held[start : start + every], made=MADE, first_seq=start)


def live(every: int = 500) -> list[Event]:
    state, events = State(), []
    for one in chunks(every):
        events += fold(state, one, settled=True, rules=RULES, references=MADE.references())
    return events


def again(from_minute: int, to_minute: int, every: int = 700) -> list[Event]:
    pieces = ((one, True) for one in chunks(every))
    found = replay(pieces, RULES, lambda _: MADE.references(), from_minute=from_minute, to_minute=to_minute)
    return list(found)


def minutes_of(event: Event) -> tuple[int, int]:
    """The minutes that the event's own replay command names."""
    words = json.loads(event.body)["data"]["replay"].split()
    begin, end = (
        np.datetime64(words[words.index(flag) + 1].rstrip("Z"), "m").astype(int) for flag in ("--from", "--to")
    )
    return int(begin), int(end)


def test_the_command_in_an_event_makes_the_same_event_byte_for_byte() -> None:
    (event,) = live()
    assert again(*minutes_of(event)) == [event]


def test_a_replay_of_everything_is_what_happened_whatever_the_chunks() -> None:
    everything = again(START_MINUTE, START_MINUTE + 3000)
    assert everything == live()
    assert again(START_MINUTE, START_MINUTE + 3000, every=37) == everything


def test_a_replay_of_a_quiet_piece_makes_nothing() -> None:
    assert again(START_MINUTE + 1500, START_MINUTE + 1900) == []


def test_all_is_there_from_the_minute_behind_the_latest_record_of_any_writer_that_was_let_go() -> None:
    last_us = START_MINUTE * MINUTE_US + MINUTE_US - 1
    assert whole_from([last_us, 0, last_us - 5 * MINUTE_US]) == START_MINUTE + 1
    assert whole_from([last_us + 1]) == START_MINUTE + 2
    assert whole_from([0]) == whole_from([]) == 0


def test_a_piece_is_whole_cut_in_its_windows_or_cut_itself() -> None:
    assert reach(START_MINUTE + 1, START_MINUTE, RULES) is Reach.CUT
    assert reach(START_MINUTE, START_MINUTE, RULES) is Reach.WINDOWS_CUT
    assert reach(START_MINUTE + 1 - RULES.longest_minutes, START_MINUTE, RULES) is Reach.WINDOWS_CUT
    assert reach(START_MINUTE - RULES.longest_minutes, START_MINUTE, RULES) is Reach.WHOLE
    assert reach(0, START_MINUTE, RULES) is Reach.WHOLE


def test_a_restart_from_a_stored_state_at_any_chunk_changes_no_event() -> None:
    state, events = State(), []
    for one in chunks(250):
        state = restore(store(state), RULES)
        events += fold(state, one, settled=True, rules=RULES, references=MADE.references())
    assert events == live()
