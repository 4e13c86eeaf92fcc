from dataclasses import dataclass

import pytest

from models.contract import Kind
from models.task import Asked, Label, Task, TaskKind, asked_task, outcome, task_of


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind
    categories: tuple[str, ...] | None = None


TWO = (Column("label", Kind.INT), Column("p[0]", Kind.FLOAT), Column("p[1]", Kind.FLOAT))
THREE = (Column("label", Kind.STRING, ("a", "b", "c")), *(Column(f"p[{i}]", Kind.FLOAT) for i in range(3)))
ONE = (Column("variable", Kind.FLOAT),)


def test_two_probabilities_are_those_of_the_negative_and_the_positive_class() -> None:
    assert task_of(TWO, None) == Task(kind=TaskKind.BINARY, output="p[1]", classes=("0", "1"))
    text = (Column("label", Kind.STRING, ("no", "yes")), *TWO[1:])
    assert task_of(text, None) == Task(kind=TaskKind.BINARY, output="p[1]", classes=("no", "yes"))
    assert task_of(TWO, ("-1", "1")) == Task(kind=TaskKind.BINARY, output="p[1]", classes=("-1", "1"))


def test_several_probabilities_go_with_the_class_that_was_chosen() -> None:
    assert task_of(THREE, None) == Task(kind=TaskKind.CLASSES, output="label", confidence=("p[0]", "p[1]", "p[2]"))


def test_one_number_is_a_number_unless_training_said_it_is_a_probability() -> None:
    assert task_of(ONE, None, unit=True) == Task(kind=TaskKind.NUMBER, output="variable")
    assert task_of(ONE, (), unit=False) == Task(kind=TaskKind.NUMBER, output="variable")
    assert task_of(ONE, ("0", "1"), unit=True) == Task(kind=TaskKind.BINARY, output="variable", classes=("0", "1"))
    assert task_of(ONE, ("0", "1"), unit=False) == Task(kind=TaskKind.NUMBER, output="variable")


def test_what_is_not_clear_is_no_task() -> None:
    assert task_of((), None) is None
    assert task_of((*ONE, Column("other", Kind.FLOAT)), None) is None
    logits = (Column("z[0]", Kind.FLOAT), Column("z[1]", Kind.FLOAT))
    assert task_of(logits, ("0", "1"), unit=False) is None


def test_a_person_may_say_what_the_outputs_do_not() -> None:
    two_numbers = (*ONE, Column("other", Kind.FLOAT))
    assert asked_task(two_numbers, None, Asked(output="other")) == Task(kind=TaskKind.NUMBER, output="other")
    asked = Asked(kind="binary", output="other", positive="fraud")
    assert asked_task(two_numbers, None, asked) == Task(kind=TaskKind.BINARY, output="other", classes=("", "fraud"))
    assert asked_task(two_numbers, None, Asked(output="nothing")) is None
    assert asked_task(TWO, task_of(TWO, None), None) == task_of(TWO, None)


@pytest.mark.parametrize(
    ("label", "expected"),
    [(True, 1.0), (1, 1.0), (1.0, 1.0), ("1", 1.0), (False, 0.0), (0, 0.0), (2, None), ("yes", None), (None, None)],
)
def test_labels_of_a_binary_task_are_compared_by_what_they_mean(label: Label, expected: float | None) -> None:
    assert outcome(Task(kind=TaskKind.BINARY, output="p", classes=("0", "1")), None, label) == expected


def test_of_one_positive_class_every_other_label_is_negative() -> None:
    task = Task(kind=TaskKind.BINARY, output="p", classes=("", "fraud"))
    assert [outcome(task, None, label) for label in ("fraud", "fine", 7, None)] == [1.0, 0.0, 0.0, None]


def test_a_class_that_the_model_does_not_know_is_a_miss_and_text_is_no_number() -> None:
    classes, number = Task(kind=TaskKind.CLASSES, output="c"), Task(kind=TaskKind.NUMBER, output="y")
    assert [outcome(classes, ("a", "b"), label) for label in ("b", "z", None)] == [1.0, -1.0, None]
    assert [outcome(classes, None, label) for label in (3, "3", True, "z")] == [3.0, 3.0, 1.0, None]
    assert [outcome(number, None, label) for label in (3.5, 2, "3", float("inf"))] == [3.5, 2.0, None, None]
