"""What is counted of a rival pair: the vector, and what its places mean.

Laws
- The layout follows from both schemas and the baseline of the version that answered, so every monitor lays a rival out alike.
- Outputs are compared that both versions have under one name and of one kind; beyond OUTPUTS_MAX they are left out, and
  their number is said.

A vector is `Head`, the spread of the latency differences, then for each output `Part`, for a number the spread of the
differences in units of `scale`, and twice the bins of the output (models.baseline): of the answers, and of the shadow's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from models.baseline import ColumnBaseline
from models.contract import Kind
from monitoring.reference import Reference
from monitoring.shadows import spread
from service.featurelog.record import Schema, SchemaColumn

Counts = npt.NDArray[np.int64]

OUTPUTS_MAX = 16
# Two numbers agree where they are no further apart than this share of the standard deviation that the output had in training.
TOLERANCE = 0.1


class Head(IntEnum):
    """Of the pair as a whole."""

    REQUESTS = 0  # both answered, row by row
    ROWS = 1
    ROWS_SQUARED = 2  # sum over requests: rows of one request are alike, and count as few witnesses
    FAILED = 3  # requests that the shadow could not answer
    MISFIT = 4  # requests of which the two answers do not lie row beside row
    LATENCY = 5


class Part(IntEnum):
    """Of one output, rows where nothing else is said; sums in units of scale / STEPS."""

    AGREE = 0
    EQUAL = 1  # the same bits
    UNLIKE = 2  # a finite number on one side only, or null
    MOVED = 3  # rows in another bin
    SUM = 4
    SUM_SQUARED = 5  # sum over requests of their own sum, squared
    SUM_TIMES_ROWS = 6  # sum over requests of their own sum times their rows
    SPREAD = 7


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output that is compared; `given`, `shadow`: its place in either schema, `scale` None: no training values."""

    name: str
    kind: Kind
    given: int
    shadow: int
    scale: float | None
    start: int
    bins: int
    codes: npt.NDArray[np.int64]  # of a text: the answer's code of each of the shadow's, -1 where it has none

    @property
    def bins_start(self) -> int:
        return self.start + Part.SPREAD + (spread.SIZE if self.kind is Kind.FLOAT else 0)

    @property
    def end(self) -> int:
        return self.bins_start + 2 * self.bins


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The outputs of one rival; `left_out`: outputs that are not compared."""

    outputs: tuple[Output, ...]
    size: int
    left_out: int

    @classmethod
    def of(cls, reference: Reference, given: Schema, shadow: Schema) -> Self:
        """`reference`: of the version that answered."""
        places = {column.name: place for place, column in enumerate(shadow.outputs)}
        found: list[Output] = []
        start = Head.LATENCY + spread.SIZE
        for place, column in enumerate(given.outputs):
            other = places.get(column.name)
            if other is None or shadow.outputs[other].kind is not column.kind or len(found) == OUTPUTS_MAX:
                continue
            about = reference.columns[reference.features + place]
            output = Output(
                column.name,
                column.kind,
                place,
                other,
                _scale(about),
                start,
                about.bins,
                _codes(column, shadow.outputs[other]),
            )
            found.append(output)
            start = output.end
        return cls(tuple(found), start, len(given.outputs) - len(found))


def _scale(about: ColumnBaseline) -> float | None:
    return about.std if about.kind is Kind.FLOAT and about.std else None


def _codes(given: SchemaColumn, shadow: SchemaColumn) -> npt.NDArray[np.int64]:
    known: Sequence[str] = given.categories or ()
    code_of = {text: code for code, text in enumerate(known)}
    return np.array([code_of.get(text, -1) for text in shadow.categories or ()], dtype=np.int64)
