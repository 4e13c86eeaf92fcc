"""How far do two answers to the same rows lie apart? ● no I/O.

Laws
- Comparing is addition: rows compared in pieces of any size give what they give together.
- Equal means the same bits; NaN is NaN whatever its payload, null is null.
- Quantiles are of |replayed − recorded| over all rows where both are finite, zeros included, within 1 % of the exact value
  (geometric bins, counted); the maximum is exact. Rows where only one side is finite are counted apart: they have no distance.
- Memory is bounded: bins, the worst rows, the kinds of change and the segments each have a limit.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.contract import Kind

WORST_ROWS = 10
CHANGES_MAX = 100  # pairs of classes that are told apart; further ones are counted together
SEGMENTS_MAX = 50
OTHER = "(other)"
QUANTILES = (0.5, 0.9, 0.99)
_ACCURACY = 0.01
_LOG_GAMMA = math.log((1 + _ACCURACY) / (1 - _ACCURACY))

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]


class Values(NamedTuple):
    """One output of n rows: float64, int64, bool or object (text) cells, shape (n,); `null`: shape (n,)."""

    cells: npt.NDArray[Any]
    null: Mask


class RowKey(NamedTuple):
    """Where a person finds the row."""

    request_id: str
    row: int


class Worst(NamedTuple):
    """A row whose answers differ; `distance` is infinite where one side is no finite number or both are classes."""

    distance: float
    key: RowKey
    recorded: Any
    replayed: Any


def same(kind: Kind, recorded: Values, replayed: Values) -> Mask:
    """Which rows are equal; shape (n,)."""
    if kind is Kind.FLOAT:
        a, b = recorded.cells.astype(np.float64, copy=False), replayed.cells.astype(np.float64, copy=False)
        equal = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    else:
        equal = np.asarray(recorded.cells == replayed.cells, dtype=np.bool_)
    both: Mask = np.where(recorded.null | replayed.null, recorded.null & replayed.null, equal)
    return both


def distances(recorded: Values, replayed: Values) -> Distances:
    """|replayed − recorded| of numbers; infinite where only one side is finite, NaN where neither is."""
    a, b = (np.where(side.null, np.nan, side.cells.astype(np.float64, copy=False)) for side in (recorded, replayed))
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    with np.errstate(invalid="ignore", over="ignore"):
        found: Distances = np.where(finite_a & finite_b, np.abs(b - a), np.where(finite_a == finite_b, np.nan, np.inf))
    return found


@dataclass(slots=True)
class Spread:
    """Counts of distances on geometric bins."""

    zeros: int = 0
    bins: Counter[int] = field(default_factory=Counter)
    largest: float = 0.0

    @property
    def n(self) -> int:
        return self.zeros + self.bins.total()

    def add(self, values: Distances) -> None:
        """Finite and not negative, shape (n,)."""
        positive = values[values > 0]
        self.zeros += len(values) - len(positive)
        if len(positive):
            index, counts = np.unique(np.ceil(np.log(positive) / _LOG_GAMMA).astype(np.int64), return_counts=True)
            self.bins.update(dict(zip(index.tolist(), counts.tolist(), strict=True)))
            self.largest = max(self.largest, float(positive.max()))

    def quantile(self, q: float) -> float | None:
        """The smallest value that a share q of all do not exceed; None without values."""
        if not self.n:
            return None
        left = max(1, math.ceil(q * self.n)) - self.zeros
        if left <= 0:
            return 0.0
        for index in sorted(self.bins):
            left -= self.bins[index]
            if left <= 0:
                middle = index * _LOG_GAMMA + math.log1p(-_ACCURACY)  # 2γⁱ/(γ+1): as far from either end of the bin
                return min(self.largest, math.exp(min(middle, 709.0)))
        return self.largest


@dataclass(slots=True)
class OutputComparison:
    """One output of all rows so far."""

    name: str
    kind: Kind
    rows: int = 0
    equal: int = 0
    unlike: int = 0
    spread: Spread = field(default_factory=Spread)
    changes: Counter[str] = field(default_factory=Counter)
    worst: list[Worst] = field(default_factory=list)

    @property
    def is_number(self) -> bool:
        return self.kind is Kind.FLOAT

    def add(self, keys: Sequence[RowKey], recorded: Values, replayed: Values, equal: Mask) -> Distances:
        """Returns how far the rows lie apart: of classes 0 or infinity."""
        self.rows += len(keys)
        self.equal += int(equal.sum())
        if self.is_number:
            far = distances(recorded, replayed)
            self.spread.add(far[np.isfinite(far)])
            far = np.where(np.isnan(far), np.where(equal, 0.0, np.inf), far)
            self.unlike += int(np.isinf(far).sum())
        else:
            far = np.where(equal, 0.0, np.inf)
            self._count(recorded, replayed, equal)
        self._keep(keys, recorded, replayed, equal, far)
        return far

    def _count(self, recorded: Values, replayed: Values, equal: Mask) -> None:
        for place in np.flatnonzero(~equal).tolist():
            change = f"{_text(recorded, place)} → {_text(replayed, place)}"
            self.changes[change if change in self.changes or len(self.changes) < CHANGES_MAX else OTHER] += 1

    def _keep(self, keys: Sequence[RowKey], recorded: Values, replayed: Values, equal: Mask, far: Distances) -> None:
        places = np.flatnonzero(~equal)
        if len(self.worst) == WORST_ROWS:  # most rows cannot be among them: not worth an object each
            places = places[far[places] >= self.worst[-1].distance]
        found = [Worst(float(far[p]), keys[p], _value(recorded, p), _value(replayed, p)) for p in places.tolist()]
        self.worst = nsmallest(WORST_ROWS, [*self.worst, *found], key=lambda one: (-one.distance, one.key))

    def as_json(self) -> dict[str, Any]:
        shares = {"rows": self.rows, "equal": self.equal, "agreement": self.equal / self.rows if self.rows else None}
        if not self.is_number:
            return {"output": self.name, "kind": self.kind.value, **shares, "changes": dict(self.changes.most_common())}
        about = {**shares, **_difference(self.spread), "unlike": self.unlike}
        return {"output": self.name, "kind": self.kind.value, **about}


@dataclass(slots=True)
class Segment:
    """Rows that have something in common; equal classes and distances of numbers by output."""

    rows: int = 0
    equal: int = 0
    agreed: Counter[str] = field(default_factory=Counter)
    spreads: dict[str, Spread] = field(default_factory=dict)

    def add(self, output: OutputComparison, equal: Mask, far: Distances) -> None:
        """The rows of this segment."""
        self.agreed[output.name] += int(equal.sum())
        if output.is_number:
            self.spreads.setdefault(output.name, Spread()).add(far[np.isfinite(far)])

    def as_json(self, name: str) -> dict[str, Any]:
        outputs = {
            output: {"agreement": n / self.rows, **_difference(self.spreads.get(output))}
            for output, n in self.agreed.items()
        }
        return {"segment": name, "rows": self.rows, "equal": self.equal, "outputs": outputs}


class Comparison:
    """All outputs of rows that one recorded version answered."""

    def __init__(self, outputs: Sequence[tuple[str, Kind]]) -> None:
        self.outputs = [OutputComparison(name, kind) for name, kind in outputs]
        self.rows = self.equal = 0
        self.segments: dict[str, Segment] = {}

    def add(
        self,
        keys: Sequence[RowKey],
        recorded: Sequence[Values],
        replayed: Sequence[Values],
        segments: Sequence[str] | None = None,
    ) -> None:
        """n more rows: `recorded` and `replayed` in the order of the outputs, `segments` one name a row."""
        equal = [same(o.kind, a, b) for o, a, b in zip(self.outputs, recorded, replayed, strict=True)]
        whole: Mask = np.logical_and.reduce(equal) if equal else np.ones(len(keys), np.bool_)
        far = [
            output.add(keys, a, b, mask)
            for output, a, b, mask in zip(self.outputs, recorded, replayed, equal, strict=True)
        ]
        self.rows += len(keys)
        self.equal += int(whole.sum())
        if segments is not None:
            self._divide(np.asarray(segments, dtype=object), whole, equal, far)

    def _divide(self, names: npt.NDArray[Any], whole: Mask, equal: Sequence[Mask], far: Sequence[Distances]) -> None:
        for name in dict.fromkeys(names.tolist()):
            known = name in self.segments or len(self.segments) < SEGMENTS_MAX
            segment = self.segments.setdefault(name if known else OTHER, Segment())
            here = names == name
            segment.rows += int(here.sum())
            segment.equal += int(whole[here].sum())
            for output, mask, distance in zip(self.outputs, equal, far, strict=True):
                segment.add(output, mask[here], distance[here])

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "equal": self.equal,
            "outputs": [output.as_json() for output in self.outputs],
            "segments": [
                segment.as_json(name)
                for name, segment in sorted(self.segments.items(), key=lambda item: (-item[1].rows, item[0]))
            ],
            "worst": [
                {
                    "output": output.name,
                    "request_id": one.key.request_id,
                    "row": one.key.row,
                    "recorded": one.recorded,
                    "replayed": one.replayed,
                    "difference": one.distance if math.isfinite(one.distance) else None,
                }
                for output in self.outputs
                for one in output.worst
            ],
        }


def _difference(spread: Spread | None) -> dict[str, Any]:
    """Of numbers; empty for classes."""
    if spread is None:
        return {}
    quantiles = {f"p{round(100 * q)}": spread.quantile(q) for q in QUANTILES}
    return {"difference": {**quantiles, "max": spread.largest if spread.n else None}}


def _value(side: Values, place: int) -> Any:
    if side.null[place]:
        return None
    value = side.cells[place]
    return value.item() if isinstance(value, np.generic) else value


def _text(side: Values, place: int) -> str:
    value = _value(side, place)
    return "null" if value is None else str(value)
