"""Segments from records to incidents: counted, learnt, judged on their own, and the same however the log is split."""

import json
from dataclasses import replace as replaced

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weekly import HOURS as WEEK_HOURS
from monitoring.budget import Part, looks_per_30_days
from monitoring.fold import fold
from monitoring.judge import SMALL_SAMPLE_MARGIN, Window, alphas
from monitoring.reference import Reference
from monitoring.replay import replay
from monitoring.rules import Rules
from monitoring.segments.count import count_segments
from monitoring.segments.metrics import segment_metrics
from monitoring.skew import checks_of
from monitoring.state import Key, State, Version
from monitoring.status import versions_of
from monitoring.stored import Stored, restore, store
from monitoring.tally import tally_requests
from service.featurelog.chunk import Chunk
from service.featurelog.record import Block, Record
from tests.unit.monitoring.made import CITIES, MINUTE_US, START_MINUTE, Rows, chunk, heartbeat, model, request, rows

MADE = model(floats=2)
DECLARED = ("city", "f0 > 0.5 and f1 <= 0")
HOUR = 60
RULES = Rules(
    drift_windows_s=(3600,),
    segments={"payments": DECLARED},
    segment_windows_s=(3600,),
    segment_learning_s=4 * 3600,
    segment_rows_min=500,
)
REFERENCE = Reference.of(MADE.schema, MADE.baseline, DECLARED, 16)
REFERENCES = {MADE.schema.digest: REFERENCE}
VERSION = Version("payments", "1", MADE.schema.digest)


def drawn(n: int, seed: int) -> Rows:
    return rows(n, np.random.default_rng(seed), floats=2)


def test_each_segment_counts_the_rows_that_are_in_it() -> None:
    data = drawn(400, 1)
    counts = count_segments([request(0, data)], REFERENCE)
    assert set(counts) == REFERENCE.segments.names
    inside = (data.floats[:, 0] > 0.5) & (data.floats[:, 1] <= 0)
    for name, mask in (("city=oslo", data.cities == CITIES.index("oslo")), (DECLARED[1], inside)):
        part = Rows(data.floats[mask], data.cities[mask], data.scores[mask])
        alone = tally_requests([request(0, part)], REFERENCE).columns
        assert alone is not None
        assert counts[name].tolist() == alone.tolist()


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 2**31))
def test_the_counts_of_two_parts_are_the_counts_of_the_whole(n: int, cut: int, seed: int) -> None:
    data = drawn(n, seed)
    requests = [request(0, data.part(i, i + 1)) for i in range(n)]
    whole, first, second = (count_segments(some, REFERENCE) for some in (requests, requests[:cut], requests[cut:]))
    for name in REFERENCE.segments.names:
        parts = [part[name] for part in (first, second) if name in part]
        assert sum(parts, np.zeros(REFERENCE.size, np.int64)).tolist() == (
            whole[name].tolist() if name in whole else [0] * REFERENCE.size
        )


def test_rows_whose_answer_contradicts_the_schema_are_in_no_segment() -> None:
    sound = request(0, drawn(5, 2))
    odd = [
        msgspec.structs.replace(sound, outputs=Block(4, bytes(32))),
        msgspec.structs.replace(sound, features=Block(5, b"")),
    ]
    counted, alone = count_segments([sound, *odd], REFERENCE), count_segments([sound], REFERENCE)
    assert {name: counts.tolist() for name, counts in counted.items()} == {n: c.tolist() for n, c in alone.items()}
    assert count_segments(odd, REFERENCE) == {}


def records(
    hours: int, seed: int, *, oslo: float = 0.0, from_hour: int = 10**9, arms: tuple[str, ...] = ("stable",)
) -> list[Record]:
    """Ten minutes of each hour with 200 rows; from an hour on f0 of Oslo's rows is moved."""
    found: list[Record] = []
    rng = np.random.default_rng(seed)
    for minute in range(START_MINUTE, START_MINUTE + hours * HOUR, 6):
        data = rows(100, rng, floats=2)
        if minute >= START_MINUTE + from_hour * HOUR:
            data.floats[data.cities == CITIES.index("oslo"), 0] += oslo
        for i, arm in enumerate(arms):
            part = data.part(i * len(data) // len(arms), (i + 1) * len(data) // len(arms))
            found.append(request(minute * MINUTE_US + i, part, arm=arm))
    return found


def end(some: list[Record]) -> Record:
    """The heartbeat that closes their last minute."""
    return heartbeat((some[-1].at_us // MINUTE_US + 1) * MINUTE_US + 10_000_000)


def folded(
    some: list[Record], rules: Rules = RULES, references: dict[str, Reference] = REFERENCES
) -> tuple[State, list[dict]]:
    state = State()
    events = fold(state, chunk(*some, end(some), made=MADE), settled=True, rules=rules, references=references)
    return state, [json.loads(event.body)["data"] for event in events]


MOVED = records(12, seed=3, oslo=0.7, from_hour=8)


def test_what_moves_in_one_segment_is_an_incident_of_the_version_that_names_the_segment() -> None:
    _, (event,) = folded(MOVED)
    assert event["segment"] == "city=oslo"
    assert (event["feature"], event["check"]) == ("f0", "drift")
    assert "in the segment 'city=oslo'" in event["reason"]
    assert "from what the segment was" in event["reason"]
    assert {also.get("segment") for also in event["also"]} <= {"city=oslo", DECLARED[1]}
    assert event["window"]["rows"] < 400  # of the segment, not of all


def test_unchanged_segments_are_learnt_and_quiet() -> None:
    state, events = folded(records(12, seed=4))
    assert events == []
    (version,) = versions_of(state, RULES, REFERENCES)
    assert [segment.segment for segment in version.segments] == [s.name for s in REFERENCE.segments.segments]
    for segment in version.segments[:4]:
        assert segment.learnt_until_s is not None
        assert segment.learnt_rows >= RULES.segment_rows_min
        assert {check.verdict for check in segment.drift} == {"stable"}
    assert not any(check.segment for check in state.judged[VERSION].judgement.latched)


def test_what_a_segment_is_held_against_is_made_once_for_each_reference_of_its_version() -> None:
    state, _ = folded(records(12, seed=4))
    learnt, other = state.learnt[VERSION, "city=oslo"], replaced(REFERENCE, hours=None)
    own = learnt.reference(REFERENCE)
    assert learnt.reference(REFERENCE) is own
    assert learnt.reference(other) is not own
    assert learnt.reference(other).starts is other.starts
    assert np.array_equal(learnt.reference(other).baseline, own.baseline)


def test_a_segment_that_is_rare_is_learnt_longer() -> None:
    state, _ = folded(records(12, seed=4), rules=replaced(RULES, segment_rows_min=2000))
    (version,) = versions_of(state, RULES, REFERENCES)
    learnt = {segment.segment: segment.learnt_until_s for segment in version.segments}
    assert learnt[DECLARED[1]] is None
    assert learnt["city=oslo"] is not None


def test_the_arms_of_a_version_are_one_segment() -> None:
    one, _ = folded(records(6, seed=5))
    two, _ = folded(records(6, seed=5, arms=("stable", "canary")))
    assert {key.arm for key in two.tracks} == {"stable", "canary"}
    for name in REFERENCE.segments.names:
        assert one.learnt[VERSION, name].counts.tolist() == two.learnt[VERSION, name].counts.tolist()
        assert one.learnt[VERSION, name].until == two.learnt[VERSION, name].until


@pytest.mark.parametrize("writers", [3, 16])
def test_the_same_records_over_many_writers_in_any_order_make_the_same_events_and_references(writers: int) -> None:
    single, (event,) = folded(MOVED)
    whole = chunk(*MOVED, end(MOVED), made=MADE).runs[0]
    spread = []
    for writer in range(writers):
        mine = whole.records[writer::writers]
        spread.append(whole._replace(writer=f"w{writer}", records=[(i, record) for i, (_, record) in enumerate(mine)]))
    state = State()
    events = fold(
        state, Chunk(tuple(reversed(spread)), (), caught_up=True), settled=True, rules=RULES, references=REFERENCES
    )
    (other,) = [json.loads(event.body)["data"] for event in events]
    assert {k: v for k, v in other.items() if k != "log_range"} == {k: v for k, v in event.items() if k != "log_range"}
    for of, learnt in single.learnt.items():
        assert state.learnt[of].counts.tolist() == learnt.counts.tolist()


def test_a_state_with_segments_comes_back_and_folds_on_as_it_would_have() -> None:
    half = len(MOVED) // 2
    state, events = State(), []
    events += fold(state, chunk(*MOVED[:half], made=MADE), settled=True, rules=RULES, references=REFERENCES)
    held = store(state)
    back = restore(msgspec.msgpack.decode(msgspec.msgpack.encode(held), type=Stored), RULES)
    assert store(back) == held
    rest = chunk(*MOVED[half:], end(MOVED), made=MADE, first_seq=half)
    assert (
        [e.body for e in fold(back, rest, settled=True, rules=RULES, references=REFERENCES)]
        == [e.body for e in fold(state, rest, settled=True, rules=RULES, references=REFERENCES)]
        != []
    )


def test_a_replay_that_is_given_what_was_learnt_sends_the_same_bytes() -> None:
    state = State()
    whole = chunk(*MOVED, end(MOVED), made=MADE)
    (event,) = fold(state, whole, settled=True, rules=RULES, references=REFERENCES)
    piece = {"from_minute": START_MINUTE + 7 * HOUR, "to_minute": START_MINUTE + 12 * HOUR}
    again = list(replay([(whole, True)], RULES, lambda _: REFERENCES, **piece, learnt=state.learnt))
    assert [e.body for e in again] == [event.body]
    unlearnt = list(replay([(whole, True)], RULES, lambda _: REFERENCES, **piece))
    assert not any(json.loads(e.body)["data"]["segment"] for e in unlearnt)  # nobody knows how Oslo was


def test_segments_are_judged_the_same_beside_a_reference_by_hour_of_the_week() -> None:
    by_hour = replaced(REFERENCE, hours=np.tile(REFERENCE.baseline // WEEK_HOURS, (WEEK_HOURS, 1)))
    state, (event,) = folded(MOVED, references={MADE.schema.digest: by_hour})
    assert event["segment"] == "city=oslo"
    assert event["window"]["rows"] < 400
    shown = versions_of(state, RULES, {MADE.schema.digest: by_hour})[0].segments
    assert {len(segment.drift) for segment in shown} == {4}


def test_a_segment_that_is_declared_no_more_holds_no_alert() -> None:
    state, _ = folded(MOVED)
    assert state.alerts[VERSION].latched
    plain = {MADE.schema.digest: MADE.reference}
    later = [request((START_MINUTE + 13 * HOUR + minute) * MINUTE_US, drawn(100, minute)) for minute in range(1, 30)]
    fold(
        state,
        chunk(*later, heartbeat((START_MINUTE + 15 * HOUR) * MINUTE_US), made=MADE, first_seq=9999),
        settled=True,
        rules=RULES,
        references=plain,
    )
    assert not state.alerts[VERSION].latched


def test_segments_take_no_place_of_a_version_and_none_beyond_the_bytes() -> None:
    state, _ = folded(records(2, seed=6), rules=replaced(RULES, keys_max=1))
    assert {key.segment for key in state.tracks} == {"", *REFERENCE.segments.names}
    tight = State().reserved_bytes(RULES, "", REFERENCE.size) + 1000
    small, _ = folded(records(2, seed=6), rules=replaced(RULES, state_bytes_max=tight))
    assert set(small.tracks) == {Key(VERSION, "stable")}
    assert small.counters.unsegmented > 0
    assert small.counters.refused == 0


def test_all_segments_together_have_their_part_of_the_budget() -> None:
    rules = replaced(RULES, segment_windows_s=(3600, 86_400), budget_alarms_per_30_days=2.0)
    spent = 0.0
    for scale in rules.segment_scales.values():
        level = alphas(rules, REFERENCE, 3, Window(scale, 0, np.zeros(REFERENCE.size, np.int64), segment="city=oslo"))
        checks = level.drift * SMALL_SAMPLE_MARGIN * len(REFERENCE.judged) + level.skew * checks_of(REFERENCE)
        spent += 3 * len(REFERENCE.segments.segments) * looks_per_30_days(scale) * checks
    assert spent == pytest.approx(2.0 * Part.SEGMENTS.value)


def test_segments_are_shown_and_their_series_are_bounded() -> None:
    state, _ = folded(MOVED)
    reference = Reference.of(MADE.schema, MADE.baseline, (*DECLARED, "f9 > 1"), 16)
    status = versions_of(state, RULES, {MADE.schema.digest: reference})
    assert [refused.declared for refused in status[0].segments_refused] == ["f9 > 1"]
    shown = {(s.name, *s.labels.values()): s.value for family in segment_metrics(status) for s in family.samples}
    name = "plumbline_monitor_segment_drifted"
    assert shown[name, "payments", "1", "city=oslo", "feature", "f0", "drift"] == 1
    assert shown[name, "payments", "1", "city=riga", "feature", "f0", "drift"] == 0
    assert shown["plumbline_monitor_segments_refused", "payments", "1"] == 1
