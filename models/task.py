"""What does a model predict, which of its outputs says it, and what does a label say of it?

Laws
- A task follows from the names and kinds of the outputs and, where there are any, the labels it was trained on; what is
  not clear from these is no task, never a guess.
- Labels are compared by what they mean: `true`, `1` and `1.0` are one class, the text `"1"` is that class too.

| kind | outputs | a label is |
|---|---|---|
| binary | the probability of the positive class | one of two classes |
| classes | the predicted class; where there are any, the probabilities of all | a class |
| number | one number | a number |
"""

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from math import isfinite
from typing import Protocol

import msgspec

from models.contract import OUTPUT_COLUMNS_MAX, Kind

CLASSES_MAX = OUTPUT_COLUMNS_MAX  # a label with more distinct values is a number or free text, not a class
_IN_FAMILY = re.compile(r"(.*)\[(\d+)\]")

Label = float | int | str | bool | None


class Output(Protocol):
    """An output column, as a contract, a baseline or a log's schema declares it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def categories(self) -> tuple[str, ...] | None: ...


class TaskKind(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    CLASSES = "classes"
    NUMBER = "number"


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`output`: the column that says it; `classes`: of a binary one (negative, positive), where "" is every other one;
    `confidence`: the columns of the classes' probabilities.
    """

    kind: TaskKind
    output: str
    classes: tuple[str, ...] = ()
    confidence: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person says about it, in place of what the outputs imply; "" leaves that as it is."""

    kind: str = ""
    output: str = ""
    positive: str = ""


def task_of(outputs: Sequence[Output], labels: Collection[str] | None, *, unit: bool | None = None) -> Task | None:
    """The task that these outputs imply; None where it is not clear.

    `labels`: the classes that the training labels were, empty where they were numbers, None where they are not known;
    `unit`: do the floats lie in [0, 1], where that is known?
    """
    family = _family(outputs)
    named = next((column for column in outputs if column.kind is not Kind.FLOAT), None)
    floats = [column for column in outputs if column.kind is Kind.FLOAT]
    if family and unit is not False and labels != ():
        return _probabilities(family, named, labels)
    if not floats and named is not None:
        numbers = labels is not None and not labels and named.kind is Kind.INT
        return Task(kind=TaskKind.NUMBER if numbers else TaskKind.CLASSES, output=named.name)
    if len(floats) == 1:
        two = labels is not None and len(labels) == 2
        if two and unit:
            return Task(kind=TaskKind.BINARY, output=floats[0].name, classes=_ordered(labels or ()))
        if named is None:
            return Task(kind=TaskKind.NUMBER, output=floats[0].name)
    return None


def asked_task(outputs: Sequence[Output], implied: Task | None, asked: Asked | None) -> Task | None:
    """The task that a person asked for, on top of what was implied; None where it names no output."""
    if asked is None or asked == Asked():
        return implied
    kind = TaskKind(asked.kind) if asked.kind else (implied.kind if implied else TaskKind.NUMBER)
    output = asked.output or (implied.output if implied and implied.kind is kind else "")
    if output not in [column.name for column in outputs]:
        return None
    if kind is TaskKind.BINARY:
        classes = implied.classes if implied and implied.kind is kind else ("0", "1")
        return Task(kind=kind, output=output, classes=("", asked.positive) if asked.positive else classes)
    confidence = _family(outputs) if kind is TaskKind.CLASSES else ()
    return Task(kind=kind, output=output, confidence=tuple(column.name for column in confidence))


def class_text(label: Label) -> str | None:
    """The class that a label names; None where it names none."""
    match label:
        case None:
            return None
        case bool():
            return str(int(label))
        case float():
            return str(int(label)) if isfinite(label) and label == int(label) else repr(label)
        case int():
            return str(label)
        case str():
            return label


def outcome(task: Task, categories: tuple[str, ...] | None, label: Label) -> float | None:
    """The label as a number that predictions are held against: 0 or 1, the class's code, or the value; None where it does not
    fit the task; −1 for a class that the model does not know. `categories`: of the predicted class, where that is text.
    """
    text = class_text(label)
    if text is None:
        return None
    match task.kind:
        case TaskKind.BINARY:
            negative, positive = task.classes
            if text == positive:
                return 1.0
            return 0.0 if negative in ("", text) else None
        case TaskKind.CLASSES if categories is not None:
            return float(categories.index(text)) if text in categories else -1.0
        case TaskKind.CLASSES | TaskKind.NUMBER:
            return _number(label, text=task.kind is TaskKind.CLASSES)


def _number(label: Label, *, text: bool) -> float | None:
    if isinstance(label, str) and not text:
        return None
    try:
        value = float(label) if label is not None else float("nan")
    except (ValueError, OverflowError):
        return None
    return value if isfinite(value) else None


def _family(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """The first tensor of two or more floats."""
    families: dict[str, list[Output]] = {}
    for column in outputs:
        if column.kind is Kind.FLOAT and (found := _IN_FAMILY.fullmatch(column.name)):
            families.setdefault(found[1], []).append(column)
    return next((tuple(columns) for columns in families.values() if len(columns) > 1), ())


def _probabilities(family: Sequence[Output], named: Output | None, labels: Collection[str] | None) -> Task:
    names = tuple(column.name for column in family)
    if len(family) == 2:
        known = named.categories if named is not None and named.kind is Kind.STRING else _ordered(labels or ())
        classes = known if known is not None and len(known) == 2 else ("0", "1")
        return Task(kind=TaskKind.BINARY, output=names[1], classes=classes)
    return Task(kind=TaskKind.CLASSES, output=named.name if named else names[0], confidence=names)


def _ordered(labels: Collection[str]) -> tuple[str, ...]:
    """As trainers number classes: numbers by size, texts by the alphabet."""
    try:
        return tuple(sorted(labels, key=float))
    except ValueError:
        return tuple(sorted(labels))
