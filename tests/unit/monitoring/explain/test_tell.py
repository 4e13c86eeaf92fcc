"""Stories as the fold tells them: the whole way from records to the sentence in the event."""

import json
from random import Random
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from models.baseline import SPECIALS, ColumnBaseline, column_of_numbers
from models.contract import Column, Kind
from monitoring.checkpoint import Checkpoints
from monitoring.events import BODY_BYTES_MAX, Event
from monitoring.explain.body import story_body
from monitoring.explain.columns import columns_told
from monitoring.explain.ladder import place as slice_of
from monitoring.explain.looks import AnyLook, NewCategory, Nulls, Swapped, TrueShare, Unit
from monitoring.explain.sample import Rows
from monitoring.explain.scene import Scene
from monitoring.explain.stored import StoredSamples, restore, store
from monitoring.explain.story import ArmStory, ColumnStory, Example, Segment, Since, Story, phrase
from monitoring.explain.tell import _segment
from monitoring.explain.where import Found
from monitoring.fold import fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State, Version
from monitoring.status import log_of, versions_of
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Problem, Record, SkewKind
from tests.unit.monitoring.made import (
    MINUTE_US,
    START_MINUTE,
    chunk,
    heartbeat,
    model,
    refused,
    request,
    rows,
)

MADE = model(rows=20_000)
REFERENCES = MADE.references()
VERSION = Version("payments", "1", MADE.schema.digest)
BEFORE, AFTER, ROWS_A_MINUTE = 40, 6, 60


def records(
    seed: int, *, scale: float = 1000.0, city: int | None = None, arms: tuple[str, ...] = ("stable",)
) -> list[Record]:
    """Forty minutes as at training, then f0 × scale, also only where the city is this one."""
    rng, found = np.random.default_rng(seed), []
    for minute in range(BEFORE + AFTER):
        data = rows(ROWS_A_MINUTE, rng)
        if minute >= BEFORE:
            data.floats[:, 0] *= np.where((data.cities == city) | (city is None), scale, 1.0)
        for i in range(ROWS_A_MINUTE):
            at_us = (START_MINUTE + minute) * MINUTE_US + i * 1_000_000
            found.append(request(at_us, data.part(i, i + 1), request_id=f"r{minute}-{i}", arm=arms[i % len(arms)]))
    return [*found, heartbeat((START_MINUTE + BEFORE + AFTER) * MINUTE_US + 10_000_000)]


def folded(found: list[Record], rules: Rules | None = None) -> tuple[State, list[Event]]:
    state = State()
    events = fold(state, chunk(*found, made=MADE), settled=True, rules=rules or Rules(), references=REFERENCES)
    return state, events


def story(events: list[Event]) -> Any:
    (event,) = events
    assert len(event.body) < BODY_BYTES_MAX
    return json.loads(event.body)["data"]["story"]


def test_the_event_says_since_when_what_it_looks_like_and_by_which_requests() -> None:
    state, events = folded(records(1))
    told = story(events)
    change_s = (START_MINUTE + BEFORE) * 60
    assert told["since"]["earliest_s"] <= change_s <= told["since"]["latest_s"]
    (column,) = told["columns"]
    assert (column["column"], column["looks"], column["factor"], column["undo"]) == (
        "f0",
        "unit",
        1000.0,
        [1000.0, 0.0],
    )
    assert told["cause"] == "data"
    assert len(told["examples"]) == 5
    assert all(int(one["request_id"][1:].split("-")[0]) >= BEFORE for one in told["examples"])
    assert "`f0` arrives 1000 times too large (looks like a change of unit) in all rows" in told["sentence"]
    (status,) = versions_of(state, Rules())
    assert status.alert.story == told


def test_only_one_city_is_told_as_a_segment() -> None:
    told = story(folded(records(2, city=3))[1])
    assert told["segment"] == {"feature": "city", "value": "riga"}
    assert told["columns"][0]["looks"] == "unit"
    assert "where `city` is riga, and in no others" in told["sentence"]


def test_all_arms_alike_are_told_to_be_the_data() -> None:
    told = story(folded(records(3, arms=("stable", "pinned")))[1])
    assert {(arm["arm"], arm["hit"]) for arm in told["arms"]} == {("stable", True), ("pinned", True)}
    assert "all arms alike" in told["sentence"]


def test_refused_rows_are_told_from_counts() -> None:
    problem = [Problem(SkewKind.ABSENT, "f1", 1)]
    normal = records(4, scale=1.0)[:-1]
    bad: list[Record] = [
        refused((START_MINUTE + BEFORE + AFTER) * MINUTE_US + i * 500_000, problems=problem) for i in range(600)
    ]
    told = story(folded([*normal, *bad, heartbeat((START_MINUTE + BEFORE + AFTER + 6) * MINUTE_US)])[1])
    assert told["columns"][0]["column"] == "f1"
    assert told["columns"][0]["looks"] == "column_missing"


@pytest.mark.parametrize("seed", range(3))
def test_the_story_does_not_depend_on_order_writers_or_chunks(seed: int) -> None:
    whole, rules = records(5), Rules(lateness_s=60)
    expected = folded(whole, rules)[1]
    random, state, found = Random(seed), State(), []
    seqs = [0] * 3
    for start in range(0, len(whole), 50):
        part = whole[start : start + 50]
        random.shuffle(part)
        runs = []
        for record in part:
            writer = random.randrange(3)
            runs.append(Run(f"w{writer}", 1, [(seqs[writer], record)], {0: MADE.schema}))
            seqs[writer] += 1
        found += fold(state, Chunk(tuple(runs), (), True), settled=True, rules=rules, references=REFERENCES)
    assert story(found) == story(expected)


def test_a_restart_between_changes_nothing(tmp_path: "Any") -> None:
    whole, rules = records(6), Rules()
    expected = folded(whole)[1]
    state, found = State(), []
    checkpoints = Checkpoints(tmp_path)
    for place, start in enumerate(range(0, len(whole), 400)):
        part = chunk(*whole[start : start + 400], made=MADE, first_seq=start)
        found += fold(state, part, settled=True, rules=rules, references=REFERENCES)
        checkpoints.save({}, state)
        _, state = checkpoints.load(rules)
        assert place < 100
    assert found == expected
    again = restore(msgspec.msgpack.decode(msgspec.msgpack.encode(store(state.samples)), type=StoredSamples))
    assert store(again) == store(state.samples)


def test_what_does_not_fit_into_the_state_is_counted_and_told_from_counts_alone() -> None:
    state, events = folded(records(7), Rules(state_bytes_max=3 * 1024 * 1024))
    assert not state.samples.ladders
    assert state.samples.unsampled == (BEFORE + AFTER) * ROWS_A_MINUTE
    assert story(events)["columns"][0]["looks"] == "unrecognised"


def broken(state: State) -> None:
    """A slice two days before the log that cannot be joined with any other."""
    ladder = state.samples.ladders[VERSION, "stable"]
    at = slice_of(START_MINUTE - 2880, START_MINUTE)
    assert at is not None
    ladder.slices[at] = Rows.none(ladder.columns)._replace(nulls=np.zeros((0, 1), dtype=np.bool_))


def test_a_story_that_fails_stops_no_event_and_is_counted() -> None:
    whole, (expected,) = records(9), folded(records(9))[1]
    state, _ = folded(whole[: BEFORE * ROWS_A_MINUTE])
    broken(state)
    rest = chunk(*whole[BEFORE * ROWS_A_MINUTE :], made=MADE, first_seq=BEFORE * ROWS_A_MINUTE)
    (event,) = fold(state, rest, settled=True, rules=Rules(), references=REFERENCES)
    assert event.id == expected.id
    assert json.loads(event.body)["data"]["story"] is None
    assert log_of(state, {}, caught_up=True, lag_bytes=0).counters["untold"] == 1
    (untold,) = state.take_untold()
    assert (untold.version, state.take_untold()) == (VERSION, [])
    assert "ValueError" in untold.why


def test_samples_count_as_state_and_go_with_their_version() -> None:
    state, _ = folded(records(8, scale=1.0))
    ladder = state.samples.ladders[VERSION, "stable"]
    held = sum(rows.n for rows in ladder.slices.values())
    assert held > 100
    assert state.reserved_bytes(Rules()) > state.samples.reserved_bytes() > held * 100
    late = heartbeat((START_MINUTE + 40_000) * MINUTE_US)
    fold(state, chunk(late, made=MADE, first_seq=10**6), settled=True, rules=Rules(), references=REFERENCES)
    assert not state.samples.ladders


NO_NULLS = np.zeros(10_000, dtype=np.bool_)


def _some(name: str) -> Any:
    texts = {"other", "value", "what", "old", "new", "example", "into", "category", "end", "came", "expected"}
    if name == "inverted":
        return True
    return "text" if name in texts else ("a", "b") if name == "names" else 3 if name == "rows" else 0.5


FULL = Story(
    columns=tuple(ColumnStory(f"c{i}" * 100, "feature", NewCategory(names=("x" * 64,) * 3), 10) for i in range(6)),
    since=Since(1_760_000_000, 1_759_999_900, 1_760_000_100),
    segment=Segment("f" * 500, "v" * 500),
    arms=tuple(ArmStory("1" * 200, f"arm{i}" * 50, True, 100) for i in range(16)),
    moved_with_it=("o" * 400,) * 6,
    cause="data",
    examples=tuple(Example("i" * 128, 1, 1.0) for _ in range(5)),
)


@pytest.mark.parametrize("chars", [120, 24])
def test_a_story_is_bounded_by_the_length_of_a_name(chars: int) -> None:
    assert len(json.dumps(story_body(FULL, chars))) < 3500 + 75 * chars


LOOKS: list[AnyLook] = [
    msgspec.convert(
        {"looks": kind.__struct_config__.tag, **{name: _some(name) for name in kind.__struct_fields__}}, AnyLook
    )
    for kind in get_args(AnyLook)
]


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_has_its_words(look: AnyLook) -> None:
    assert phrase(look)
    assert msgspec.convert(msgspec.to_builtins(look), AnyLook) == look


def test_nulls_are_told_by_how_often_they_come_now() -> None:
    def sentence(look: AnyLook, segment: Segment | None = None) -> str:
        return Story(columns=(ColumnStory("age", "feature", look),), segment=segment).sentence

    burst = Nulls(what="null", trained=0.3, now=0.6, share=0.43)
    assert sentence(burst) == "`age` is null in 60 % of the rows (at training 30 %)"
    assert sentence(Nulls(what="NaN", trained=0.0, now=1.0)) == "`age` is NaN in all rows (never at training)"
    where = " where `mobile` is true, and in no others"
    assert sentence(burst, Segment("mobile", "true")) == f"`age` is null in 60 % of the rows (at training 30 %){where}"


def test_a_segment_is_said_of_the_column_that_has_it() -> None:
    columns = (
        ColumnStory("a", "feature", Unit(factor=10.0)),
        ColumnStory("b", "feature", Unit(factor=100.0, share=0.2)),
    )
    assert Story(columns=columns, segment=Segment("city", "riga")).sentence == (
        "`a` arrives 10 times too large (looks like a change of unit) in all rows where `city` is riga, and in no others; "
        "`b` arrives 100 times too large (looks like a change of unit) in about 20 % of the rows"
    )


@pytest.mark.parametrize(
    ("kind", "what", "words"),
    [
        (SkewKind.UNKNOWN, "new", "come with names that the contract does not have, so they are refused"),
        (SkewKind.SHAPE, "shape", "come in a wrong shape, so they are refused"),
    ],
)
def test_a_fault_of_whole_rows_is_named_with_its_share(kind: SkewKind, what: str, words: str) -> None:
    begin = (START_MINUTE + BEFORE + AFTER) * MINUTE_US
    good = [request(begin + i * 500_000, rows(1, np.random.default_rng(i))) for i in range(600)]
    bad: list[Record] = [refused(begin + i * 500_000, problems=[Problem(kind, "", 1)]) for i in range(600)]
    found = [*records(4, scale=1.0)[:-1], *good, *bad, heartbeat(begin + 6 * MINUTE_US)]
    told = story(folded(found)[1])
    (fault,) = told["row_faults"]
    assert fault == {"what": what, "share": pytest.approx(0.5, abs=0.05)}
    assert told["columns"] == []
    assert told["sentence"].endswith(f" % of the rows {words}")


ALIKE = {"kind": Kind.STRING, "categories": ("a", "b", "c")}
TEXTS = (
    ColumnBaseline(name="home", counts=(*[0] * SPECIALS, 6000, 3000, 1000), **ALIKE),
    ColumnBaseline(name="away", counts=(*[0] * SPECIALS, 1000, 3000, 6000), **ALIKE),
    ColumnBaseline(name="kind", kind=Kind.STRING, categories=("x", "y"), counts=(*[0] * SPECIALS, 5000, 5000)),
)


def drawn(shares: list[tuple[float, ...]], n: int, seed: int) -> Rows:
    """Codes by these shares; the last one is a text outside the categories."""
    rng = np.random.default_rng(seed)
    cells = [rng.choice([*range(len(share) - 1), -1], n, p=share) for share in shares]
    codes = np.array(cells, dtype=np.int64).T
    texts = np.zeros(n, dtype=np.object_)
    texts[:] = [tuple((j, "xyz"[j]) for j in range(len(shares)) if row[j] < 0) for row in codes]
    return Rows.none(len(shares))._replace(
        hashes=np.arange(n, dtype=np.uint64), cells=codes, nulls=np.zeros(codes.shape, np.bool_), texts=texts
    )


@pytest.mark.parametrize("before", [0, 600])
def test_columns_of_text_that_hold_each_others_values_are_swapped(before: int) -> None:
    reference = Reference.laid_out(TEXTS)
    usual = [(0.6, 0.3, 0.1, 0.0), (0.1, 0.3, 0.6, 0.0), (0.5, 0.5, 0.0)]
    counts = np.zeros(reference.size, dtype=np.int64)
    swapped = drawn([usual[1], usual[0], usual[2]], 400, 2)
    scene = Scene(reference, counts, 400, drawn(usual, before, 1), swapped)
    told = columns_told(scene, [0, 1])
    assert [(one.place, one.look) for one in told] == [(0, Swapped(other="away")), (1, Swapped(other="home"))]
    alike = scene._replace(now=drawn([(0.1, 0.3, 0.6, 0.0), *usual[1:]], 400, 3))
    assert not any(isinstance(one.look, Swapped) for one in columns_told(alike, [0]))
    other = scene._replace(now=drawn([(0.0, 0.0, 0.0, 1.0), usual[1], usual[2]], 400, 4))
    assert isinstance(columns_told(other, [0])[0].look, NewCategory)


def test_a_bool_that_moves_is_told_and_its_values_are_named_as_segments() -> None:
    rng = np.random.default_rng(5)
    column = column_of_numbers(Column(name="on", kind=Kind.BOOL), (np.arange(10_000) % 10 < 3).astype(float), NO_NULLS)
    reference = Reference.laid_out([column])
    cells = (rng.random((500, 1)) < 0.6).astype(np.int64)
    now = Rows.none(1)._replace(hashes=np.arange(500, dtype=np.uint64), cells=cells, nulls=np.zeros((500, 1), np.bool_))
    scene = Scene(reference, np.zeros(reference.size, dtype=np.int64), 500, Rows.none(1), now)
    (one,) = columns_told(scene, [0])
    assert isinstance(one.look, TrueShare)
    assert (one.look.trained, one.look.now) == (0.3, pytest.approx(0.6, abs=0.07))
    assert _segment(scene, Found(0, SPECIALS + 1, 1.0)) == Segment("on", "true")


def test_a_sentence_is_a_function_of_the_facts() -> None:
    told = Story(
        columns=(
            ColumnStory("amount", "feature", Unit(factor=0.01, share=0.3)),
            ColumnStory("fee", "feature", Unit(factor=0.01, share=0.3), like="amount", why="alike"),
        ),
        since=Since(1_760_000_400, 1_760_000_280, 1_760_000_520),
        moved_with_it=("risk",),
        cause="data",
        arms=(ArmStory("1", "stable", True, 300), ArmStory("2", "canary", False, 300)),
    )
    assert told.sentence == (
        "since about 2025-10-09 09:00 UTC (± 2 min) `amount` arrives 100 times too small (looks like a change of unit) in "
        "about 30 % of the rows; `fee` is hit in the same way; `risk` moved with it (in arm `stable`, not in `canary`)"
    )
