"""What does a column of the training data hold, and how do its cells enter a tensor?

A missing number becomes NaN in the graph, a missing text the empty text. Whole numbers travel as float64 here: beyond
2^53 they are approximate in ranges and bins, as they are in every histogram.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.baseline import ColumnBaseline, category_codes, column_of_codes, column_of_numbers
from models.contract import CATEGORIES_MAX, Column, Kind
from models.errors import ContractInvalid
from models.free_text import column_of_texts
from models.tensors import DTYPES, Array, kind_of_tensor

_KIND_OF_INFERRED = {
    "string": Kind.STRING,
    "boolean": Kind.BOOL,
    "integer": Kind.INT,
    "floating": Kind.FLOAT,
    "mixed-integer-float": Kind.FLOAT,
    "decimal": Kind.FLOAT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A column of n rows: `numbers` (n,) float64, NaN where null, or for text `texts` (n,) of str, "" where null."""

    name: str
    kind: Kind
    null: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.float64]
    texts: npt.NDArray[np.object_] | None = None


def held(name: str, series: pd.Series) -> Held:
    """Raises ContractInvalid for a column of nulls, of mixed kinds, or of what is neither number, bool nor text."""
    null = series.isna().to_numpy(dtype=np.bool_)
    if null.all():
        raise ContractInvalid(_where(name), "only nulls", "at least one value, or the column left out")
    kind = _kind(name, series)
    if kind is Kind.STRING:
        texts = series.astype(object).where(~null, "").to_numpy(dtype=np.object_)
        return Held(name, kind, null, np.empty(0), texts)
    numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind is Kind.FLOAT and series.dtype == np.float64 and null.any() and _whole(numbers[~null]):
        kind = Kind.INT  # a NumPy column has no whole number that may be null: tables keep such columns as floats
    return Held(name, kind, null, numbers)


def column_in(cells: Held, datatype: str, tensor: str) -> Column:
    """The feature that this column is in a tensor of this V2 datatype. Raises ContractInvalid when it does not fit."""
    kind = _fitted(cells, datatype, tensor)
    nullable = bool(cells.null.any())
    if cells.texts is not None:
        return Column(name=cells.name, kind=kind, nullable=nullable, categories=_categories(cells))
    finite = cells.numbers[np.isfinite(cells.numbers)]
    if kind is Kind.BOOL or not finite.size:
        return Column(name=cells.name, kind=kind, nullable=nullable)
    return Column(name=cells.name, kind=kind, nullable=nullable, low=float(finite.min()), high=float(finite.max()))


def tensor_of(columns: Sequence[Held], datatype: str, shape: tuple[int, ...]) -> Array:
    """The columns side by side as the graph wants them: (n,) for a tensor of rank 1, else (n, k)."""
    dtype = DTYPES[datatype]
    cells = [column.numbers if column.texts is None else column.texts for column in columns]
    if len(shape) == 1:
        return cells[0].astype(dtype)
    return np.stack([cell.astype(dtype) for cell in cells], axis=1)


def reference_of(column: Column, cells: Held) -> tuple[ColumnBaseline, npt.NDArray[np.int64] | None]:
    """The reference counts of a column; for text the value bin of each of its cells too, -1 outside listed categories."""
    if cells.texts is None:
        return column_of_numbers(column, cells.numbers, cells.null), None
    if column.categories is None:
        return column_of_texts(column, cells.texts, cells.null)
    known = category_codes(column.categories)
    codes = np.fromiter((known.get(text, -1) for text in cells.texts), dtype=np.int64, count=len(cells.texts))
    return column_of_codes(column, codes, cells.null), codes


def output_held(name: str, values: Array, datatype: str) -> Held:
    """One output column of n answers; a NaN here is an answer, not a null."""
    null = np.zeros(len(values), dtype=np.bool_)
    if datatype == "BYTES":
        return Held(name, Kind.STRING, null, np.empty(0), np.array([str(value) for value in values], dtype=np.object_))
    return Held(name, kind_of_tensor(datatype), null, values.astype(np.float64))


def output_column(cells: Held) -> Column:
    """An output is not validated, so it has no range; its categories name what the log's codes stand for."""
    return Column(name=cells.name, kind=cells.kind, categories=None if cells.texts is None else _categories(cells))


def seconds(name: str, series: pd.Series) -> npt.NDArray[np.float64]:
    """The times of the rows in s: numbers as they are, dates and ISO 8601 text since the Unix epoch (UTC unless it says)."""
    if series.isna().any():
        raise ContractInvalid(_where(name), f"{int(series.isna().sum())} nulls", "a time in every row")
    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
        at_s: npt.NDArray[np.float64] = series.to_numpy(dtype=np.float64)
        if not np.isfinite(at_s).all():
            raise ContractInvalid(_where(name), "an infinite time", "finite seconds")
        return at_s
    try:
        times = pd.to_datetime(series, utc=True, format=None if _dated(series) else "ISO8601")
    except (ValueError, TypeError, OverflowError) as error:
        raise ContractInvalid(_where(name), str(error).splitlines()[0], "ISO 8601 date and time, or seconds") from error
    return np.asarray((times - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), dtype=np.float64)


def _kind(name: str, series: pd.Series) -> Kind:
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred not in _KIND_OF_INFERRED:
        raise ContractInvalid(
            _where(name), f"values of type {inferred}", "numbers, booleans or text, one of them throughout"
        )
    return _KIND_OF_INFERRED[inferred]


def _fitted(cells: Held, datatype: str, tensor: str) -> Kind:
    where = _where(cells.name)
    if (cells.kind is Kind.STRING) != (datatype == "BYTES"):
        wanted = "text" if datatype == "BYTES" else "numbers"
        raise ContractInvalid(where, f"kind {cells.kind.value}", f"{wanted}, for tensor {tensor!r} is {datatype}")
    if datatype == "BYTES" or datatype.startswith("FP"):
        return cells.kind
    if cells.null.any():
        raise ContractInvalid(where, f"{int(cells.null.sum())} nulls", f"none, for tensor {tensor!r} is {datatype}")
    if datatype == "BOOL":
        if cells.kind is not Kind.BOOL:
            raise ContractInvalid(where, f"kind {cells.kind.value}", f"booleans, for tensor {tensor!r} is BOOL")
        return Kind.BOOL
    return _fitted_whole(cells, datatype, tensor)


def _fitted_whole(cells: Held, datatype: str, tensor: str) -> Kind:
    if not _whole(cells.numbers):
        raise ContractInvalid(_where(cells.name), "fractions", f"whole numbers, for tensor {tensor!r} is {datatype}")
    limits = np.iinfo(DTYPES[datatype])
    low, high = cells.numbers.min(), cells.numbers.max()
    if low < limits.min or high > limits.max:
        raise ContractInvalid(
            _where(cells.name), f"values {low:g} to {high:g}", f"{limits.min} to {limits.max}, for {datatype}"
        )
    return Kind.BOOL if cells.kind is Kind.BOOL else Kind.INT


def _categories(cells: Held) -> tuple[str, ...] | None:
    assert cells.texts is not None
    distinct = sorted(set(cells.texts[~cells.null]))
    return tuple(distinct) if len(distinct) <= CATEGORIES_MAX else None


def _whole(numbers: npt.NDArray[np.float64]) -> bool:
    return bool((np.isfinite(numbers) & (numbers == np.floor(numbers))).all())


def _dated(series: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(series))


def _where(name: str) -> str:
    return f"training data, column {name!r}"
