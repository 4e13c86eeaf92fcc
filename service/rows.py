"""Rows of a contract as the log's cells and as the graph's tensors.

Laws
- A row is a tuple in the order of `contract.features`; null is None.
- What is logged is what the client gave, not what the graph takes.
- `Block` cells of many requests of one contract can be joined: every row has `len(features)` cells, of 8 bytes or all of 4.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.baseline import category_codes
from models.contract import Column, Contract, Kind, Tensor
from models.errors import RunFailed
from models.tensors import DTYPES, Array
from service.featurelog.record import Block, SchemaColumn

Row = Sequence[Any]

INT_LOW, INT_HIGH = -(2**63), 2**63 - 1  # what a cell of the log and an INT64 tensor can hold
INT64 = msgspec.Meta(ge=INT_LOW, le=INT_HIGH)
STRING_CHARS_MAX = 1 << 16  # a cell of text is written to the log as it is; a page has 3 000
TEXT = msgspec.Meta(max_length=STRING_CHARS_MAX)
# From here on columns by numpy are faster than rows by struct (1 024 rows of 3 columns: 7 µs, not 374).
_VECTOR_ROWS = 16
_NARROW = (np.dtype(np.float32), np.dtype(np.float16))
_FORMATS = {Kind.FLOAT: "d", Kind.INT: "q", Kind.BOOL: "q", Kind.STRING: "q"}


class Table(msgspec.Struct, frozen=True, gc=False):
    """A request to a model with named columns."""

    rows: list[Row]

    @property
    def n(self) -> int:
        return len(self.rows)


class Matrix(msgspec.Struct, frozen=True, gc=False):
    """A request to a model of nothing but floats whose columns came side by side as numbers; a `Table` that needs no rows.

    `values`: (n, len(features)) in the order of the contract, of the datatype that the client sent; no NaN.
    """

    values: Array

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def rows(self) -> list[Row]:
        """What a Table would hold."""
        return list(map(tuple, self.values.astype(np.float64).tolist()))

    @staticmethod
    def fits(contract: Contract) -> bool:
        """Is every column a float, and every input a tensor of floats?"""
        floats = all(column.kind is Kind.FLOAT for column in contract.features)
        return floats and all(tensor.datatype.startswith("FP") for tensor in contract.inputs)


class PlainTensors(msgspec.Struct, frozen=True, gc=False):
    """A request to a model whose tensors have no column meaning."""

    arrays: Mapping[str, Array]

    @property
    def n(self) -> int:
        """Of the first tensor that has a batch; a switch or a threshold beside it has none."""
        return next((int(array.shape[0]) for array in self.arrays.values() if array.shape), 1)


Inputs = Table | Matrix | PlainTensors


def whole_tensor(contract: Contract) -> Tensor | None:
    """The one input that has all columns in the order of the features, and another name than its only one."""
    names = tuple(column.name for column in contract.features)
    if not contract.tabular or [tensor.columns for tensor in contract.inputs] != [names]:
        return None
    tensor = contract.inputs[0]
    return tensor if names != (tensor.name,) else None


def int_bounds(contract: Contract) -> dict[str, tuple[int, int]]:
    """Lowest and highest value of each integer column: what its tensor and a cell of the log can both hold."""
    integers = {column.name for column in contract.features if column.kind is Kind.INT}
    bounds: dict[str, tuple[int, int]] = {}
    for tensor in contract.inputs:
        if tensor.datatype.lstrip("U").startswith("INT"):
            limits = np.iinfo(DTYPES[tensor.datatype])
            low, high = max(INT_LOW, int(limits.min)), min(INT_HIGH, int(limits.max))
            bounds |= {name: (low, high) for name in tensor.columns if name in integers}
    return bounds


class BlockPlan:
    """How rows of these columns become cells; compiled once a version."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._pack = Struct("<" + "".join(_FORMATS[column.kind] for column in columns)).pack
        self._plain = not any(column.nullable or column.kind is Kind.STRING for column in columns)
        self._codes = [category_codes(c.categories) if c.kind is Kind.STRING else None for c in columns]

    def schema(self) -> tuple[SchemaColumn, ...]:
        """The columns as a segment declares them."""
        return tuple(SchemaColumn(column.name, column.kind, column.categories) for column in self.columns)

    def block(self, rows: Sequence[Row]) -> Block:
        """Cells of these rows (FORMAT.md §4)."""
        if self._plain:
            pack = self._pack
            return Block(len(rows), b"".join([pack(*row) for row in rows]))
        return self._coded(rows)

    def matrix(self, values: Array) -> Block:
        """Cells of a `Matrix`: as the client gave them, in f32 where that loses nothing (half of the bytes to write)."""
        narrow = values.dtype in _NARROW and len(self.columns) > 0
        return Block(len(values), values.astype("<f4" if narrow else "<f8", copy=False).tobytes())

    def _coded(self, rows: Sequence[Row]) -> Block:
        width = len(self.columns)
        nulls: bytearray | None = None
        text: list[tuple[int, int, str]] = []
        packed = []
        for number, row in enumerate(rows):
            cells = list(row)
            for place, codes in enumerate(self._codes):
                value = cells[place]
                if value is None:
                    nulls = nulls or bytearray(width * len(rows))
                    nulls[number * width + place] = 1
                    cells[place] = 0
                elif codes is not None:
                    cells[place] = code = codes.get(value, -1)
                    if code < 0:
                        text.append((number, place, value))
            packed.append(self._pack(*cells))
        return Block(len(rows), b"".join(packed), bytes(nulls) if nulls else None, text or None)


class InputPlan:
    """How rows become the graph's input tensors; compiled once a version."""

    def __init__(self, contract: Contract) -> None:
        order = {column.name: place for place, column in enumerate(contract.features)}
        self._makers = [(t.name, _maker(t, [order[name] for name in t.columns], len(order))) for t in contract.inputs]
        self._parts = [_Part.of(t, [order[name] for name in t.columns], len(order)) for t in contract.inputs]

    def tensors(self, rows: Sequence[Row]) -> dict[str, Array]:
        """One array a tensor, the batch first."""
        return {name: make(rows) for name, make in self._makers}

    def of_matrix(self, values: Array) -> dict[str, Array]:
        """The same of a `Matrix`; no copy where one tensor of the client's datatype takes all columns in their order."""
        return {part.name: part.array(values) for part in self._parts}


class _Part(NamedTuple):
    """One tensor of a `Matrix`: its columns, None for all in their order."""

    name: str
    places: list[int] | None
    dtype: np.dtype[Any]
    flat: bool

    @classmethod
    def of(cls, tensor: Tensor, places: list[int], width: int) -> "_Part":
        some = None if places == list(range(width)) else places
        return cls(tensor.name, some, np.dtype(DTYPES[tensor.datatype]), len(tensor.shape) == 1)

    def array(self, values: Array) -> Array:
        """The tensor of these rows."""
        array = values if self.places is None else values[:, self.places]
        if array.dtype != self.dtype or not array.flags.c_contiguous:
            with np.errstate(over="ignore"):  # beyond FP16 or FP32 a number is infinite to the graph, as in a row
                array = np.ascontiguousarray(array, self.dtype)
        return array.reshape(-1) if self.flat else array


def _maker(tensor: Tensor, places: list[int], width: int) -> Callable[[Sequence[Row]], Array]:
    dtype = DTYPES[tensor.datatype]
    flat = len(tensor.shape) == 1
    whole = places == list(range(width))
    pick: Callable[[Row], Any] = itemgetter(*places) if not whole else tuple

    def numbers(rows: Sequence[Row]) -> Array:
        array: Array = np.array(rows if whole else [pick(row) for row in rows], dtype=dtype)
        return array.reshape(-1) if flat else array.reshape(len(rows), len(places))

    def texts(rows: Sequence[Row]) -> Array:
        array: Array = np.empty(len(rows) * len(places), dtype=object)
        array[:] = ["" if row[place] is None else row[place] for row in rows for place in places]
        return array if flat else array.reshape(len(rows), len(places))

    return texts if tensor.datatype == "BYTES" else numbers


class OutputPlan:
    """How the graph's outputs become the log's cells; compiled once a version."""

    def __init__(self, contract: Contract, ref: str) -> None:
        self._ref = ref
        self._blocks = BlockPlan(contract.output_columns)
        self._places = [place for place, tensor in enumerate(contract.outputs) if tensor.columns]
        self.names = tuple(tensor.name for tensor in contract.outputs)
        self.wide = tuple(place for place, tensor in enumerate(contract.outputs) if not tensor.columns)
        self.schema = self._blocks.schema()

    def block(self, outputs: Sequence[Array], n: int) -> Block | None:
        """The columns of all tabular outputs, side by side; None when the model has none.

        Raises RunFailed when the graph did not answer row by row.
        """
        if not self._places:
            return None
        for place in self._places:
            if len(outputs[place]) != n:
                raise RunFailed(self._ref, f"output {self.names[place]!r} has {len(outputs[place])} rows for {n}")
        if n >= _VECTOR_ROWS and (cells := self._cells([outputs[place] for place in self._places], n)) is not None:
            return Block(n, cells)
        if n == 1:
            return self._blocks.block([[value for place in self._places for value in outputs[place].ravel().tolist()]])
        columns = [outputs[place].reshape(n, -1).tolist() for place in self._places]
        return self._blocks.block([tuple([v for part in parts for v in part]) for parts in zip(*columns, strict=True)])

    def _cells(self, arrays: Sequence[Array], n: int) -> bytes | None:
        """The cells of many rows, column by column; None where a column is text, nullable or wider than its cell."""
        parts = [array.reshape(n, -1) for array in arrays]
        given = [part[:, place] for part in parts for place in range(part.shape[1])]
        columns = self._blocks.columns
        if len(given) != len(columns):
            return None
        cells: Array = np.empty((n, len(columns)), "<i8")
        floats = cells.view("<f8")
        for place, (column, values) in enumerate(zip(columns, given, strict=True)):
            if column.nullable or not np.can_cast(values.dtype, np.float64 if column.kind is Kind.FLOAT else np.int64):
                return None
            (floats if column.kind is Kind.FLOAT else cells)[:, place] = values
        return cells.tobytes()
