import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.labels import stored
from monitoring.labels.book import FATES, TRACKS_MAX, Book, Subject
from monitoring.labels.cohorts import Head
from monitoring.labels.said import said
from monitoring.labels.track import LabelRules
from service.featurelog.record import Feedback, Request
from tests.unit.monitoring.labels.made import DAY, RULES, START_MINUTE, SUBJECT, Folded, binary, folded, label, request


def counts(made: Folded) -> dict[str, int]:
    return {name: n for name, n in made.book.counters.items() if n}


def heads(made: Folded, closed: int) -> dict[str, int]:
    vector = made.book.tracks[SUBJECT].cohorts.window(30 * 86_400, closed, made.ask)
    return {head.name: int(vector[head]) for head in Head if head < Head.REQUESTS and vector[head]}


def test_a_label_finds_its_row_however_late_and_counts_where_it_was_predicted() -> None:
    made = folded()
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.2, 0.9]))
    later = START_MINUTE + 20 * DAY
    made.minute(later, label(later, "a", 1, row=1))
    assert counts(made) == {"received": 1, "joined": 1}
    assert heads(made, later) == {"ROWS": 2, "ENTERED": 2, "LABELLED": 1}
    (told,) = said(made.book, later, {"payments": RULES}, {}, {}, 100).versions
    assert [window.labelled for window in told.windows] == [0, 0, 1]
    assert told.windows[2].delay_s["p50"] == pytest.approx(20 * 86_400, rel=0.2)


def test_a_label_of_the_minute_of_its_prediction_is_joined_whichever_was_read_first() -> None:
    made = folded()
    records: list[Request | Feedback] = [
        label(START_MINUTE, "a", 1, second=3),
        request(START_MINUTE, "a", [0.2], second=1),
    ]
    for record in records:  # in chunks of one
        asks = {SUBJECT: made.ask} if isinstance(record, Request) else {}
        requests = {SUBJECT: [record]} if isinstance(record, Request) else {}
        made.book.take(START_MINUTE, requests, [record] if isinstance(record, Feedback) else [], asks)
    made.book.close(START_MINUTE, {"payments": RULES})
    assert counts(made) == {"received": 1, "joined": 1}


def test_every_label_has_one_fate() -> None:
    made = folded()
    minute = START_MINUTE
    made.minute(minute, request(minute, "a", [0.2, 0.9, 0.4, 0.5]))
    made.minute(
        minute + 1,
        label(minute + 1, "a", 1, row=0),
        label(minute + 1, "a", None, row=1),
        label(minute + 1, "a", "?", row=2),
        label(minute + 1, "nobody", 1),
    )
    made.minute(minute + 2, label(minute + 2, "a", True, row=0), label(minute + 2, "a", 0, row=0, second=1))
    assert counts(made) == {
        "received": 6, "joined": 1, "unknowable": 1, "misfit": 1, "unknown": 1, "duplicate": 1, "changed": 1,
    }  # fmt: skip


def test_of_two_labels_in_one_minute_the_first_counts() -> None:
    made = folded()
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.2]))
    made.minute(
        START_MINUTE + 1,
        label(START_MINUTE + 1, "a", 0, second=9),
        label(START_MINUTE + 1, "a", 1, second=1),
    )
    assert counts(made) == {"received": 2, "joined": 1, "changed": 1}
    assert made.book.tracks[SUBJECT].waiting.done["value"].tolist() == [1.0]


def test_rows_without_a_probability_are_counted_and_not_waited_for() -> None:
    made = folded()
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.2, float("nan"), 1.5]))
    assert heads(made, START_MINUTE) == {"ROWS": 1, "ENTERED": 1, "UNSCORED": 2}


def test_beyond_the_limit_a_sample_waits_and_labels_of_the_others_are_unsampled() -> None:
    made = folded(rules=dataclasses.replace(RULES, rows_max=100))
    made.minute(START_MINUTE, *(request(START_MINUTE, f"r{number}", [0.3]) for number in range(400)))
    made.minute(START_MINUTE + 1, *(label(START_MINUTE + 1, f"r{number}", 0) for number in range(400)))
    assert counts(made) == {"received": 400, "joined": 100, "unsampled": 300}
    assert len(made.book.tracks[SUBJECT].waiting.done) == 100


def test_a_row_is_not_waited_for_longer_than_the_limit() -> None:
    made = folded(rules=dataclasses.replace(RULES, wait_s=3600))
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.2]))
    made.minute(START_MINUTE + 61, label(START_MINUTE + 61, "a", 1))
    assert counts(made) == {"received": 1, "unknown": 1}
    assert heads(made, START_MINUTE + 61)["EXPIRED"] == 1


def test_a_version_that_was_silent_for_longest_makes_room() -> None:
    book, rules = Book(), {"payments": RULES}
    for number in range(TRACKS_MAX + 1):
        subject = Subject("payments", str(number), f"sha256:{number}")
        minute = START_MINUTE + number
        book.take(minute, {subject: [request(minute, "a", [0.5])]}, [], {subject: binary()})
        book.close(minute, rules)
    assert len(book.tracks) == TRACKS_MAX
    assert "0" not in {subject.version for subject in book.tracks}
    assert book.counters["forgotten_versions"] == 1


def test_a_version_is_forgotten_when_nothing_of_it_can_come_any_more() -> None:
    made = folded()
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.5]))
    made.minute(START_MINUTE + 44 * DAY)
    assert SUBJECT in made.book.tracks
    made.minute(START_MINUTE + 46 * DAY)
    assert made.book.tracks == {}


def test_labels_count_for_the_alarm_when_their_prediction_is_old_enough() -> None:
    made = folded(rules=dataclasses.replace(RULES, mature_s=7200))
    made.minute(START_MINUTE, request(START_MINUTE, "a", [0.5]))
    made.minute(START_MINUTE + 1, label(START_MINUTE + 1, "a", 1))
    track = made.book.tracks[SUBJECT]
    assert (len(track.held), track.learning.rows) == (1, 0)
    (change,) = list(made.book.changes({"payments": made.rules}))
    assert change == START_MINUTE + 120
    assert made.minute(change) == {SUBJECT}
    assert (len(track.held), track.learning.rows) == (0, 1)


def test_labelled_rows_that_wait_to_count_are_bounded_and_what_is_let_go_is_counted() -> None:
    made = folded(rules=dataclasses.replace(RULES, rows_max=50, mature_s=30 * 86_400))
    for minute in range(START_MINUTE, START_MINUTE + 20):
        names = [f"{minute}-{number}" for number in range(20)]
        made.minute(
            minute,
            *(request(minute, name, [0.3]) for name in names),
            *(label(minute, name, 0, second=1) for name in names),
        )
    track = made.book.tracks[SUBJECT]
    assert counts(made) == {"received": 400, "joined": 400, "uncounted": 350}
    assert len(track.held) == 50
    assert sorted(track.held["key"].tolist()) == track.waiting.done["key"].tolist()  # the lowest keys of all
    assert said(made.book, START_MINUTE + 20, {"payments": made.rules}, {}, {}, 100).counters["uncounted"] == 350
    assert heads(made, START_MINUTE + 20)["LABELLED"] == 400


def test_a_book_that_was_written_without_ranks_is_read_and_says_its_auc_as_before() -> None:
    made, rng = folded(), np.random.default_rng(7)
    for number in range(300):
        name, score = f"r{number}", float(rng.uniform())
        hit = int(rng.uniform() < score)
        made.minute(START_MINUTE, request(START_MINUTE, name, [score]), label(START_MINUTE, name, hit, second=1))
    written = stored.store(made.book)
    before = msgspec.structs.replace(written, tracks=[msgspec.structs.replace(written.tracks[0], ranks={})])
    told = []
    for one in (written, before):
        book = stored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=stored.StoredBook))
        (version,) = said(book, START_MINUTE, {"payments": RULES}, {}, {}, 100).versions
        told.append(version.windows[0].measures[0])
    (now, then) = told
    assert now.realised is not None and then.realised == pytest.approx(now.realised, abs=0.01)
    assert then.high is not None and now.high is not None and then.high > now.high


def minutes_of(rng: np.random.Generator, length: int) -> dict[int, list[Request | Feedback]]:
    """Requests of one to three rows, labels of some of them up to an hour later, some twice or of nobody."""
    found: dict[int, list[Request | Feedback]] = {START_MINUTE + offset: [] for offset in range(length)}
    for offset in range(length):
        for number in range(int(rng.integers(0, 4))):
            name, rows = f"q{offset}-{number}", int(rng.integers(1, 4))
            found[START_MINUTE + offset].append(request(START_MINUTE + offset, name, rng.uniform(size=rows).tolist()))
            for row in range(rows):
                at = START_MINUTE + offset + int(rng.integers(0, 60))
                if at in found:
                    value = [0, 1, None, "odd"][int(rng.integers(0, 4))]
                    again = [label(at, name, value, row=row, second=int(rng.integers(0, 60)))] * int(rng.integers(1, 3))
                    found[at].extend(again)
    return found


def as_bytes(book: Book) -> bytes:
    return msgspec.msgpack.encode(stored.store(book))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neither_order_nor_chunks_nor_restarts_show(seed: int) -> None:
    rng = np.random.default_rng(seed)
    minutes = minutes_of(rng, 45)
    rules = dataclasses.replace(RULES, rows_max=30, wait_s=1200)
    straight, cut = folded(rules=rules), folded(rules=rules)
    for number, records in minutes.items():
        straight.minute(number, *records)
        shuffled = [records[place] for place in rng.permutation(len(records))]
        border = int(rng.integers(0, len(records) + 1))
        for part in (shuffled[:border], shuffled[border:]):
            requests = [record for record in part if isinstance(record, Request)]
            labels = [record for record in part if isinstance(record, Feedback)]
            cut.book.take(number, {SUBJECT: requests}, labels, {SUBJECT: cut.ask} if requests else {})
            if rng.uniform() < 0.1:
                cut.book = stored.restore(msgspec.msgpack.decode(as_bytes(cut.book), type=stored.StoredBook))
        cut.book.close(number, {"payments": rules})
    assert as_bytes(cut.book) == as_bytes(straight.book), f"seed {seed}"
    fates = straight.book.counters
    assert fates["received"] == sum(fates[name] for name in FATES)


def test_rows_max_may_change_and_rules_are_by_model() -> None:
    made = folded()
    made.minute(START_MINUTE, *(request(START_MINUTE, f"r{number}", [0.3]) for number in range(50)))
    smaller: LabelRules = dataclasses.replace(RULES, rows_max=10)
    made.rules = smaller
    made.minute(START_MINUTE + 1, request(START_MINUTE + 1, "x", [0.3]))
    assert len(made.book.tracks[SUBJECT].waiting.rows) == 10
