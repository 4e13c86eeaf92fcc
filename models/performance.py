"""How good is a version on rows whose outcome is known: the reference that labels from production are held against.

Laws
- The same rows in any order give the same reference, to the integer.
- It says whether the model may have been trained on these rows: such rows flatter, so they serve estimates and no alarm.
- `natural` errs upwards: it is the largest deviation of a block of training time from the whole, beyond two standard
  errors of it.
"""

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from models.errors import ContractInvalid
from models.grades import MICRO, Counts, Floats, Index, Loss, Part, bin_numbers, bins_of, graded, losses, predicted
from models.task import Task, TaskKind

ROWS_MIN = 100  # fewer labelled rows are no reference
BLOCK_ROWS_MIN = 50
BLOCKS_MIN = 8  # of a length; fewer say little of what the next one may be
NATURAL_ERRORS = 2.0  # standard errors of a block that are taken to be noise
_DIGITS = 4

Blocks = Sequence[tuple[int, npt.NDArray[np.intp]]]


class Performance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference of a task.

    `held_out`: the model was not trained on these rows; `edges`, `scale`: a number's bins and the unit of its errors;
    `grades`: shape (parts, bins) of models.grades; `natural`: (block length in s, deviation of the main loss, deviation
    of the main loss from what the scores promise), as shares of the main loss.
    """

    task: Task
    rows: int
    held_out: bool
    grades: tuple[tuple[int, ...], ...]
    edges: tuple[float, ...] = ()
    scale: float = 1.0
    natural: tuple[tuple[int, float, float], ...] = ()

    def __post_init__(self) -> None:
        shape = (Part.LOSS_SQUARED + 1, bins_of(self.task.kind, self.edges))
        if len(self.grades) != shape[0] or any(len(part) != shape[1] for part in self.grades):
            raise ContractInvalid("performance", f"{len(self.grades)} parts", f"{shape[0]} parts of {shape[1]} bins")

    @classmethod
    def of(
        cls,
        task: Task,
        scores: Floats,
        hits: Floats,
        *,
        held_out: bool,
        edges: tuple[float, ...] = (),
        scale: float = 1.0,
        blocks: Blocks = (),
    ) -> Self:
        """Of these predictions and what came true; shapes (n,)."""
        bins, size = bin_numbers(task.kind, edges, scores), bins_of(task.kind, edges)
        found = losses(task.kind, scores, hits, scale)
        grades = predicted(bins, size) + graded(task.kind, bins, size, scores, hits, found, scale)
        return cls(
            task=task,
            rows=len(scores),
            held_out=held_out,
            grades=tuple(tuple(part) for part in grades.tolist()),
            edges=edges,
            scale=scale,
            natural=_natural(grades, bins, found[Loss.MAIN], blocks),
        )

    @property
    def counts(self) -> Counts:
        """The grades as an array."""
        return np.array(self.grades, dtype=np.int64)


def noise_free(sums: Floats, squares: Floats, rows: Floats, whole: float) -> float:
    """The largest deviation of a block's mean from `whole`, beyond NATURAL_ERRORS standard errors; shapes (blocks,)."""
    means = sums / rows
    errors = np.sqrt(np.maximum(squares / rows - means**2, 0.0) / rows)
    return float(np.maximum(np.abs(means - whole) - NATURAL_ERRORS * errors, 0.0).max(initial=0.0))


def _natural(grades: Counts, bins: Index, loss: Floats, blocks: Blocks) -> tuple[tuple[int, float, float], ...]:
    whole = float(loss.mean()) if loss.size else 0.0
    if whole <= 0:
        return ()
    promised = grades[Part.LOSS] / MICRO / np.maximum(grades[Part.LABELLED], 1)
    beyond = loss - promised[bins]
    found = []
    for length_s, block in blocks:
        kept = block >= 0
        rows = np.bincount(block[kept]).astype(np.float64)
        if np.count_nonzero(rows >= BLOCK_ROWS_MIN) < BLOCKS_MIN:
            continue
        deviations = []
        for values, mean in ((loss, whole), (beyond, 0.0)):
            sums, squares = (np.bincount(block[kept], values[kept] ** power).astype(np.float64) for power in (1, 2))
            enough = rows >= BLOCK_ROWS_MIN
            deviation = noise_free(sums[enough], squares[enough], rows[enough], mean) / whole
            deviations.append(float(f"{deviation:.{_DIGITS}g}"))
        found.append((length_s, deviations[0], deviations[1]))
    return tuple(found)


def is_scored(task: Task) -> bool:
    """Is what the task says a probability?"""
    return task.kind is not TaskKind.NUMBER
