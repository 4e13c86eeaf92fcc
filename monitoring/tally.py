"""What records add up to: counts of one version and arm in one minute.

Laws
- The tally of A and B together is tally(A) + tally(B), to the integer: record order, chunk borders and how records are
  spread over writers cannot show.
- A row is counted in exactly one bin of each of its columns; a block that contradicts its schema is counted as
  malformed, not read.
- An answered row is counted once, by its features, and by its outputs where its request has none (plain tensors).

Cost: columns of numbers and listed categories take no step of Python a row; a text of a column without listed categories
takes 0.9 µs (the walk over the block's texts and models/free_text.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special, bin_codes, bin_numbers
from models.contract import Kind
from monitoring.reference import Extra, Reference
from monitoring.sketch import BUCKETS, sketch
from service.featurelog.record import CELL_BYTES, Block, Outcome, Request, Shadow, SkewKind

Counts = npt.NDArray[np.int64]
OUTCOMES = tuple(Outcome)


class Traffic(IntEnum):
    """Where the parts of a traffic vector begin: requests by outcome, rows by outcome, the latency sketch of answered
    requests.
    """

    REQUESTS = 0
    ROWS = len(OUTCOMES)
    LATENCY = 2 * len(OUTCOMES)


TRAFFIC_SIZE = Traffic.LATENCY + BUCKETS
_OUTCOME_INDEX = {outcome: index for index, outcome in enumerate(OUTCOMES)}

# Faults of a rejected row that are a bin of the column; the others belong to the whole row.
_PROBLEM_BIN = {
    SkewKind.ABSENT: Special.ABSENT,
    SkewKind.NULL: Special.NULL,
    SkewKind.NAN: Special.NAN,
    SkewKind.WRONG_TYPE: Special.WRONG_TYPE,
}


@dataclass(slots=True)
class Tally:
    """`traffic`: shape (TRAFFIC_SIZE,); `columns`: shape (reference.size,), None where the version is unknown."""

    traffic: Counts
    columns: Counts | None = None
    malformed: int = 0

    def add(self, other: "Tally") -> None:
        """Adds the counts of `other`; of two layouts the later one stays (a baseline was added late)."""
        self.traffic = self.traffic + other.traffic
        self.malformed += other.malformed
        if self.columns is None or other.columns is None or self.columns.size != other.columns.size:
            self.columns = self.columns if other.columns is None else other.columns
        else:
            self.columns = self.columns + other.columns


def tally_requests(requests: Sequence[Request], reference: Reference | None) -> Tally:
    """Adds up requests of one version, arm and minute."""
    outcomes = [r.outcome for r in requests]
    if all_answered := outcomes.count(Outcome.ANSWERED) == len(
        outcomes
    ):  # nearly always: two looks at each record less
        answered, places = [r.total_us for r in requests], [_OUTCOME_INDEX[Outcome.ANSWERED]] * len(outcomes)
    else:
        answered = [r.total_us for r in requests if r.outcome is Outcome.ANSWERED]
        places = [_OUTCOME_INDEX[outcome] for outcome in outcomes]
    traffic = _traffic(places, [r.rows for r in requests], answered)
    if reference is None:
        return Tally(traffic)
    counts = np.zeros(reference.size, dtype=np.int64)
    features = [r.features for r in requests if r.features is not None]
    outputs = [r.outputs for r in requests if r.outputs is not None]
    width = len(reference.columns)
    rows, bad_features = count_blocks(features, reference, range(reference.features), counts)
    said, bad_outputs = count_blocks(outputs, reference, range(reference.features, width), counts)
    if not features:  # plain tensors have no columns: their rows are those that were answered
        rows = said
    elif len(features) < len(requests):
        rows += _rows_said([r.outputs for r in requests if r.features is None], reference)
    counts[reference.starts[-1] + Extra.ROWS_ANSWERED] = rows
    if requests and (place := reference.hour_place(requests[0].at_us)) is not None:
        counts[place] = rows
    if not all_answered:
        _count_rejections([r for r in requests if r.outcome is Outcome.REJECTED], reference, counts)
    return Tally(traffic, counts, bad_features + bad_outputs)


def _rows_said(outputs: Sequence[Block | None], reference: Reference) -> int:
    """The rows of sound blocks among these."""
    kinds = [column.kind for column in reference.columns[reference.features :]]
    return sum(block.n for block in outputs if block is not None and is_sound(block, kinds))


def tally_shadows(shadows: Sequence[Shadow], reference: Reference | None) -> Tally:
    """Adds up what a shadow version said; its latency is the time in the runtime."""
    answered = [s.compute_us for s in shadows if s.outcome is Outcome.ANSWERED]
    traffic = _traffic([_OUTCOME_INDEX[s.outcome] for s in shadows], [s.rows for s in shadows], answered)
    if reference is None:
        return Tally(traffic)
    counts = np.zeros(reference.size, dtype=np.int64)
    outputs = [s.outputs for s in shadows if s.outputs is not None]
    _, bad = count_blocks(outputs, reference, range(reference.features, len(reference.columns)), counts)
    return Tally(traffic, counts, bad)


def _traffic(outcomes: list[int], rows: list[int], answered_us: list[int]) -> Counts:
    traffic = np.zeros(TRAFFIC_SIZE, dtype=np.int64)
    index = np.array(outcomes, dtype=np.intp)
    np.add.at(traffic, Traffic.REQUESTS + index, 1)
    np.add.at(traffic, Traffic.ROWS + index, np.array(rows, dtype=np.int64))
    traffic[Traffic.LATENCY :] = sketch(np.array(answered_us, dtype=np.int64))
    return traffic


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Rows of blocks side by side: `bins`: the place of each cell in a version's vector, shape (k, n); `cells` and `nulls`,
    the same shape, what they hold (None: nothing is null).
    """

    blocks: list[Block]
    bins: npt.NDArray[np.intp]
    cells: Counts
    nulls: npt.NDArray[np.bool_] | None

    @property
    def n(self) -> int:
        return int(self.cells.shape[1])

    def texts(self) -> Iterator[tuple[int, int, str]]:
        """(row, column, text) of the cells that hold a text of no listed category."""
        return _texts(self.blocks)


def count_blocks(blocks: list[Block], reference: Reference, columns: range, counts: Counts) -> tuple[int, int]:
    """Adds the bins of all rows to `counts`; returns how many rows were counted and how many blocks contradict the
    schema.
    """
    kinds = [reference.columns[column].kind for column in columns]
    # Asking each block of one row whether it is sound took a quarter of the fold.
    plain = _all_plain(blocks, len(kinds))
    sound = blocks if plain else [block for block in blocks if is_sound(block, kinds)]
    if not sound or not len(columns):
        return sum(block.n for block in sound), len(blocks) - len(sound)
    read = read_blocks(sound, reference, columns, plain=plain)
    counts += np.bincount(read.bins.ravel(), minlength=reference.size)
    return read.n, len(blocks) - len(sound)


def _all_plain(blocks: list[Block], columns: int) -> bool:
    """Have all of them cells of 8 bytes, as many as their schema says, and no null?"""
    if [block.nulls for block in blocks].count(None) < len(blocks):
        return False
    sizes = np.array(list(map(len, [block.cells for block in blocks])), dtype=np.int64)
    return bool((sizes == np.array([block.n for block in blocks], dtype=np.int64) * (columns * CELL_BYTES)).all())


def is_sound(block: Block, kinds: Sequence[Kind]) -> bool:
    """Has it as many cells and null marks as its schema says?"""
    return is_whole(block, len(kinds)) or block.narrow(kinds)


def is_whole(block: Block, columns: int) -> bool:
    """The same of cells of 8 bytes."""
    size = block.n * columns
    return len(block.cells) == size * CELL_BYTES and (block.nulls is None or len(block.nulls) == size)


def read_blocks(sound: list[Block], reference: Reference, columns: range, *, plain: bool = False) -> Read:
    """The rows of sound blocks of these columns, each cell in its bin; `plain`: none has a null or narrow cells."""
    k = len(columns)
    # One array for all blocks, turned so that a column is contiguous: 1 row a record costs what 1 000 rows do.
    whole, joined = sound, b"".join([block.cells for block in sound])
    n = len(joined) // (k * CELL_BYTES) if plain else sum([block.n for block in sound])
    if len(joined) < n * k * CELL_BYTES:  # some are narrow: told by the length of all, not by asking each
        whole = [block if is_whole(block, k) else widened(block) for block in sound]
        joined = b"".join([block.cells for block in whole])
    cells = np.frombuffer(joined, dtype="<i8").reshape(n, k).T.copy()
    nulls = None if plain else _nulls(whole, n, k)
    _code_texts(sound, reference, columns, cells)
    bins = np.empty((k, n), dtype=np.intp)
    for place, column in enumerate(columns):
        null = None if nulls is None else nulls[place]
        bins[place] = reference.starts[column] + bins_of(reference, column, cells[place], null)
    return Read(sound, bins, cells, nulls)


def widened(block: Block) -> Block:
    """With cells of 8 bytes, of one with narrow cells."""
    return Block(block.n, np.frombuffer(block.cells, "<f4").astype("<f8").tobytes())


def _nulls(blocks: list[Block], n: int, k: int) -> npt.NDArray[np.bool_] | None:
    if [block.nulls for block in blocks].count(None) == len(blocks):
        return None
    joined = b"".join([bytes(b.n * k) if b.nulls is None else b.nulls for b in blocks])
    return np.frombuffer(joined, dtype=np.uint8).reshape(n, k).T.astype(np.bool_)


def _texts(blocks: list[Block]) -> Iterator[tuple[int, int, str]]:
    start = 0
    for block in blocks:
        for row, place, text in block.text or ():
            if 0 <= row < block.n:
                yield start + row, place, text
        start += block.n


def _code_texts(blocks: list[Block], reference: Reference, columns: range, cells: Counts) -> None:
    """Puts into the cells of free text which value bin the text has; a cell without its text stays −1, unseen."""
    free = {place: reference.free[column] for place, column in enumerate(columns) if column in reference.free}
    if not free:
        return
    rows: dict[int, list[int]] = {place: [] for place in free}
    codes: dict[int, list[int]] = {place: [] for place in free}
    for row, place, text in _texts(blocks):
        if place in free:
            rows[place].append(row)
            codes[place].append(free[place].code(text))
    for place in free:
        cells[place] = -1
        cells[place, rows[place]] = codes[place]


def bins_of(
    reference: Reference, column: int, cells: npt.NDArray[np.int64], null: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.intp]:
    """The bin of each cell of a column; cells, null: shape (n,); of text the codes of value bins, −1 elsewhere."""
    about = reference.columns[column]
    match about.kind:
        case Kind.STRING:
            return bin_codes(np.where(cells < about.bins - SPECIALS, cells, -1), null)
        case Kind.FLOAT:
            return bin_numbers(about, cells.view("<f8"), null)
        case Kind.INT | Kind.BOOL:
            return bin_numbers(about, cells.astype(np.float64), null)


def _count_rejections(rejected: list[Request], reference: Reference, counts: Counts) -> None:
    """Rows that were turned away for their contents are rows that came: their faults are bins of the column at fault.

    What was refused unread, for its size, key or rate, says nothing of columns and is in no denominator.
    """
    places = {column.name: j for j, column in enumerate(reference.columns[: reference.features])}
    end = int(reference.starts[-1])
    for request in rejected:
        problems = request.problems
        if not problems:
            continue
        counts[end + Extra.ROWS_REJECTED] += max([request.rows, *(problem.rows for problem in problems)])
        for problem in problems:
            special, place = _PROBLEM_BIN.get(problem.kind), places.get(problem.column)
            if special is not None and (place is not None or problem.column):
                if place is not None:  # a feature that is dropped is not watched
                    counts[reference.starts[place] + special] += problem.rows
            elif problem.kind is SkewKind.UNKNOWN:
                counts[end + Extra.UNKNOWN] += problem.rows
            else:
                counts[end + Extra.SHAPE] += problem.rows
