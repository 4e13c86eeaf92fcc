"""Reference counts on bins fixed at training, for every feature and every output.

Laws
- Every possible cell (any float, null, any string) falls into exactly one bin; `bin_numbers` and `bin_codes` are total.
- Bins are fixed when the version is made; reference and window are compared on the same bins or not at all.
- Counting is addition: counts of A and B concatenated are counts(A) + counts(B), bit for bit.

A count vector is laid out `SPECIALS` first, then the value bins from left to right (numbers), the categories in the
contract's order (strings), or the frequent values and the hash buckets of the others (free text, models/free_text.py).
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from itertools import pairwise
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from models.contract import Column, Contract, Kind
from models.errors import UNDECODABLE, ContractInvalid
from models.performance import Performance

VALUE_BINS = 10  # deciles: a shift of 0.5 σ then shows within 160 rows; more bins cost power against a shift
DISTINCT_VALUES_MAX = 20  # a number with at most so many training values gets one bin a value

Cells = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]


class Special(IntEnum):
    """Bins that every column has, in this order, before its value bins."""

    ABSENT = 0
    NULL = 1
    NAN = 2
    NEG_INF = 3
    POS_INF = 4
    BELOW = 5
    ABOVE = 6
    UNSEEN = 7
    WRONG_TYPE = 8


SPECIALS = len(Special)


class ColumnBaseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference of one column.

    `edges`: inner bin edges of a number, ascending; bin i holds edges[i-1] <= x < edges[i].
    `counts`: SPECIALS, then len(edges)+1 value bins (numbers) or one a category (strings).
    `top`, `buckets`: of free text the frequent values, and how many bins the others share; baselines of earlier versions
    have none, and all their texts are unseen.
    `mean`, `std`: of the finite training values, for effect sizes that people know.
    `natural`: (window length in s, tolerance in PSI): how far blocks of the training data of that length lie from the whole.
    `by_hour`: counts of each hour of the week (models/weekly.py), where they were asked for; `natural` is then what is left.
    """

    name: str
    kind: Kind
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    mean: float | None = None
    std: float | None = None
    natural: tuple[tuple[int, float], ...] = ()
    top: tuple[str, ...] = ()
    buckets: int = 0
    by_hour: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if len(self.counts) != self.bins:
            raise ContractInvalid(
                f"baseline of {self.name!r}", f"{len(self.counts)} counts", f"{self.bins} for its bins"
            )
        if self.by_hour and {len(counts) for counts in self.by_hour} != {self.bins}:
            raise ContractInvalid(f"baseline of {self.name!r}", "counts by hour of other bins", f"{self.bins} an hour")
        if list(self.edges) != sorted(set(self.edges)):
            raise ContractInvalid(f"baseline of {self.name!r}", "edges out of order", "ascending edges")
        listed = self.kind is not Kind.STRING or self.categories is not None
        if self.buckets < 0 or (self.buckets and listed) or (self.top and not self.buckets):
            raise ContractInvalid(
                f"baseline of {self.name!r}", f"{len(self.top)} top values, {self.buckets} buckets", "both of free text"
            )
        if len(set(self.top)) != len(self.top):
            raise ContractInvalid(f"baseline of {self.name!r}", "a top value twice", "each once")

    @property
    def bins(self) -> int:
        if self.kind is Kind.STRING:
            return SPECIALS + len(self.categories or self.top) + self.buckets
        return SPECIALS + len(self.edges) + 1

    @property
    def n(self) -> int:
        return sum(self.counts)

    def labels(self) -> list[str]:
        """One readable name a bin, in count order."""
        names = [special.name.lower() for special in Special]
        if self.kind is Kind.STRING:
            return [*names, *(self.categories or self.top), *(f"other#{number}" for number in range(self.buckets))]
        if self.kind is Kind.BOOL and self.low is not None:
            # What a column that never changed did not hold.
            names[Special.BELOW], names[Special.ABOVE] = "false", "true"
            return [*names, *(("false", "true") if self.edges else ("true" if self.low else "false",))]
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        bounds = [low, *(f"{edge:g}" for edge in self.edges), high]
        return [*names, *(f"[{a}, {b})" for a, b in pairwise(bounds))]


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The references of a version: one per feature, then one per output column, in contract order; and how good it was on
    rows with a label.
    """

    rows: int
    features: tuple[ColumnBaseline, ...]
    outputs: tuple[ColumnBaseline, ...]
    performance: Performance | None = None

    def encode(self) -> bytes:
        """Canonical JSON, one final newline."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ContractInvalid when the bytes are not a baseline."""
        try:
            return msgspec.json.decode(data, type=cls)
        except UNDECODABLE as error:
            raise ContractInvalid(
                "baseline.json", str(error), "a baseline as `plumbline models add` writes it"
            ) from error


def bin_numbers(column: ColumnBaseline, values: Cells, null: Mask | None = None) -> Index:
    """The bin of each number; values: shape (n,), null: shape (n,) or None."""
    index = np.searchsorted(np.asarray(column.edges), values, side="right") + SPECIALS
    if column.low is not None:
        index[values < column.low] = Special.BELOW
    if column.high is not None:
        index[values > column.high] = Special.ABOVE
    if not np.isfinite(values).all():
        index[np.isnan(values)] = Special.NAN
        index[np.isneginf(values)] = Special.NEG_INF
        index[np.isposinf(values)] = Special.POS_INF
    if null is not None:
        index[null] = Special.NULL
    return index.astype(np.intp, copy=False)


def bin_codes(codes: npt.NDArray[np.int64], null: Mask | None = None) -> Index:
    """The bin of each category code (-1 is a text outside the categories); codes: shape (n,)."""
    index = np.where(codes < 0, Special.UNSEEN, codes + SPECIALS)
    if null is not None:
        index[null] = Special.NULL
    return index.astype(np.intp, copy=False)


def count(column: ColumnBaseline, index: Index) -> Counts:
    """Counts over the column's bins; shape (bins,)."""
    return np.bincount(index, minlength=column.bins).astype(np.int64, copy=False)


def column_of_numbers(column: Column, values: Cells, null: Mask) -> ColumnBaseline:
    """Reference of a numeric or boolean column; values, null: shape (n,)."""
    finite = values[np.isfinite(values) & ~null]
    empty = ColumnBaseline(
        name=column.name,
        kind=column.kind,
        edges=_edges(finite),
        low=float(finite.min()) if finite.size else None,
        high=float(finite.max()) if finite.size else None,
        mean=_moment(np.mean, finite),
        std=_moment(np.std, finite),
        counts=(0,) * (SPECIALS + len(_edges(finite)) + 1),
    )
    counts = count(empty, bin_numbers(empty, values, null))
    return msgspec.structs.replace(empty, counts=tuple(counts.tolist()))


def column_of_codes(column: Column, codes: npt.NDArray[np.int64], null: Mask) -> ColumnBaseline:
    """Reference of a string column; codes index `column.categories`, -1 outside; shape (n,)."""
    bins = SPECIALS + len(column.categories or ())
    counts = np.bincount(bin_codes(codes, null), minlength=bins)
    return ColumnBaseline(
        name=column.name, kind=Kind.STRING, categories=column.categories, counts=tuple(int(c) for c in counts)
    )


def _edges(finite: Cells) -> tuple[float, ...]:
    """Midpoints between few distinct values, else the inner deciles without repetition."""
    distinct = np.unique(finite)
    if distinct.size <= 1:
        return ()
    if distinct.size <= DISTINCT_VALUES_MAX:
        middle = distinct[:-1] / 2 + distinct[1:] / 2  # halves first: the sum may overflow
        edges = np.where(middle > distinct[:-1], middle, distinct[1:])  # neighbouring doubles have no middle
    else:
        edges = np.quantile(finite, np.arange(1, VALUE_BINS) / VALUE_BINS, method="inverted_cdf")
    return tuple(float(edge) for edge in np.unique(edges) if edge > distinct[0])


def _moment(moment: Callable[[Cells], np.floating[Any]], finite: Cells) -> float | None:
    """None without values, and where sums or squares leave the range of a double: JSON has no infinity."""
    if not finite.size:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(moment(finite))
    return value if np.isfinite(value) else None


def category_codes(categories: tuple[str, ...] | None) -> Mapping[str, int]:
    """Text to code; a text that is not in it has code -1."""
    return {text: code for code, text in enumerate(categories or ())}


def matches(contract: Contract, baseline: Baseline) -> None:
    """Raises ContractInvalid unless the baseline is a reference of exactly this contract's columns."""
    for side, columns, references in (
        ("feature", contract.features, baseline.features),
        ("output", contract.output_columns, baseline.outputs),
    ):
        if references and [c.name for c in columns] != [r.name for r in references]:
            raise ContractInvalid(
                f"baseline {side}s", str([r.name for r in references]), str([c.name for c in columns])
            )
        for column, reference in zip(columns, references, strict=False):
            if (column.kind, column.categories) != (reference.kind, reference.categories):
                where = f"baseline of {side} {column.name!r}"
                raise ContractInvalid(
                    where, "another kind or other categories", "those of the contract, on which codes depend"
                )
