import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.alert import Phase, Standing
from monitoring.events import END, Event
from monitoring.fold import close, fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import ARM_SHADOW, UNROUTED, Key, State, Version
from monitoring.stored import store
from monitoring.tally import OUTCOMES
from service.featurelog.chunk import Chunk, Lost, Run
from service.featurelog.record import Block, Feedback, Outcome, Problem, Record, Request, Schema, Shadow, SkewKind
from tests.unit.monitoring.made import (
    MINUTE_US,
    START_MINUTE,
    START_US,
    chunk,
    heartbeat,
    model,
    refused,
    request,
    rows,
    traffic,
)

MADE = model(rows=5000)
REFERENCES = MADE.references()
RULES = Rules()
VERSION = Version("payments", "1", MADE.schema.digest)
STABLE = Key(VERSION, "stable")


def folded(*chunks: Chunk, rules: Rules = RULES, settled: bool = True) -> tuple[State, list[Event]]:
    state, events = State(), []
    for one in chunks:
        events += fold(state, one, settled=settled, rules=rules, references=REFERENCES)
    return state, events


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def minutes(n: int, start: int = 0) -> range:
    return range(START_MINUTE + start, START_MINUTE + start + n)


def of(state: State, key: Key = STABLE) -> dict[Outcome, int]:
    return dict(zip(OUTCOMES, state.tracks[key].requests.tolist(), strict=True))


def test_a_minute_is_closed_when_the_watermark_has_passed_its_end_and_not_before() -> None:
    record = request(START_US, rows(1, rng()))
    state, _ = folded(chunk(record, heartbeat(START_US + MINUTE_US + 4_999_999), made=MADE))
    assert state.closed == START_MINUTE - 1
    assert list(state.open) == [START_MINUTE]
    fold(state, chunk(heartbeat(START_US + MINUTE_US + 5_000_000), made=MADE), settled=True, rules=RULES, references={})
    assert state.closed == START_MINUTE
    assert not state.open
    assert not state.open_marks


def test_an_unsettled_chunk_does_not_move_the_watermark() -> None:
    records = [request(START_US, rows(1, rng())), heartbeat(START_US + 10 * MINUTE_US)]
    state, _ = folded(chunk(*records, made=MADE), settled=False)
    assert state.closed == START_MINUTE - 1
    fold(state, Chunk((), (), caught_up=True), settled=True, rules=RULES, references=REFERENCES)
    assert state.closed == START_MINUTE + 8


def test_a_thousandfold_unit_makes_one_event_that_names_the_column() -> None:
    normal = traffic(rng(), minutes=minutes(30), rows_per_minute=20)
    wrong = traffic(rng(1), minutes=minutes(60, start=30), rows_per_minute=20, scale=1000.0)
    _, events = folded(chunk(*normal, made=MADE), chunk(*wrong, made=MADE, first_seq=len(normal)))
    assert len(events) == 1
    data = json.loads(events[0].body)["data"]
    assert data["feature"] == "f0"
    (epoch, first), (_, last) = data["log_range"]["w0"]
    assert epoch == 1 and 300 < first <= len(normal) < last  # the window that saw it soonest, not all that is held


def test_unchanged_data_makes_none() -> None:
    state, events = folded(chunk(*traffic(rng(), minutes=minutes(120), rows_per_minute=20), made=MADE))
    assert events == []
    assert state.judged[VERSION].judgement.standing is Standing.CLEAR
    assert state.counters.evaluations >= 120


def test_a_column_that_is_missing_from_every_request_makes_an_event() -> None:
    problem = [Problem(SkewKind.ABSENT, "f1", 1)]
    bad: list[Record] = [refused(START_US + i * 1_000_000, problems=problem) for i in range(300)]
    _, events = folded(chunk(*bad, heartbeat(START_US + 8 * MINUTE_US), made=MADE))
    assert [json.loads(event.body)["data"]["feature"] for event in events] == ["f1"]


def test_answers_that_turn_into_nan_make_an_event_about_the_output() -> None:
    records = traffic(rng(), minutes=minutes(10), rows_per_minute=60)
    nan = np.full(1, np.nan).tobytes()
    broken = [
        type(r)(*[Block(1, nan) if name == "outputs" else getattr(r, name) for name in r.__struct_fields__])
        for r in records[:-1]
    ]
    _, events = folded(chunk(*broken, records[-1], made=MADE))
    (event,) = events
    assert json.loads(event.body)["data"]["side"] == "output"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 40), st.booleans())
def test_state_and_events_do_not_depend_on_order_writers_or_chunks(
    seed: int, writers: int, chunk_records: int, wrong: bool
) -> None:
    records = traffic(rng(seed), minutes=minutes(12), rows_per_minute=15, scale=1000.0 if wrong else 1.0)
    rules = replace(RULES, lateness_s=60)
    whole, events = folded(chunk(*records, made=MADE), rules=rules)
    random = Random(seed)
    state, found = State(), []
    seqs = [0] * writers
    for start in range(0, len(records), chunk_records):
        part = records[start : start + chunk_records]
        random.shuffle(part)
        runs = []
        for record in part:
            writer = random.randrange(writers)
            runs.append(Run(f"w{writer}", 1, [(seqs[writer], record)], {0: MADE.schema}))
            seqs[writer] += 1
        found += fold(state, Chunk(tuple(runs), (), True), settled=True, rules=rules, references=REFERENCES)
    assert [event.id for event in found] == [event.id for event in events]
    a, b = store(whole), store(state)
    for name in ("max_at_us", "watermark_us", "closed", "alerts", "counters"):
        assert getattr(a, name) == getattr(b, name)
    assert sorted(a.tracks, key=lambda t: t.key) == sorted(b.tracks, key=lambda t: t.key)
    assert a.open == b.open


def test_a_late_record_is_counted_in_the_windows_and_as_late() -> None:
    records = traffic(rng(), minutes=minutes(10), rows_per_minute=5)
    state, _ = folded(chunk(*records, made=MADE))
    late = request(START_US + MINUTE_US, rows(3, rng()))
    before = state.tracks[STABLE].drift[4].slices[(START_MINUTE + 1) // 4].copy()
    fold(state, chunk(late, made=MADE), settled=True, rules=RULES, references=REFERENCES)
    total = state.tracks[STABLE].drift[4].slices[(START_MINUTE + 1) // 4]
    assert MADE.reference.bins(total - before, 0).sum() == 3
    assert (state.counters.late, state.counters.forgotten) == (1, 0)
    assert of(state)[Outcome.ANSWERED] == 51


def test_a_record_so_late_that_its_windows_are_over_is_counted_as_forgotten() -> None:
    records = traffic(rng(), minutes=minutes(2), rows_per_minute=5)
    state, _ = folded(chunk(*records, made=MADE))
    ancient = request(START_US - 9 * 86_400_000_000, rows(1, rng()))
    fold(state, chunk(ancient, made=MADE), settled=True, rules=RULES, references=REFERENCES)
    assert (state.counters.late, state.counters.forgotten) == (1, 1)
    assert len(state.tracks[STABLE].drift[90].slices) == 1


def test_minutes_are_closed_as_they_are_taken_in_however_much_time_a_chunk_spans() -> None:
    state, most = State(), 0

    class Watching(dict[str, Reference]):
        def get(self, *args):
            nonlocal most
            most = max(most, len(state.open))
            return super().get(*args)

    one = chunk(*traffic(rng(), minutes=minutes(200), rows_per_minute=2), made=MADE)
    fold(state, one, settled=True, rules=RULES, references=Watching(REFERENCES))
    assert most <= 1


def test_a_year_of_silence_is_skipped_and_empties_the_windows() -> None:
    records = traffic(rng(), minutes=minutes(5), rows_per_minute=50)
    state, _ = folded(chunk(*records, made=MADE))
    before = state.counters.evaluations
    fold(
        state,
        chunk(heartbeat(START_US + 365 * 1440 * MINUTE_US), made=MADE),
        settled=True,
        rules=RULES,
        references=REFERENCES,
    )
    assert state.counters.evaluations - before < 180  # each slice of each tier leaves once
    assert state.tracks == {}
    assert state.alerts == {}
    assert state.schemas == {}


def test_what_a_shadow_says_is_counted_and_never_judged() -> None:
    shadows: list[Record] = [
        Shadow(START_US + i, "r", 0, Outcome.ANSWERED, "", 1, 50, Block(1, np.array([np.nan]).tobytes()))
        for i in range(500)
    ]
    state, events = folded(chunk(*shadows, heartbeat(START_US + 5 * MINUTE_US), made=MADE))
    assert events == []
    assert of(state, Key(VERSION, ARM_SHADOW))[Outcome.ANSWERED] == 500
    assert state.judged[VERSION].judgement.standing is Standing.NO_DATA


def test_requests_without_a_version_are_counted_apart() -> None:
    state, _ = folded(chunk(refused(START_US, schema=-1, arm=""), made=MADE))
    assert of(state, Key(UNROUTED, ""))[Outcome.REJECTED] == 1


def test_requests_whose_schema_the_log_has_lost_are_counted_as_nameless() -> None:
    state, _ = folded(chunk(refused(START_US, schema=9), Feedback(START_US, "r", 0, 1, START_US), made=MADE))
    assert (state.counters.nameless, state.counters.feedback, state.counters.records) == (1, 1, 2)


def test_versions_beyond_the_limit_are_refused_and_counted() -> None:
    schemas = {i: Schema(i, f"m{i}", "1", f"sha256:{i}", (), ()) for i in range(5)}
    records: list[tuple[int, Record]] = [(i, refused(START_US, schema=i)) for i in range(5)]
    rules = replace(RULES, keys_max=3)
    state, _ = folded(Chunk((Run("w0", 1, records, schemas),), (), True), rules=rules)
    assert len(state.tracks) == 3
    assert state.counters.refused == 2


def test_counts_beyond_the_memory_limit_are_refused_and_counted() -> None:
    rules = replace(RULES, state_bytes_max=50_000)
    state, _ = folded(chunk(request(START_US, rows(1, rng())), made=MADE), rules=rules)
    assert state.tracks == {}
    assert state.counters.refused == 1


def test_holes_are_counted_by_reason_without_their_numbers() -> None:
    lost = (
        Lost("w0", 1, 0, 5, "gap"),
        Lost("w0", 1, 0, None, "corrupt 17 bytes at 912"),
        Lost("w0", 1, 1, None, "torn"),
        Lost("w0", 1, 1, None, "payload: Expected `object`, got `int`"),
    )
    state, _ = folded(Chunk((), lost, True))
    assert state.counters.lost == {"gap": 5}
    assert state.counters.lost_unknown == {"corrupt": 1, "torn": 1, "unreadable": 1}


def test_minutes_before_judging_begins_fill_the_windows_and_make_no_event() -> None:
    state = State(judge_from=START_MINUTE + 20)
    records = traffic(rng(), minutes=minutes(10), rows_per_minute=50, scale=1000.0)
    assert fold(state, chunk(*records, made=MADE), settled=True, rules=RULES, references=REFERENCES) == []
    assert state.alerts == {}
    more = traffic(rng(), minutes=minutes(15, start=10), rows_per_minute=50, scale=1000.0)
    assert len(fold(state, chunk(*more, made=MADE), settled=True, rules=RULES, references=REFERENCES)) == 1


def test_an_incident_that_ends_is_cleared_when_the_windows_have_forgotten_it() -> None:
    rules = replace(RULES, drift_windows_s=(3600,), cooldown_s=600)
    wrong = traffic(rng(), minutes=minutes(20), rows_per_minute=20, scale=1000.0)
    state, events = folded(chunk(*wrong, made=MADE), rules=rules)
    assert len(events) == 1
    assert state.alerts[VERSION].phase is Phase.FIRING
    normal = traffic(rng(2), minutes=minutes(100, start=20), rows_per_minute=20)
    more = fold(state, chunk(*normal, made=MADE), settled=True, rules=rules, references=REFERENCES)
    assert more == []
    assert [event.id for event in state.take_ended()] == [events[0].id + END]
    assert state.alerts[VERSION].phase is Phase.QUIET


def test_closing_up_to_a_minute_that_is_closed_changes_nothing() -> None:
    state, _ = folded(chunk(*traffic(rng(), minutes=minutes(3), rows_per_minute=5), made=MADE))
    before = store(state)
    assert close(state, START_MINUTE, RULES, REFERENCES) == []
    assert store(state) == before


@pytest.mark.parametrize("arms", [("stable", "canary"), ("stable", "pinned")])
def test_the_arms_of_a_version_are_judged_together(arms: tuple[str, str]) -> None:
    data = rows(60, rng())
    data.floats[:, 0] *= 1000
    records: list[Record] = [request(START_US + i * 1000, data.part(i, i + 1), arm=arms[i % 2]) for i in range(60)] * 2
    _, events = folded(chunk(*records, heartbeat(START_US + 5 * MINUTE_US), made=MADE))
    (event,) = events
    assert json.loads(event.body)["data"]["arms"] == dict.fromkeys(sorted(arms), 60)


def test_an_output_that_moves_in_answers_to_plain_tensors_asks_for_a_training() -> None:
    records = []
    for number in range(600):
        some = rows(10, rng(number))
        moved = request((START_MINUTE + number) * MINUTE_US, replace(some, scores=some.scores * 0.5))
        records.append(Request(**{f: getattr(moved, f) for f in Request.__struct_fields__} | {"features": None}))
    _, events = folded(chunk(*records, heartbeat((START_MINUTE + 602) * MINUTE_US), made=MADE))
    assert len(events) == 1
