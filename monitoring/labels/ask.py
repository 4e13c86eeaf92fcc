"""What is asked of a version's labels: its task, and where in its outputs the predictions stand.

Law: it follows from the version's reference and from what a person set; where one of them does not say enough, it says what is
missing.
"""

from dataclasses import dataclass
from enum import StrEnum

from models.grades import bins_of
from models.performance import Performance
from models.task import Asked, Task, TaskKind, asked_task, task_of
from monitoring.reference import Reference
from service.featurelog.record import SchemaColumn


class Missing(StrEnum):
    """Why nothing is asked."""

    LABEL = "no label is declared: `models add --label`, or [monitor.labels]"
    TASK = "the outputs do not say what is predicted: [monitor.labels] may"
    SPREAD = "a number's errors are in units of its spread at training, and the version was made without data"


@dataclass(frozen=True, slots=True)
class Ask:
    """`said`: place of the output that says it; `confidence`: places of the classes' probabilities; `edges`, `scale`: of a
    number; `given`: the reference that came with the version.
    """

    task: Task
    outputs: tuple[SchemaColumn, ...]
    said: int
    confidence: tuple[int, ...]
    edges: tuple[float, ...]
    scale: float
    given: Performance | None

    @property
    def kind(self) -> TaskKind:
        return self.task.kind

    @property
    def bins(self) -> int:
        return bins_of(self.kind, self.edges)

    @property
    def categories(self) -> tuple[str, ...] | None:
        return self.outputs[self.said].categories


def ask_of(reference: Reference, asked: Asked | None) -> Ask | Missing:
    """What this version's labels are asked, or what is missing; `asked`: what a person set."""
    if reference.label is None and asked is None:
        return Missing.LABEL
    columns = reference.columns[reference.features :]
    given = reference.performance
    implied = task_of(columns, None) if given is None else given.task
    task = asked_task(columns, implied, asked)
    places = {column.name: place for place, column in enumerate(columns)}
    if task is None or any(name not in places for name in (task.output, *task.confidence)):
        return Missing.TASK
    column = columns[places[task.output]]
    number = task.kind is TaskKind.NUMBER
    if number and not column.std:
        return Missing.SPREAD
    return Ask(
        task=task,
        outputs=tuple(SchemaColumn(one.name, one.kind, one.categories) for one in columns),
        said=places[task.output],
        confidence=tuple(places[name] for name in task.confidence),
        edges=column.edges if number else (),
        scale=column.std or 1.0 if number else 1.0,
        given=given if given is not None and given.task == task else None,
    )
