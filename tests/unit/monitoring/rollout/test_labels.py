from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind
from monitoring.rollout.collect import Collector
from monitoring.rollout.document import LabelGuard
from monitoring.rollout.evidence import Minute, Part
from monitoring.rollout.labels import Labels, wrong
from service.featurelog.chunk import Chunk
from service.featurelog.record import Block, Feedback, Record, Request, SchemaColumn
from tests.unit.monitoring.made import MINUTE_US, START_US, heartbeat
from tests.unit.monitoring.rollout.test_collect import REFERENCES, asked, chunk

GUARD = LabelGuard(0.05, labels_min=1, output="score", off_by=0.25)
END = heartbeat(START_US + 9 * MINUTE_US)


def label(second: float, name: str, value: float | str | bool | None, row: int = 0) -> Feedback:
    at_us = START_US + int(second * 1e6)
    return Feedback(at_us, name, row, value, at_us)


def answered(second: float, arm: str, name: str, *, bucket: int = 100) -> Request:
    """A request whose one score is 0.5."""
    made = asked(second, arm, name=name, bucket=bucket)
    half = Block(1, np.array([0.5]).tobytes())
    return msgspec.structs.replace(made, outputs=half)


def collected(*chunks: Chunk, guard: LabelGuard = GUARD) -> tuple[list[Minute], Labels]:
    labels = Labels(guard)
    collector = Collector("payments", "2", 5, labels=labels)
    return [minute for one in chunks for minute in collector.take(one, settled=True, references=REFERENCES)], labels


def pairs(minute: Minute) -> tuple[list[int], list[int]]:
    """(labelled, wrong) of canary and stable."""
    found = [arm[[Part.LABELLED, Part.WRONG]].tolist() for arm in (minute.canary, minute.stable)]
    return found[0], found[1]


BOTH = (answered(1, "canary", "c"), answered(2, "stable", "s", bucket=5000))


def test_a_label_counts_in_the_minute_in_which_it_arrived_for_the_arm_that_answered() -> None:
    later = (answered(130, "canary", "c2"), answered(131, "stable", "s2", bucket=5000))
    (first, second), labels = collected(chunk(*BOTH, *later, label(140, "c", 1.0), label(141, "s", 0.6), END))
    assert pairs(first) == ([0, 0], [0, 0])
    assert pairs(second) == ([1, 1], [1, 0])
    assert labels.unjoined == 0


def test_a_label_may_come_in_the_minute_of_its_answer_and_before_it_in_the_log() -> None:
    (minute,), _ = collected(chunk(label(3, "c", 0.5), label(3, "s", 0.5), *BOTH, END))
    assert pairs(minute) == ([1, 0], [1, 0])


def test_the_first_known_label_of_a_row_counts_and_no_other() -> None:
    said = [label(3, "c", None), label(4, "c", 1.0), label(5, "c", 0.5), label(6, "c", 0.5, row=1), label(7, "x", 1.0)]
    (minute,), labels = collected(chunk(*BOTH, *said, END))
    assert pairs(minute) == ([1, 1], [0, 0])
    assert labels.unjoined == 3


def test_labels_of_minutes_in_which_nothing_is_compared_wait_for_the_next_one() -> None:
    alone = answered(70, "stable", "s1", bucket=5000)
    later = (answered(190, "canary", "c2"), answered(191, "stable", "s2", bucket=5000))
    minutes, _ = collected(chunk(*BOTH, alone, label(71, "c", 1.0), label(130, "s", 1.0), *later, END))
    assert [pairs(minute) for minute in minutes] == [([0, 0], [0, 0]), ([0, 0], [0, 0]), ([1, 1], [1, 1])]


def test_labels_alone_are_no_minute_of_a_rollout() -> None:
    minutes, _ = collected(chunk(label(3, "c", 1.0), END))
    assert minutes == []


def test_a_version_without_the_output_has_no_labels() -> None:
    (minute,), labels = collected(chunk(*BOTH, label(3, "c", 1.0), END), guard=LabelGuard(0.05))
    assert pairs(minute) == ([0, 0], [0, 0])
    assert labels.unjoined == 1


def test_the_halves_of_stable_have_their_labels() -> None:
    records = [*BOTH, answered(2.5, "stable", "odd", bucket=5001), label(3, "s", 1.0), label(3, "odd", 0.5)]
    (minute,), _ = collected(chunk(*records, END))
    assert minute.half[[Part.LABELLED, Part.WRONG]].tolist() == [1, 0]
    assert minute.stable[[Part.LABELLED, Part.WRONG]].tolist() == [2, 1]


def test_what_is_remembered_is_bounded_and_the_oldest_goes() -> None:
    many = [answered(second, "canary", f"c{second}") for second in range(1, 5)]
    stable = answered(2, "stable", "s", bucket=5000)
    said = [label(10, name, 0.5) for name in ("c1", "c2", "c3", "c4", "s")]
    labels = Labels(GUARD, answers_max=2)
    collector = Collector("payments", "2", 5, labels=labels)
    (minute,) = collector.take(chunk(*many, stable, *said, END), settled=True, references=REFERENCES)
    assert pairs(minute) == ([2, 0], [1, 0])
    assert labels.unjoined == 2


@pytest.mark.parametrize(
    ("answer", "truth", "off_by", "expected"),
    [
        (1.0, 1, 0, False),
        (1.0, True, 0, False),
        (0.0, True, 0, True),
        (0.5, 0.6, 0.25, False),
        (0.5, 0.8, 0.25, True),
        (float("nan"), 0.5, 10, True),
        (0.5, float("nan"), 10, True),
        ("cat", "cat", 0, False),
        ("cat", "dog", 5, True),
        ("1", 1, 0, None),
        (1.0, "1", 0, None),
        (1.0, None, 0, None),
    ],
)
def test_when_an_answer_is_wrong(
    answer: float | str, truth: float | str | bool | None, off_by: float, expected: bool | None
) -> None:
    assert wrong(answer, truth, off_by) is expected


TEXTS = (SchemaColumn("label", Kind.STRING, ("cat", "dog")), SchemaColumn("n", Kind.INT))


@pytest.mark.parametrize(
    ("cells", "nulls", "text", "output", "value"),
    [
        ((1, 7), None, None, "label", "dog"),
        ((-1, 7), None, [(0, 0, "bird")], "label", "bird"),
        ((5, 7), None, None, "label", None),  # a code that stands for nothing
        ((1, 7), b"\1\0", None, "label", None),
        ((1, 7), None, None, "n", 7.0),
    ],
)
def test_what_was_answered_is_read_by_its_kind(
    cells: tuple[int, int], nulls: bytes | None, text: list[tuple[int, int, str]] | None, output: str, value: object
) -> None:
    block = Block(1, np.array(cells, dtype="<i8").tobytes(), nulls, text)
    request = msgspec.structs.replace(BOTH[0], outputs=block)
    answer = Labels(LabelGuard(0.05, output=output)).answer(request, TEXTS, 0)
    assert (None if answer is None else answer.value) == value


@given(st.permutations(range(8)), st.integers(1, 8))
def test_neither_order_nor_borders_show(order: Sequence[int], border: int) -> None:
    records: list[Record] = [*BOTH, answered(61, "canary", "c2"), answered(62, "stable", "s2", bucket=5000)]
    records += [label(63, "c", 1.0), label(64, "s", 0.5), label(65, "c", 0.5), label(66, "c2", 0.5)]
    expected, _ = collected(chunk(*records, END))
    shuffled = [records[place] for place in order]
    collector = Collector("payments", "2", 5, labels=Labels(GUARD))
    first, second = chunk(*shuffled[:border]), chunk(*shuffled[border:], END, writer="w1")
    assert collector.take(first, settled=False, references=REFERENCES) == []  # it leaves w1 behind
    minutes = collector.take(second, settled=True, references=REFERENCES)
    assert [pairs(minute) for minute in minutes] == [pairs(minute) for minute in expected]
