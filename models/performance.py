"""How good is a version on rows whose outcome is known: the reference that labels from production are held against.

Laws
- The same rows in any order give the same reference, to the integer.
- It says whether the model may have been trained on these rows: such rows flatter, so they serve estimates and no alarm.
- `natural` is how far blocks of training time lie from the whole by more than chance.
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
SPREADS = 2.0  # standard deviations: more than the top of a season that is a sine, 1.4 of them
_DIGITS = 4

Blocks = Sequence[tuple[int, npt.NDArray[np.intp]]]


class Performance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference of a task.

    `held_out`: the model was not trained on these rows; `edges`, `scale`: a number's bins and the unit of its errors;
    `grades`: shape (parts, bins) of models.grades; `natural`: (block length in s, deviation of the main loss, deviation
    of the main loss from what the scores promise), as shares of the main loss; `alike`: how many times the variance of the
    mean loss is that of as many rows that are independent.
    """

    task: Task
    rows: int
    held_out: bool
    grades: tuple[tuple[int, ...], ...]
    edges: tuple[float, ...] = ()
    scale: float = 1.0
    natural: tuple[tuple[int, float, float], ...] = ()
    alike: float = 1.0

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


def between_blocks(sums: Floats, squares: Floats, rows: Floats, whole: float) -> float:
    """How far the means of blocks lie from `whole` of themselves: SPREADS standard deviations, without the noise of their rows.

    The variance of the means less the mean of their squared standard errors (DerSimonian and Laird 1986), less two standard
    deviations of that estimate too, so that blocks which differ by noise alone give 0. Shapes (blocks,).
    """
    means = sums / rows
    errors = np.maximum(squares / rows - means**2, 0.0) / rows
    noise = float(errors.mean()) * (1 + 2 * float(np.sqrt(2 / len(rows))))
    return SPREADS * float(np.sqrt(max(0.0, float(((means - whole) ** 2).mean()) - noise)))


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
            deviation = between_blocks(sums[enough], squares[enough], rows[enough], mean) / whole
            deviations.append(float(f"{deviation:.{_DIGITS}g}"))
        found.append((length_s, deviations[0], deviations[1]))
    return tuple(found)


def is_scored(task: Task) -> bool:
    """Is what the task says a probability?"""
    return task.kind is not TaskKind.NUMBER
