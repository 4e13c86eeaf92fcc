"""Many Blocks of one schema as one array a column (FORMAT.md §4); ● no I/O.

Laws
- Joining blocks and reading a column is reading the column of each block, one after the other, bit by bit: NaN, ±inf, −0.0 and
  null stay what they were, cells of 4 and of 8 bytes may be mixed.
- A block that contradicts its schema gives rows of nulls and is counted, never read.
- No step of Python a cell, but for text that is not among the categories: one a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.featurelog.record import CELL_BYTES, Block, SchemaColumn

Cells = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Joined:
    """`cells`: shape (k, rows), column by column, a float's bits as int64; `null`: the same shape, None where nothing is null;
    `text`: by column the places in `cells` that hold text, with the text; `malformed`: blocks that contradict their schema.
    """

    cells: Cells
    null: Mask | None
    text: dict[int, tuple[list[int], list[str]]]
    malformed: int


def is_sound(block: Block, columns: Sequence[SchemaColumn]) -> bool:
    """Has it as many cells and null marks as its schema says? Without cells there are no rows to believe in."""
    size = block.n * len(columns)
    wide = len(block.cells) == size * CELL_BYTES
    return (
        size > 0
        and (wide or block.narrow([column.kind for column in columns]))
        and (block.nulls is None or len(block.nulls) == size)
    )


def join(blocks: Sequence[Block | None], counts: Sequence[int], columns: Sequence[SchemaColumn]) -> Joined:
    """The cells of all blocks below each other, `counts[i]` rows for the i-th: null rows where it is None, not sound or of
    another length.
    """
    k, rows = len(columns), sum(counts)
    given = [block is not None and block.n != 0 for block in blocks]
    held = [
        block if block is not None and block.n == count and is_sound(block, columns) else None
        for block, count in zip(blocks, counts, strict=True)
    ]
    malformed = sum(given) - sum(block is not None for block in held)
    present = np.repeat(np.array([block is not None for block in held], dtype=np.bool_), counts)
    cells = _cells([block for block in held if block is not None], columns)
    null = _nulls([block for block in held if block is not None], k)
    if not present.all():
        cells, null = _spread(cells, present, rows), _spread_null(null, present, rows, k)
    text = _text(held, counts) if any(block is not None and block.text for block in held) else {}
    return Joined(cells.T.copy(), None if null is None else null.T.copy(), text, malformed)


def _cells(blocks: Sequence[Block], columns: Sequence[SchemaColumn]) -> Cells:
    """Shape (rows, k)."""
    k = len(columns)
    narrow = [len(block.cells) < block.n * k * CELL_BYTES for block in blocks]  # they are sound: of one of two sizes
    wide = _array([block for block, small in zip(blocks, narrow, strict=True) if not small], "<i8", k)
    if not any(narrow):
        return wide
    small = _array([block for block, small in zip(blocks, narrow, strict=True) if small], "<f4", k)
    widened: Cells = small.astype("<f8").view("<i8")
    if all(narrow):
        return widened
    which = np.repeat(np.array(narrow), [block.n for block in blocks])
    cells: Cells = np.empty((len(which), k), "<i8")
    cells[which], cells[~which] = widened, wide
    return cells


def _array(blocks: Sequence[Block], dtype: str, k: int) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join([block.cells for block in blocks]), dtype).reshape(
        sum(block.n for block in blocks), k
    )


def _nulls(blocks: Sequence[Block], k: int) -> Mask | None:
    if all(block.nulls is None for block in blocks):
        return None
    marks = b"".join([bytes(block.n * k) if block.nulls is None else block.nulls for block in blocks])
    return np.frombuffer(marks, np.uint8).reshape(-1, k).astype(np.bool_)


def _spread(cells: Cells, present: Mask, rows: int) -> Cells:
    spread: Cells = np.zeros((rows, cells.shape[1]), "<i8")
    spread[present] = cells
    return spread


def _spread_null(null: Mask | None, present: Mask, rows: int, k: int) -> Mask:
    spread = np.ones((rows, k), np.bool_)
    spread[present] = False if null is None else null
    return spread


def _text(blocks: Sequence[Block | None], counts: Sequence[int]) -> dict[int, tuple[list[int], list[str]]]:
    found: dict[int, tuple[list[int], list[str]]] = {}
    start = 0
    for block, count in zip(blocks, counts, strict=True):
        for row, column, value in (block.text or ()) if block is not None else ():
            if 0 <= row < count:
                places, values = found.setdefault(column, ([], []))
                places.append(start + row)
                values.append(value)
        start += count
    return found
