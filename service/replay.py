"""Runs recorded inputs through a version and compares with what was answered.

Laws
- Answers go through the same code into the same columns as recorded ones did: what differs is the answer.
- The version that answered is held to the same bits. Rows are run joined, as the service does; what then differs is run as its
  request was asked, alone, and row by row: kernels may sum in another order for another number of rows.
- Memory does not grow with the log: rows come in batches, and a request is held whole only while it is run.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.baseline import ColumnBaseline, bin_numbers
from models.contract import Kind
from models.errors import RunFailed
from models.tensors import Array
from service.comparison import Comparison, RowKey, Values, same
from service.errors import RuntimeFailed
from service.featurelog.columns import request_rows
from service.featurelog.record import Block, Outcome, Request
from service.joined import Joint, run_parts
from service.replay_plan import Plan, Reason, names_in_log
from service.rows import Inputs, Matrix, Table, int_bounds
from service.served import ServedVersion

ROWS_A_RUN = 1024  # joined; a request with more is run whole
FRUITLESS_MAX = 1000  # requests run again in vain; after so many nothing is run again
KEY_COLUMNS = ("request_id", "row", "writer", "epoch", "seq")

Tensors = dict[str, Array]


@dataclass(slots=True)
class Replayed:
    """What became of the rows that one recorded version and digest answered. `equal_alone`: equal when run by themselves."""

    version: str
    digest: str
    is_same: bool
    comparison: Comparison
    equal_alone: int = 0
    not_replayed: Counter[Reason] = field(default_factory=Counter)
    refused_column: str = ""
    only_recorded: tuple[str, ...] = ()
    only_replayed: tuple[str, ...] = ()


class Replay:
    """Through one version; blocking."""

    def __init__(self, served: ServedVersion) -> None:
        self._served = served
        self._joint = Joint(served.contract)
        self._bounds = int_bounds(served.contract)
        self._columns = names_in_log(served.contract)
        self._fruitless = 0

    def run(
        self, rows: pa.RecordBatchReader, plan: Plan, found: Replayed, by: str | None, bins: ColumnBaseline | None
    ) -> None:
        """Adds to `found`. `rows`: KEY_COLUMNS and the plan's columns; `by`: a column whose values make segments."""
        for requests in in_runs(rows):
            asked = self._replayable(requests, plan, found)
            if len(asked):
                self._compare(asked, plan, found, None if by is None else _segments(asked[by], by, bins))

    def _replayable(self, rows: pa.Table, plan: Plan, found: Replayed) -> pa.Table:
        """Those rows that the version can be asked; the others are counted."""
        null: npt.NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
        outside = null.copy()
        for feature, place in zip(self._served.contract.features, plan.features, strict=True):
            if not feature.nullable:
                null |= _numpy(rows[place].is_null())
            if (bounds := self._bounds.get(feature.name)) is not None:
                cells = _numpy(rows[place].fill_null(0))
                outside |= (cells < bounds[0]) | (cells > bounds[1])
        if not (null.any() or outside.any()):
            return rows
        found.not_replayed[Reason.WITHOUT_VALUE] += int(null.sum())
        found.not_replayed[Reason.OUT_OF_RANGE] += int((outside & ~null).sum())
        return rows.filter(pa.array(~(null | outside)))

    def _compare(self, rows: pa.Table, plan: Plan, found: Replayed, segments: list[str] | None) -> None:
        borders = _borders(rows)
        tensors = self._tensors(rows, plan)
        answers, failed = self._answers(tensors, borders, plan)
        recorded = [_values(rows[place], kind) for _, kind, place in plan.outputs]
        keys = [RowKey(*key) for key in zip(rows["request_id"].to_pylist(), rows["row"].to_pylist(), strict=True)]
        if failed.any():
            found.not_replayed[Reason.RUN_FAILED] += int(failed.sum())
        if found.is_same:
            found.equal_alone += self._again(tensors, borders, plan, recorded, answers, failed)
        ran = np.flatnonzero(~failed)
        found.comparison.add(
            [keys[place] for place in ran],
            [_take(side, ran) for side in recorded],
            [_take(side, ran) for side in answers],
            None if segments is None else [segments[place] for place in ran],
        )

    def _tensors(self, rows: pa.Table, plan: Plan) -> Tensors:
        columns = [
            rows[place].cast(pa.float64(), safe=False) if feature.kind is Kind.FLOAT else rows[place]
            for feature, place in zip(self._served.contract.features, plan.features, strict=True)
        ]
        inputs: Inputs
        if Matrix.fits(self._served.contract):
            inputs = Matrix(np.column_stack([_numpy(column) for column in columns]))  # null as NaN, as in a row
        else:
            inputs = Table(list(zip(*(column.to_pylist() for column in columns), strict=True)))
        return dict(self._served.tensors(inputs))

    def _answers(
        self, tensors: Tensors, borders: Sequence[int], plan: Plan
    ) -> tuple[list[Values], npt.NDArray[np.bool_]]:
        """The answers to all rows, and which rows have none."""
        sizes = np.diff(borders).tolist()
        spans = list(pairwise(borders))
        parts = [{name: array[a:b] for name, array in tensors.items()} for a, b in spans]
        ran = run_parts(self._served.session, self._served.pin.ref, parts, sizes, self._joint).results
        failed: npt.NDArray[np.bool_] = np.zeros(borders[-1], np.bool_)
        good = []
        for (a, b), result in zip(spans, ran, strict=True):
            if isinstance(result, RuntimeFailed) or any(o.shape[:1] != (b - a,) for o in self._tabular(result)):
                failed[a:b] = True
            else:
                good.append(result)
        whole = [np.concatenate(outputs) for outputs in zip(*good, strict=True)]
        return self._spread(whole, failed, plan), failed

    def _tabular(self, outputs: Sequence[Array]) -> list[Array]:
        return [o for o, tensor in zip(outputs, self._served.contract.outputs, strict=True) if tensor.columns]

    def _spread(self, outputs: list[Array], failed: npt.NDArray[np.bool_], plan: Plan) -> list[Values]:
        """The columns as the log would have them; rows that failed are null."""
        place_of = np.cumsum(~failed) - 1
        place_of[failed] = 0
        n = int((~failed).sum())
        if n == 0:
            return [Values(np.zeros(len(failed)), failed.copy()) for _ in plan.outputs]
        block = self._served.outputs.block(outputs, n)
        assert block is not None  # the plan has outputs that are columns
        table = _logged(self._served, block)
        answers = [_values(table[self._columns["output", name]], kind) for name, kind, _ in plan.outputs]
        return [_take(side, place_of) for side in answers] if failed.any() else answers

    def _again(
        self,
        tensors: Tensors,
        borders: Sequence[int],
        plan: Plan,
        recorded: list[Values],
        answers: list[Values],
        failed: npt.NDArray[np.bool_],
    ) -> int:
        """Runs again, alone, what differs; writes into `answers` what then is equal, and returns how many rows that are."""
        kinds = [kind for _, kind, _ in plan.outputs]
        equal = np.logical_and.reduce([same(*sides) for sides in zip(kinds, recorded, answers, strict=True)]) | failed
        mended = 0
        for a, b in pairwise(borders):
            if equal[a:b].all() or self._fruitless >= FRUITLESS_MAX:
                continue
            before = mended
            for cut in ([a, b], list(range(a, b + 1))) if b - a > 1 else ([a, b],):
                mended += self._mend(tensors, cut, plan, recorded, answers, equal)
            self._fruitless += mended == before
        return mended

    def _mend(
        self,
        tensors: Tensors,
        cut: list[int],
        plan: Plan,
        recorded: list[Values],
        answers: list[Values],
        equal: npt.NDArray[np.bool_],
    ) -> int:
        """The rows between the cuts, each piece by itself."""
        mended = 0
        for a, b in pairwise(cut):
            if equal[a:b].all():
                continue
            try:
                outputs = self._served.session.run({name: array[a:b] for name, array in tensors.items()})
                alone = self._spread(outputs, np.zeros(b - a, np.bool_), plan)
            except RunFailed:
                continue
            there = [_take(side, np.arange(a, b)) for side in recorded]
            kinds = [kind for _, kind, _ in plan.outputs]
            now = np.logical_and.reduce([same(*sides) for sides in zip(kinds, there, alone, strict=True)]) & ~equal[a:b]
            for side, one in zip(answers, alone, strict=True):
                side.cells[a:b][now], side.null[a:b][now] = one.cells[now], one.null[now]
            equal[a:b] |= now
            mended += int(now.sum())
        return mended


def in_runs(rows: pa.RecordBatchReader, rows_a_run: int = ROWS_A_RUN) -> Iterator[pa.Table]:
    """The rows in pieces of about so many, requests never divided."""
    waiting = rows.schema.empty_table()
    for batch in rows:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])]).combine_chunks()
        borders = _borders(waiting)
        start = 0
        for border in borders[1:-1]:  # what stands behind the last border may go on in the next batch
            if border - start >= rows_a_run:
                yield waiting.slice(start, border - start)
                start = border
        waiting = waiting.slice(start)
    if len(waiting):
        yield waiting


def _borders(rows: pa.Table) -> list[int]:
    """Where requests begin, and the end."""
    if not len(rows):
        return [0]
    changed = np.zeros(len(rows), np.bool_)
    changed[0] = True
    for name in ("epoch", "seq"):
        cells = _numpy(rows[name])
        changed[1:] |= cells[1:] != cells[:-1]
    writers = _numpy(rows["writer"].combine_chunks().dictionary_encode().indices)
    changed[1:] |= writers[1:] != writers[:-1]
    return [*np.flatnonzero(changed).tolist(), len(rows)]


def _logged(served: ServedVersion, block: Block) -> pa.Table:
    """Answers as the columns that their record would become."""
    record = Request(0, "", Outcome.ANSWERED, 200, "", "", 0, "", "", 0, 0, block.n, 0, 0, 0, None, block)
    table, _ = request_rows("", 0, [(0, record)], served.schema)
    return table


def _values(column: pa.ChunkedArray | pa.Array, kind: Kind) -> Values:
    null = np.array(_numpy(column.is_null()))
    if kind is Kind.STRING:
        cells = np.empty(len(column), dtype=object)
        cells[:] = ["" if value is None else value for value in column.to_pylist()]
        return Values(cells, null)
    if kind is Kind.FLOAT:
        return Values(np.array(_numpy(column.cast(pa.float64(), safe=False).fill_null(0.0))), null)
    return Values(np.array(_numpy(column.fill_null(False if kind is Kind.BOOL else 0))), null)


def _numpy(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[Any]:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cells: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return cells


def _take(side: Values, places: npt.NDArray[Any]) -> Values:
    return Values(side.cells[places], side.null[places])


def _segments(column: pa.ChunkedArray, name: str, bins: ColumnBaseline | None) -> list[str]:
    """A name a row: the bin of the version's own baseline for a number, else the value."""
    if bins is None or bins.kind in (Kind.STRING, Kind.BOOL):
        return [f"{name}={'null' if value is None else value}" for value in column.to_pylist()]
    cells = _numpy(column.cast(pa.float64(), safe=False).fill_null(0.0))
    labels = bins.labels()
    return [f"{name} {labels[index]}" for index in bin_numbers(bins, cells, _numpy(column.is_null()))]
