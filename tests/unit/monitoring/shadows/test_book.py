"""Pairing: the same whatever the chunks, the writers and the restarts, and bounded."""

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.shadows.room import ACTIVE, BYTES_MAX, QUIET, Room, Unpaired
from monitoring.shadows.said import said
from monitoring.state import State
from monitoring.stored import Stored, restore, store
from service.featurelog.chunk import Run
from service.featurelog.record import PartShadow, Record, Request, Shadow
from tests.unit.monitoring.shadows.made import REFERENCES, START_US, answer, chunk, run, shadow

pytestmark = pytest.mark.slow

RULES = Rules(lateness_s=600)  # order shows nowhere but in `late`


def logs(seed: int, writers: int, n: int = 120) -> dict[str, list[Record]]:
    """Each writer's records: answers, and shadows that come up to 20 records behind them."""
    random = Random(seed)
    found: dict[str, list[tuple[float, Record]]] = {f"w{number}": [] for number in range(writers)}
    for number in range(n):
        records = found[f"w{random.randrange(writers)}"]
        rows = [(random.gauss(0, 1), random.choice(("no", "yes", "new"))) for _ in range(random.choice((1, 1, 3)))]
        records.append((number, answer(number, rows)))
        if random.random() < 0.8:
            others = [(score + random.gauss(0, 1), label) for score, label in rows]
            said_ = None if random.random() < 0.1 else others
            records.append((number + random.uniform(0.1, 20), shadow(number, said_)))
    return {writer: [record for _, record in sorted(r, key=lambda one: one[0])] for writer, r in found.items()}


def folded(pieces: list[Run], restart_at: int | None = None, per_chunk: int = 1) -> State:
    state = State()
    for start in range(0, len(pieces), per_chunk):
        if start == restart_at:
            state = restore(msgspec.msgpack.decode(msgspec.msgpack.encode(store(state)), type=Stored), RULES)
        fold(state, chunk(*pieces[start : start + per_chunk]), settled=False, rules=RULES, references=REFERENCES)
    return state


def cut(records: list[Record], writer: str, sizes: list[int]) -> list[Run]:
    """The records of one writer in runs of these sizes, in turn."""
    found, start = [], 0
    while start < len(records):
        size = sizes[len(found) % len(sizes)]
        found.append(run(records[start : start + size], writer, first_seq=start))
        start += size
    return found


def kept(state: State) -> object:
    return store(state).shadows


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 30))
def test_chunks_and_restarts_do_not_show(seed: int, sizes: list[int], restart_at: int) -> None:
    by_writer = logs(seed, 2)
    whole = folded([run(records, writer) for writer, records in by_writer.items()])
    pieces = [piece for writer, records in by_writer.items() for piece in cut(records, writer, sizes)]
    assert kept(folded(pieces, restart_at)) == kept(whole)
    assert whole.shadows.tracks


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_how_requests_are_spread_over_writers_does_not_show_in_what_is_said(seed: int, writers: int) -> None:
    records = logs(seed, 1)["w0"]
    alone = folded([run(records)])
    of = {record.request_id: f"w{Random(record.request_id).randrange(writers)}" for record in records}
    shares = {f"w{n}": [r for r in records if of[r.request_id] == f"w{n}"] for n in range(writers)}
    spread = folded([run(share, writer) for writer, share in shares.items() if share])
    assert said(spread.shadows, 0, REFERENCES) == said(alone.shadows, 0, REFERENCES)


def test_a_request_with_two_shadows_is_paired_twice_and_one_id_used_twice_with_its_own_time() -> None:
    first, again = answer(0, [(1.0, "no")]), answer(0, [(5.0, "no")], at_us=START_US + 5_000_000)
    records = [first, again, shadow(0, [(1.0, "no")]), shadow(0, [(5.0, "no")], at_us=START_US + 5_000_000)]
    state = folded([run(records)])
    (one,) = said(state.shadows, 0, REFERENCES).compared
    assert (one.requests, one.outputs[0].equal) == (2, 1.0)
    twice = folded([run([first, shadow(0, [(1.0, "no")]), shadow(0, [(1.0, "no")])])])
    assert said(twice.shadows, 0, REFERENCES).compared[0].requests == 2


UNPAIRED = {
    "no_answer": [shadow(0, [(1.0, "no")])],
    "no_answer: it was pinned": [answer(0, [(1.0, "no")], arm="pinned"), shadow(0, [(1.0, "no")])],
    "erased": [
        answer(0, [(1.0, "no")]),
        PartShadow(**msgspec.structs.asdict(shadow(0, [(1.0, "no")])), erased=(1,)),
    ],
    "nameless": [answer(0, [(1.0, "no")]), msgspec.structs.replace(shadow(0, [(1.0, "no")]), schema=9)],
}


@pytest.mark.parametrize("reason", UNPAIRED)
def test_what_cannot_be_paired_is_counted_by_reason(reason: str) -> None:
    state = folded([run(UNPAIRED[reason])])
    assert not state.shadows.tracks
    assert {found.reason: n for found, n in state.shadows.unpaired.items()} == {reason.split(":")[0]: 1}


def test_a_writer_that_began_again_is_not_paired_with_what_it_said_before() -> None:
    state = folded([run([answer(0, [(1.0, "no")])]), run([shadow(0, [(1.0, "no")])], epoch=2)])
    assert state.shadows.unpaired == Counter({Unpaired("payments", "2", "no_answer"): 1})


def answers(n: int) -> list[Record]:
    return [answer(number, [(1.0, "no")]) for number in range(n)]


def take(room: Room, records: list[Record]) -> list[object]:
    shadowed = any(isinstance(record, Shadow) for record in records)
    return list(room.take(run(records), shadowed=shadowed))


def test_a_writer_without_a_shadow_keeps_its_last_answers_and_the_first_shadow_finds_them() -> None:
    room = Room()
    take(room, answers(500))
    assert len(room.answers) == QUIET
    found = take(room, [shadow(500 - QUIET, [(1.0, "no")]), shadow(499 - QUIET, [(1.0, "no")])])
    assert [isinstance(one, Unpaired) for one in found] == [False, True]


def test_a_room_never_holds_more_than_its_bytes_and_is_quiet_again_when_no_shadow_comes() -> None:
    room = Room()
    many = [(1.0, "no")] * 200
    take(room, [answer(0, many), shadow(0, many)])
    for start in range(0, 3000, 500):
        take(room, [answer(number, many) for number in range(start, start + 500)])
        assert room.size <= BYTES_MAX
    assert QUIET < len(room.answers) < 3000
    room.since_shadow = ACTIVE - 1
    take(room, answers(2))
    assert len(room.answers) == QUIET


def test_a_failed_request_is_no_answer() -> None:
    failed = msgspec.structs.replace(answer(0, [(1.0, "no")]), outcome="failed", outputs=None)
    assert isinstance(failed, Request)
    state = folded([run([failed, shadow(0, [(1.0, "no")])])])
    assert sum(state.shadows.unpaired.values()) == 1
