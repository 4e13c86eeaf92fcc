"""What a version is compared with: its columns side by side in one vector of counts.

Laws
- The layout follows from schema and baseline alone, so every monitor lays out a digest alike and vectors of a digest
  add.
- A feature that is dropped before it is written has no column: it is not watched, and no verdict speaks of it.
- A baseline that does not describe the schema's columns is no baseline: those columns are counted, never judged.

A vector is every feature's bins, then every output's bins (models.baseline: specials first), then `Extra`, and where training
is known by hour of the week, the answered rows of each of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Baseline, ColumnBaseline, Special
from models.contract import Kind, Privacy
from models.free_text import FreeText
from models.performance import Performance
from models.private import without_values
from models.weekly import HOURS, hour_of_week, mixture
from monitoring.segments.plan import NO_SEGMENTS, Plan, plan
from service.featurelog.record import Schema, SchemaColumn

_WITHOUT_VALUE = (Special.ABSENT, Special.NULL, Special.NAN, Special.WRONG_TYPE)

Counts = npt.NDArray[np.int64]


class Extra(IntEnum):
    """Counts of a version that belong to no bin, after the columns."""

    ROWS_ANSWERED = 0
    ROWS_REJECTED = 1
    UNKNOWN = 2  # rows with a name that is not in the contract
    SHAPE = 3  # rows whose shape was wrong


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One version's columns: `features` of them are features, the rest outputs.

    Column j's bins are `starts[j]:starts[j + 1]`; `owners`: the column of every bin; `answerable`: the bins that a row can
    be in and still be answered (a refused row is skew's to judge, and would be no drift of the values); `valued`: those of
    rows that hold a value; `categorical`: those that stand for one text or bool; `free`: how the texts of columns without
    listed categories are counted; `ordinal`: the bins of numbers from the least to the greatest, column after column;
    `natural_steps`: (length in s from which on it holds, how far blocks of training data lay apart in PSI, shape
    (columns,)); `places`: the number of a column by (side, name); `judged`: the columns that have a baseline; `hours`:
    training's counts by hour of the week, shape (HOURS, bins), None where training was not asked for them; `segments`: the
    parts of the rows that are counted apart; `label`: the column of the training data that was the label;
    `performance`: how good the version was on rows that had one.
    """

    columns: tuple[ColumnBaseline, ...]
    features: int
    starts: npt.NDArray[np.intp]
    owners: npt.NDArray[np.intp]
    baseline: Counts
    answerable: npt.NDArray[np.bool_]
    valued: npt.NDArray[np.bool_]
    categorical: npt.NDArray[np.bool_]
    free: Mapping[int, FreeText]
    ordinal: npt.NDArray[np.intp]
    natural_steps: tuple[tuple[int, npt.NDArray[np.float64]], ...]
    places: Mapping[tuple[str, str], int]
    judged: tuple[int, ...]
    hours: Counts | None = None
    segments: Plan = NO_SEGMENTS
    label: str | None = None
    performance: Performance | None = None

    @classmethod
    def of(
        cls,
        schema: Schema,
        baseline: Baseline | None,
        declared: Sequence[str] = (),
        segments_max: int = 0,
        label: str | None = None,
    ) -> Self:
        """Lays out the schema's columns; a side that the baseline does not describe gets references without rows.

        `declared`: the segments of its model, as the settings have them.
        """
        private = schema.private or {}
        features = _side(schema.features, _logged(schema.features, baseline.features if baseline else (), private))
        outputs = _side(schema.outputs, baseline.outputs if baseline else ())
        return replace(
            cls.laid_out(features, outputs),
            segments=plan(declared, features, segments_max),
            label=label,
            performance=baseline.performance if baseline else None,
        )

    @classmethod
    def laid_out(cls, features: Sequence[ColumnBaseline], outputs: Sequence[ColumnBaseline] = ()) -> Self:
        """These columns side by side."""
        columns = (*features, *outputs)
        starts = np.cumsum([0, *(column.bins for column in columns)], dtype=np.intp)
        ordered = [start + _in_order(column) for start, column in zip(starts, columns, strict=False)]
        return cls(
            columns=columns,
            features=len(features),
            starts=starts,
            owners=np.repeat(np.arange(len(columns), dtype=np.intp), [column.bins for column in columns]),
            baseline=np.array([count for column in columns for count in column.counts], dtype=np.int64),
            answerable=np.array(
                [can for column in features for can in _answerable(column)]
                + [True for column in outputs for _ in range(column.bins)],
                dtype=np.bool_,
            ),
            valued=_each_bin(columns, lambda _, place: place not in _WITHOUT_VALUE),
            categorical=_each_bin(columns, _is_category),
            free={j: free for j, column in enumerate(columns) if (free := FreeText.of(column)) is not None},
            ordinal=np.concatenate([np.empty(0, dtype=np.intp), *ordered]),
            natural_steps=_natural_steps(columns),
            judged=tuple(j for j, column in enumerate(columns) if any(column.counts)),
            hours=_hours(columns),
            places={("feature" if j < len(features) else "output", column.name): j for j, column in enumerate(columns)},
        )

    @property
    def size(self) -> int:
        """Length of a version's vector of counts."""
        return int(self.starts[-1]) + len(Extra) + (0 if self.hours is None else HOURS)

    @property
    def segment_size(self) -> int:
        """The same of a segment, whose hours of the week nobody knows."""
        return int(self.starts[-1]) + len(Extra)

    def hour_place(self, at_us: int) -> int | None:
        """Where the rows of this time's hour of the week are counted; None where hours are not told apart."""
        if self.hours is None:
            return None
        return int(self.starts[-1]) + len(Extra) + int(hour_of_week(np.array([at_us / 1e6]))[0])

    def expected(self, counts: Counts) -> Counts:
        """What training says of windows: its counts, or those of the hours that their rows came in; counts: shape (windows,
        size); shape (windows, bins).
        """
        if self.hours is None:
            return np.broadcast_to(self.baseline, (len(counts), self.baseline.size))
        rows = self.hours[:, : int(self.starts[1])].sum(axis=1)
        return mixture(counts[:, int(self.starts[-1]) + len(Extra) :], self.hours, rows)

    def natural(self, covered_s: int) -> npt.NDArray[np.float64]:
        """How far blocks of training data lay apart, by column, in PSI: the longest that `covered_s` holds, else the shortest;
        0 where training had no times.
        """
        return next(apart for from_s, apart in reversed(self.natural_steps) if from_s <= max(0, covered_s))

    def bins(self, counts: Counts, column: int) -> Counts:
        """A column's part of a vector."""
        return counts[self.starts[column] : self.starts[column + 1]]

    def extra(self, counts: Counts, word: Extra) -> int:
        return int(counts[int(self.starts[-1]) + word])

    def side(self, column: int) -> str:
        return "feature" if column < self.features else "output"


def _side(columns: Sequence[SchemaColumn], references: Sequence[ColumnBaseline]) -> tuple[ColumnBaseline, ...]:
    described = [(r.name, r.kind, r.categories) for r in references]
    if described == [(c.name, c.kind, c.categories) for c in columns]:
        return tuple(references)
    return tuple(_without_rows(column) for column in columns)


def _logged(
    columns: Sequence[SchemaColumn], references: Sequence[ColumnBaseline], private: Mapping[str, Privacy]
) -> list[ColumnBaseline]:
    """The references of what is in the log: without dropped features, and of hashed ones what a hash still tells."""
    declared = {column.name: column for column in columns}
    kept = [reference for reference in references if private.get(reference.name) is not Privacy.DROP]
    return [_told(reference, private.get(reference.name), declared.get(reference.name)) for reference in kept]


def _told(reference: ColumnBaseline, privacy: Privacy | None, column: SchemaColumn | None) -> ColumnBaseline:
    match privacy:
        case Privacy.HASH if column is not None:
            return _hashed(without_values(reference), column)
        case Privacy.BUCKET:
            return without_values(reference)
        case _:
            return reference


def _hashed(reference: ColumnBaseline, column: SchemaColumn) -> ColumnBaseline:
    """Categories by their hashes, at the same places; of a number only whether it was there."""
    if reference.kind is Kind.STRING:
        alike = len(reference.categories or ()) == len(column.categories or ())
        return msgspec.structs.replace(reference, categories=column.categories) if alike else reference
    counts = [0] * SPECIALS
    counts[Special.NULL] = reference.counts[Special.NULL]
    counts[Special.UNSEEN] = reference.n - counts[Special.NULL]
    return ColumnBaseline(name=reference.name, kind=Kind.STRING, counts=tuple(counts))


def _without_rows(column: SchemaColumn) -> ColumnBaseline:
    value_bins = len(column.categories or ()) if column.kind is Kind.STRING else 1
    return ColumnBaseline(
        name=column.name, kind=column.kind, categories=column.categories, counts=(0,) * (SPECIALS + value_bins)
    )


def _each_bin(columns: Sequence[ColumnBaseline], of: Callable[[ColumnBaseline, int], bool]) -> npt.NDArray[np.bool_]:
    return np.array([of(column, place) for column in columns for place in range(column.bins)], dtype=np.bool_)


def _is_category(column: ColumnBaseline, place: int) -> bool:
    """Numbers have ranges in their bins, and a bucket of free text many values."""
    match column.kind:
        case Kind.STRING:
            return SPECIALS <= place < column.bins - column.buckets
        case Kind.BOOL:
            return place >= SPECIALS
        case Kind.FLOAT | Kind.INT:
            return False


def _hours(columns: Sequence[ColumnBaseline]) -> Counts | None:
    """Side by side; a column that has none by hour (it is private) says the same at each, in as many rows."""
    rows = next((np.array(column.by_hour).sum(axis=1) for column in columns if column.by_hour), None)
    if rows is None:
        return None
    alike = [
        np.array(column.by_hour)
        if column.by_hour
        else np.rint(np.outer(rows, np.array(column.counts) / max(1, column.n))).astype(np.int64)
        for column in columns
    ]
    return np.concatenate(alike, axis=1).astype(np.int64)


def _natural_steps(columns: Sequence[ColumnBaseline]) -> tuple[tuple[int, npt.NDArray[np.float64]], ...]:
    lengths = sorted({length for column in columns for length, _ in column.natural})
    return tuple(
        (length, np.array([_natural(column, length) for column in columns], dtype=np.float64))
        for length in (0, *lengths)
    )


def _natural(column: ColumnBaseline, covered_s: int) -> float:
    if not column.natural:
        return 0.0
    return max((known for known in column.natural if known[0] <= covered_s), default=min(column.natural))[1]


def _in_order(column: ColumnBaseline) -> npt.NDArray[np.intp]:
    """The bins of a number from the least to the greatest; of a text none."""
    if column.kind is Kind.STRING:
        return np.empty(0, dtype=np.intp)
    least, greatest = (Special.NEG_INF, Special.BELOW), (Special.ABOVE, Special.POS_INF)
    return np.array([*least, *range(SPECIALS, column.bins), *greatest], dtype=np.intp)


def _answerable(column: ColumnBaseline) -> list[bool]:
    """Null and NaN only where training had them: elsewhere the contract refuses the row."""
    may = [True] * column.bins
    for special in (Special.ABSENT, Special.WRONG_TYPE):
        may[special] = False
    for special in (Special.NULL, Special.NAN):
        may[special] = column.counts[special] > 0
    return may
