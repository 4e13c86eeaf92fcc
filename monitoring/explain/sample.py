"""Which rows are kept to look at: of any set of answered rows the k with the lowest hash of (time, row, request id).

Laws
- The sample of A and B together is `lowest(join(sample(A), sample(B)))`, whatever the order of the records, the borders of
  chunks and the writers they came by: the hash is a function of the row alone, and equal hashes are ordered by what the
  rows hold.
- Every row has the same chance, so what is true of a share of the rows is true of about that share of the sample.
- A row is kept as it stands in the log: what is hashed, bucketed or dropped there is so here.

Bottom-k sampling by a hash: Cohen and Kaplan, PODC 2007. The mixer is that of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.contract import Kind
from monitoring.reference import Reference
from monitoring.tally import is_whole, widened
from service.featurelog.record import Block, PartRequest, Request, row_numbers

TEXT_CHARS_MAX = 64  # of a text outside the categories: enough to know it by; a cell may hold a page
ANY = 2**64 - 1  # no hash is above it
_ODD, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Text = tuple[int, str]  # (column, text) of a cell that holds no category


class Rows(NamedTuple):
    """n rows, features before outputs; cells, nulls: shape (n, columns), the others (n,)."""

    hashes: Hashes
    at_us: Ints
    numbers: Ints
    cells: Ints
    nulls: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.object_]
    texts: npt.NDArray[np.object_]

    @classmethod
    def none(cls, columns: int) -> Self:
        nothing, empty = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.object_)
        nulls = np.zeros((0, columns), dtype=np.bool_)
        return cls(
            np.zeros(0, dtype=np.uint64), nothing, nothing, np.zeros((0, columns), np.int64), nulls, empty, empty
        )

    @property
    def n(self) -> int:
        return len(self.hashes)

    def at(self, places: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Rows":
        """Of these places, in their order."""
        fields: Any = (field[places] for field in self)
        return Rows(*fields)


def join(parts: Sequence[Rows], columns: int) -> Rows:
    """All of them; parts of another layout (a baseline was added late) are left out."""
    alike = [part for part in parts if part.cells.shape[1] == columns]
    return Rows(*(np.concatenate(fields) for fields in zip(*alike, strict=True))) if alike else Rows.none(columns)


def lowest(rows: Rows, k: int) -> Rows:
    """The k rows with the lowest hashes, in their order."""
    order = np.argsort(rows.hashes, kind="stable")
    if rows.n > k and rows.hashes[order[k - 1]] == rows.hashes[order[k]]:
        # Equal hashes at the border: which stays must not depend on who came first.
        order = np.array(sorted(range(rows.n), key=lambda i: _whole(rows, i)), dtype=np.intp)
    return rows.at(order[:k])


def _whole(rows: Rows, i: int) -> tuple[int, str, int, int, bytes, bytes]:
    cells, nulls = rows.cells[i].tobytes(), rows.nulls[i].tobytes()
    return int(rows.hashes[i]), rows.ids[i], int(rows.at_us[i]), int(rows.numbers[i]), cells, nulls


def draw(requests: Sequence[Request], reference: Reference, *, below: int, k: int) -> Rows:
    """The k lowest rows of these requests whose hash is at most `below`."""
    width = len(reference.columns)
    kept = [r for r in requests if r.features is not None]
    if not kept:
        return Rows.none(width)
    # Hot: a record costs 0.2 µs here, a row of a large record 20 ns. Ids and cells are looked at only where the row may stay,
    # so the time makes the upper half of a hash and the id the lower one, which decides where clients give whole seconds.
    sizes = np.array([r.features.n for r in kept], dtype=np.int64)  # type: ignore[union-attr]
    at_us = np.array([r.at_us for r in kept], dtype=np.int64)
    if int(sizes.max()) == 1 and int(sizes.min()) == 1:
        owner, places = np.arange(len(kept)), np.zeros(len(kept), dtype=np.int64)
    else:
        owner = np.repeat(np.arange(len(kept)), sizes)
        places = np.arange(owner.size) - (np.cumsum(sizes) - sizes)[owner]
    upper = _mixed(at_us.view(np.uint64)[owner] + places.view(np.uint64) * _ODD) >> _HALF
    chosen = np.flatnonzero(upper <= np.uint64(below >> 32)) if below < ANY else np.arange(upper.size)
    if chosen.size > k:
        border = np.partition(upper[chosen], k - 1)[k - 1]
        chosen = chosen[upper[chosen] <= border]
    ids = np.array([crc32(kept[i].request_id.encode()) for i in owner[chosen]], dtype=np.uint64)
    hashes = (upper[chosen] << _HALF) | (_mixed(ids) >> _HALF)
    if chosen.size > k:
        order = np.argsort(hashes, kind="stable")
        order = order[hashes[order] <= hashes[order[k - 1]]]
        chosen, hashes = chosen[order], hashes[order]
    return lowest(_read(kept, reference, hashes, owner[chosen], places[chosen]), k)


def _mixed(state: Hashes) -> Hashes:
    mixed = (state ^ (state >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _read(
    kept: Sequence[Request],
    reference: Reference,
    hashes: Hashes,
    owner: npt.NDArray[np.intp],
    places: Ints,
) -> Rows:
    """These rows; those of a block that contradicts the schema are left out: they were counted as malformed."""
    width, features = len(reference.columns), reference.features
    owners = np.unique(owner)
    sides = [_blocks([kept[i].features for i in owners], reference, range(features))]
    sides.append(_blocks([kept[i].outputs for i in owners], reference, range(features, width)))
    sound = sides[0].sound & sides[1].sound & (sides[0].sizes == sides[1].sizes)
    of = np.searchsorted(owners, owner)
    if not sound.all():
        stay = sound[of]
        hashes, owner, places, of = hashes[stay], owner[stay], places[stay], of[stay]
    at = [side.starts[of] + places for side in sides]
    ids = np.array([kept[i].request_id for i in owner], dtype=np.object_)
    said = [_texts(kept[i].features, place) for i, place in zip(owner, places.tolist(), strict=True)]
    cells = np.concatenate([side.cells[rows] for side, rows in zip(sides, at, strict=True)], axis=1)
    for row, held in enumerate(said):  # of free text the code of its bin is kept, as it is counted, not the text
        for column, text in held:
            if column in reference.free:
                cells[row, column] = reference.free[column].code(text)
    texts = np.zeros(len(owner), dtype=np.object_)
    texts[:] = [tuple((c, t[:TEXT_CHARS_MAX]) for c, t in held if c not in reference.free) for held in said]
    return Rows(
        hashes,
        np.array([kept[i].at_us for i in owner], dtype=np.int64),
        np.array([_number(kept[i], place) for i, place in zip(owner, places.tolist(), strict=True)], dtype=np.int64),
        cells,
        np.concatenate([side.nulls[rows] for side, rows in zip(sides, at, strict=True)], axis=1),
        ids,
        texts,
    )


def _number(request: Request, place: int) -> int:
    """As the client counts its rows: the place in the block, but where rows were erased."""
    if not isinstance(request, PartRequest):
        return place
    return row_numbers(request, 0 if request.features is None else request.features.n)[place]


class _Side(NamedTuple):
    """The blocks of one side joined: `starts` of each block's rows in cells and nulls."""

    sound: npt.NDArray[np.bool_]
    sizes: Ints
    starts: Ints
    cells: Ints
    nulls: npt.NDArray[np.bool_]


def _blocks(blocks: Sequence[Block | None], reference: Reference, columns: range) -> _Side:
    width, kinds = len(columns), [reference.columns[column].kind for column in columns]
    whole = [_sound(block, kinds, width) for block in blocks]
    sizes = np.array([0 if block is None else block.n for block in whole], dtype=np.int64)
    total, found = int(sizes.sum()), [block for block in whole if block is not None]
    cells = np.frombuffer(b"".join([block.cells for block in found]), dtype="<i8").reshape(total, width)
    if any(block.nulls for block in found):
        joined = b"".join([block.nulls or bytes(block.n * width) for block in found])
        nulls = np.frombuffer(joined, dtype=np.uint8).reshape(total, width).astype(np.bool_)
    else:
        nulls = np.zeros((total, width), dtype=np.bool_)
    sound = np.array([block is not None for block in whole], dtype=np.bool_)
    return _Side(sound, sizes, np.cumsum(sizes) - sizes, cells, nulls)


def _sound(block: Block | None, kinds: Sequence[Kind], width: int) -> Block | None:
    if block is None:
        return None
    if block.narrow(kinds):
        return widened(block)
    return block if is_whole(block, width) else None


def _texts(block: Block | None, place: int) -> tuple[Text, ...]:
    """Texts outside the categories."""
    if block is None or not block.text:
        return ()
    return tuple((column, text) for row, column, text in block.text if row == place)
