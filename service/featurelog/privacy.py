"""What becomes of the values of private features before they are written (FORMAT.md §5.2); ● no I/O.

Laws
- A block holds no value of a dropped or hashed feature, and of a bucketed one nothing but its bin.
- A bucketed value falls into the bin of the baseline into which the value itself falls; a hashed category keeps its code.
- `block` and `matrix` of the same rows are equal.
"""

import hmac
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, inf, isfinite, nextafter
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import category_codes
from models.contract import Column, Contract, Kind, Privacy
from models.errors import ContractInvalid
from service.featurelog.record import Block, SchemaColumn

HASH_CHARS = 32  # 128 bits: two of a billion values meet with a probability of 10^-21
OTHER = "other"
_FORMATS = {Kind.FLOAT: "d", Kind.INT: "q", Kind.BOOL: "q", Kind.STRING: "q"}
_INT_LOW, _INT_HIGH = -(2**63), 2**63 - 1

Cell = tuple[Any, str | None]  # what is packed, and the text where that is −1
Numbers = npt.NDArray[np.float64]


def canonical(value: object) -> str:
    """The text of a value that is hashed: the same for 3 and 3.0, for 0.0 and −0.0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if isfinite(value) and value.is_integer() else repr(value)
    return str(value)


def hashed(key: bytes, value: object) -> str:
    """What stands in the log for a value of a hashed feature."""
    return hmac.digest(key, canonical(value).encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_CHARS]


def private_features(features: Sequence[Column]) -> Mapping[str, Privacy] | None:
    """The features that are not simply kept, as SCHEMA names them; None where all are."""
    return {column.name: column.privacy for column in features if column.privacy is not Privacy.KEEP} or None


def private_tensors(contract: Contract) -> frozenset[str]:
    """The input tensors that hold a private feature: neither hash nor mean of them may be noted."""
    private = private_features(contract.features) or {}
    return frozenset(tensor.name for tensor in contract.inputs if private.keys() & set(tensor.columns))


class Buckets:
    """The lowest value of the bin of each number; ±inf and NaN, which have bins of their own, stay."""

    def __init__(self, column: Column) -> None:
        self._edges = list(column.edges or ())
        self._whole = column.kind is not Kind.FLOAT
        self._low = -inf if column.low is None else column.low
        self._high = inf if column.high is None else column.high
        first = nextafter(self._edges[0], -inf) if self._edges and column.low is None else self._low
        lowest = [first, *(max(edge, self._low) for edge in self._edges)]
        self._lowest = [self._up(value) for value in lowest]
        if column.low is None and self._whole:
            self._lowest[0] = self._down(first)
        self._below, self._above = self._down(nextafter(self._low, -inf)), self._up(nextafter(self._high, inf))
        self._array = np.array(self._lowest, dtype=np.float64)

    def of(self, value: Any) -> Any:
        """One number; whole numbers stay whole."""
        if isinstance(value, float) and not isfinite(value):
            return value
        number = float(value)  # as the baseline's bins were counted
        if number < self._low:
            return self._below
        if number > self._high:
            return self._above
        return self._lowest[bisect_right(self._edges, number)]

    def each(self, values: Numbers) -> Numbers:
        """Many floats; shape (n,)."""
        found: Numbers = self._array[np.searchsorted(np.asarray(self._edges), values, side="right")]
        found[values < self._low], found[values > self._high] = self._below, self._above
        special = ~np.isfinite(values)
        found[special] = values[special]
        return found

    def _up(self, value: float) -> float | int:
        return min(_INT_HIGH, max(_INT_LOW, ceil(value))) if self._whole and isfinite(value) else value

    def _down(self, value: float) -> float | int:
        return min(_INT_HIGH, max(_INT_LOW, floor(value))) if self._whole and isfinite(value) else value


class _Part(NamedTuple):
    """A column of the log: where its value stands in a row, how it is declared, what a value becomes."""

    place: int
    logged: SchemaColumn
    privacy: Privacy
    cell: Callable[[Any], Cell]
    buckets: Buckets | None


class PrivateBlocks:
    """How rows of a contract with private features become cells; compiled once a version."""

    def __init__(self, features: Sequence[Column], key: bytes) -> None:
        kept = [(place, column) for place, column in enumerate(features) if column.privacy is not Privacy.DROP]
        self._parts = [_part(place, column, key) for place, column in kept]
        self._key = key
        self._pack = Struct("<" + "".join(_FORMATS[part.logged.kind] for part in self._parts)).pack
        # numbers that are kept and never null are packed as they are: of 20 columns with 3 private a row takes 4 µs, not 10
        self._work = [
            (place, part.place, part.cell)
            for place, (part, (_, column)) in enumerate(zip(self._parts, kept, strict=True))
            if column.nullable or column.kind is Kind.STRING or column.privacy is not Privacy.KEEP
        ]

    def schema(self) -> tuple[SchemaColumn, ...]:
        """The columns as a segment declares them."""
        return tuple(part.logged for part in self._parts)

    def block(self, rows: Sequence[Sequence[Any]]) -> Block:
        """Cells of these rows (FORMAT.md §4)."""
        width = len(self._parts)
        nulls: bytearray | None = None
        text: list[tuple[int, int, str]] = []
        packed = []
        places = [part.place for part in self._parts]
        for number, row in enumerate(rows):
            cells = [row[place] for place in places]
            for place, given, become in self._work:
                value = row[given]
                if value is None:
                    nulls = nulls or bytearray(width * len(rows))
                    nulls[number * width + place] = 1
                    cells[place] = 0
                    continue
                cells[place], word = become(value)
                if word is not None:
                    text.append((number, place, word))
            packed.append(self._pack(*cells))
        return Block(len(rows), b"".join(packed), bytes(nulls) if nulls else None, text or None)

    def matrix(self, values: npt.NDArray[Any]) -> Block:
        """Cells of rows of nothing but floats; values: shape (n, features)."""
        wide = values.astype(np.float64)
        cells: Numbers = np.empty((len(wide), len(self._parts)), "<f8")
        text: list[tuple[int, int, str]] = []
        for place, part in enumerate(self._parts):
            given = wide[:, part.place]
            if part.privacy is Privacy.HASH:
                cells.view("<i8")[:, place] = -1
                text += [(number, place, hashed(self._key, value)) for number, value in enumerate(given.tolist())]
            else:
                cells[:, place] = given if part.buckets is None else part.buckets.each(given)
        return Block(len(wide), cells.tobytes(), None, sorted(text) or None)


def _part(place: int, column: Column, key: bytes) -> _Part:
    codes = category_codes(column.categories)
    kind, categories, buckets = column.kind, column.categories, None
    cell: Callable[[Any], Cell]
    match column.privacy:
        case Privacy.HASH:
            if not key:
                raise ContractInvalid(f"column {column.name!r}", "privacy hash without a key", "the deployment's key")
            kind = Kind.STRING
            categories = None if categories is None else tuple(hashed(key, text) for text in categories)
            cell = _coded(codes, lambda value: hashed(key, value))
        case Privacy.BUCKET if kind is Kind.STRING:
            cell = _coded(codes, lambda _: OTHER)
        case Privacy.BUCKET:
            buckets = Buckets(column)
            cell = _number(buckets.of)
        case _ if kind is Kind.STRING:
            cell = _coded(codes, lambda value: value)
        case _:
            cell = _number(lambda value: value)
    return _Part(place, SchemaColumn(column.name, kind, categories), column.privacy, cell, buckets)


def _coded(codes: Mapping[str, int], text: Callable[[Any], str]) -> Callable[[Any], Cell]:
    def cell(value: Any) -> Cell:
        code = codes.get(value, -1)
        return code, text(value) if code < 0 else None

    return cell


def _number(become: Callable[[Any], Any]) -> Callable[[Any], Cell]:
    return lambda value: (become(value), None)
