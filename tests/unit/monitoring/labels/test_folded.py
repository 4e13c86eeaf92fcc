"""The monitor with labels, from records to events."""

import json
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from models.task import Asked
from monitoring.alert import Alert, Phase
from monitoring.events import Event
from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.status import versions_of
from monitoring.stored import Stored, restore, store
from monitoring.verdict import LABEL, Check
from service.featurelog.chunk import Chunk
from service.featurelog.record import Ledger, Outcome, Record, Request
from tests.unit.monitoring.labels.made import (
    DAY,
    MINUTE_US,
    START_MINUTE,
    SUBJECT,
    chunk,
    draw,
    label,
    performance,
    reference,
    request,
    run,
)

REFERENCES = {SUBJECT.digest: reference(performance(50_000))}
RULES = Rules(label_rows_max=5_000, drift_windows_s=(86_400,))


def traffic(days: int, rng: np.random.Generator, *, moved: float = 0.0, first_day: int = 0) -> list[Record]:
    """Every hour sixty requests, whose labels come an hour and a half later."""
    found: list[Record] = []
    for minute in range(START_MINUTE + first_day * DAY, START_MINUTE + (first_day + days) * DAY, 60):
        scores, hits = draw(60, rng, moved=moved)
        for place, (score, hit) in enumerate(zip(scores, hits, strict=True)):
            found.append(request(minute, f"{minute}-{place}", [float(score)], second=place))
            found.append(label(minute + 90, f"{minute}-{place}", bool(hit), second=place))
    return sorted(found, key=lambda record: record.at_us)


def beat(day: int) -> Ledger:
    return Ledger((START_MINUTE + day * DAY + 200) * MINUTE_US, 0, {}, {}, {})


def folded(state: State, records: Sequence[Record], rules: Rules = RULES) -> list[dict[str, object]]:
    events = fold(state, chunk(run("w0", *records)), settled=True, rules=rules, references=REFERENCES)
    return [json.loads(event.body)["data"] for event in events]


def test_a_loss_that_rises_makes_one_event_that_says_so_and_one_only() -> None:
    rng, state = np.random.default_rng(1), State()
    assert folded(state, traffic(2, rng)) == []
    told = folded(state, [*traffic(2, rng, moved=1.2, first_day=2), beat(4)])
    (data,) = told
    assert (data["side"], data["feature"]) == ("label", "p")
    assert data["check"] in ("loss", "estimate")
    assert "labelled rows of 7 days" in str(data["reason"])
    (version,) = versions_of(state, RULES)
    assert {check.check: check.verdict for check in version.labels} == {"loss": "stable", "estimate": "drifted"}


def test_labels_as_promised_make_no_event() -> None:
    state = State()
    assert folded(state, [*traffic(4, np.random.default_rng(2)), beat(4)]) == []
    (version,) = versions_of(state, RULES)
    assert {check.verdict for check in version.labels} == {"stable"}


def test_a_version_without_a_declared_label_is_left_alone() -> None:
    state, references = State(), {SUBJECT.digest: reference(None, label=None)}
    records = [*traffic(1, np.random.default_rng(3)), beat(1)]
    fold(state, chunk(run("w0", *records)), settled=True, rules=RULES, references=references)
    assert state.labels.tracks == {}
    assert state.labels.counters["unknown"] == state.labels.counters["received"] > 0


NOT_OLD_ENOUGH = replace(RULES, label_mature_s=20 * 86_400)
UNDECLARED = replace(RULES, label_tasks={SUBJECT.model: Asked(output="gone")})


@pytest.mark.parametrize(
    ("column", "rules", "held"),
    [("q", RULES, False), ("p", UNDECLARED, False), ("p", NOT_OLD_ENOUGH, True)],
    ids=["of another output", "of a task that is not there", "that lacks data"],
)
def test_a_check_of_labels_holds_an_incident_while_it_is_made_and_no_longer(
    column: str, rules: Rules, held: bool
) -> None:
    state, rng = State(), np.random.default_rng(5)
    folded(state, traffic(1, rng), rules)
    (version,) = {key.version for key in state.tracks}
    check, since = Check(LABEL, column, "loss", 604_800), START_MINUTE
    state.alerts[version] = Alert(Phase.FIRING, since, since, None, since, frozenset({check}))
    folded(state, [*traffic(2, rng, first_day=1), beat(3)], rules)
    assert state.alerts[version].latched == (frozenset({check}) if held else frozenset())
    assert bool(state.ended) is not held


def test_a_check_of_labels_of_a_version_that_the_book_forgot_holds_no_incident() -> None:
    state, rng = State(), np.random.default_rng(6)
    (told,) = folded(state, [*traffic(2, rng), *traffic(2, rng, moved=1.2, first_day=2), beat(4)])
    assert told["side"] == "label"
    state.labels.tracks.clear()  # as where sixteen others made it room
    rejected = [
        msgspec.structs.replace(one, outcome=Outcome.REJECTED, status=422, outputs=None)
        for one in traffic(2, rng, first_day=4)
        if isinstance(one, Request)
    ]
    folded(state, [*rejected, beat(6)])
    (alert,) = state.alerts.values()
    assert {check for check in alert.latched if check.side == LABEL} == set()


def split(records: Sequence[Record], writers: int, rng: np.random.Generator) -> list[Chunk]:
    """The records over writers, labels apart from their requests, in chunks of about a quarter of a day."""
    whose = rng.integers(0, writers, len(records))
    chunks = []
    for first in range(START_MINUTE, START_MINUTE + 10 * DAY, 360):
        inside = [
            (int(writer), record)
            for writer, record in zip(whose, records, strict=True)
            if first <= record.at_us // MINUTE_US < first + 360
        ]
        order = rng.permutation(writers).tolist()
        runs = [run(f"w{writer}", *(record for who, record in inside if who == writer)) for writer in order]
        chunks.append(chunk(*(one for one in runs if one.records)))
    return [one for one in chunks if one.runs]


@pytest.mark.parametrize("writers", [3, 16])
def test_the_same_log_over_more_writers_makes_the_same_events_and_the_same_state(writers: int) -> None:
    rng = np.random.default_rng(4)
    records: list[Record] = [*traffic(1, rng), *traffic(2, rng, moved=1.2, first_day=1), beat(3)]
    records.sort(key=lambda record: record.at_us)
    one, many = State(), State()
    alone = [event for part in split(records, 1, rng) for event in _events(one, part)]
    apart = []
    for part in split(records, writers, rng):
        apart += _events(many, part)
        many = restore(_again(many), RULES)  # and restarts
    assert [event.id for event in alone] == [event.id for event in apart]
    assert len(alone) == 1
    assert store(one).labels == store(many).labels


def _events(state: State, part: Chunk) -> list[Event]:
    return fold(state, part, settled=True, rules=RULES, references=REFERENCES)


def _again(state: State) -> Stored:
    return store(state)
