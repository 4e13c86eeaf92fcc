"""How good is a graph on a table whose label is known? The reference for the labels that production will send.

Laws
- Rows without a label, or whose prediction is not finite, are left out.
- Where outputs and labels do not say clearly what is predicted there is no reference: nothing is guessed.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.baseline import Baseline, category_codes
from models.cells import Held, held, seconds
from models.contract import Contract, Kind
from models.derive import answers_to, columns_of
from models.natural import blocks
from models.performance import ROWS_MIN, Performance
from models.session import Session
from models.task import CLASSES_MAX, Task, TaskKind, outcome, task_of

Floats = npt.NDArray[np.float64]


def appraise(
    session: Session,
    ref: str,
    contract: Contract,
    baseline: Baseline,
    frame: pd.DataFrame,
    *,
    label: str,
    time: str | None = None,
    held_out: bool = False,
) -> Performance | None:
    """The reference on these rows; None where there is no task or too few of them. Raises ContractInvalid, as derive does."""
    columns, _ = columns_of(frame, label, time if time in frame.columns else None)
    answers = {cells.name: cells for one in answers_to(session, ref, columns).values() for cells in one}
    labels = held(label, frame[label])
    task = task_of(contract.output_columns, _classes(labels), unit=_unit(answers))
    if task is None:
        return None
    said, scores = _said(task, contract, answers), _scores(task, answers)
    outcomes = _outcomes(task, contract, labels)
    known = np.isfinite(outcomes) & np.isfinite(scores) & ~labels.null
    hits = (said == outcomes).astype(np.float64) if task.kind is TaskKind.CLASSES else outcomes
    reference = next(column for column in baseline.outputs if column.name == task.output)
    if np.count_nonzero(known) < ROWS_MIN or (task.kind is TaskKind.NUMBER and not reference.std):
        return None
    at_s = None if time is None or time not in frame.columns else seconds(time, frame[time])
    number = task.kind is TaskKind.NUMBER
    return Performance.of(
        task,
        scores[known],
        hits[known],
        held_out=held_out,
        edges=reference.edges if number else (),
        scale=reference.std or 1.0 if number else 1.0,
        blocks=[] if at_s is None else blocks(at_s[known]),
    )


def _classes(labels: Held) -> tuple[str, ...] | None:
    """The distinct labels; empty where they are numbers rather than classes, None where they are free text."""
    if labels.texts is not None:
        texts = set(labels.texts[~labels.null])
        return tuple(sorted(texts)) if len(texts) <= CLASSES_MAX else None
    distinct = np.unique(labels.numbers[~labels.null])
    if len(distinct) > CLASSES_MAX or not (distinct == np.floor(distinct)).all():
        return ()
    return tuple(str(int(value)) for value in distinct)


def _unit(answers: dict[str, Held]) -> bool:
    floats = [cells.numbers for cells in answers.values() if cells.kind is Kind.FLOAT]
    return all(bool(((numbers >= 0) & (numbers <= 1)).all()) for numbers in floats)


def _scores(task: Task, answers: dict[str, Held]) -> Floats:
    """What is graded: the probability of what is said, or the number."""
    if task.kind is not TaskKind.CLASSES:
        return answers[task.output].numbers
    if not task.confidence:
        return np.full(len(answers[task.output].null), 0.5)
    highest: Floats = _probabilities(task, answers).max(axis=0)
    return highest


def _probabilities(task: Task, answers: dict[str, Held]) -> Floats:
    return np.stack([answers[name].numbers for name in task.confidence])


def _said(task: Task, contract: Contract, answers: dict[str, Held]) -> Floats:
    """The class that is said, as models.task.outcome numbers them."""
    cells = answers[task.output]
    if task.kind is TaskKind.CLASSES and task.output in task.confidence:
        return np.asarray(_probabilities(task, answers).argmax(axis=0), dtype=np.float64)
    if cells.texts is None:
        return cells.numbers
    known = category_codes(_categories(task, contract))
    return np.array([known.get(text, np.nan) for text in cells.texts], dtype=np.float64)


def _outcomes(task: Task, contract: Contract, labels: Held) -> Floats:
    """The label of each row as a number, NaN where it has none or one that does not fit."""
    categories = _categories(task, contract)
    if labels.texts is None:
        if task.kind is TaskKind.NUMBER:
            return labels.numbers
        values, places = np.unique(labels.numbers, return_inverse=True)
        known = [outcome(task, categories, None if np.isnan(value) else float(value)) for value in values]
    else:
        texts, places = np.unique(labels.texts, return_inverse=True)
        known = [outcome(task, categories, str(text)) for text in texts]
    return np.array([np.nan if value is None else value for value in known], dtype=np.float64)[places]


def _categories(task: Task, contract: Contract) -> tuple[str, ...] | None:
    return next(column.categories for column in contract.output_columns if column.name == task.output)
