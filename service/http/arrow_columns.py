"""Do Arrow's columns hold what the contract's features are, and what are their values?

A column is *sound* when nothing in it needs `examine`: no null where none may be, no NaN, no integer beyond its bounds, no text
too long. That is judged on whole columns, at some ns a value; what is not sound is explained value by value.
"""

from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from models.contract import Column, Contract, Kind
from models.tensors import Array
from service.http.arrow_dictionaries import Dictionaries
from service.rows import INT_HIGH, INT_LOW, STRING_CHARS_MAX, Matrix, int_bounds

_EXPECTED = {
    Kind.FLOAT: "floating or integer numbers", Kind.INT: "integers", Kind.BOOL: "bool", Kind.STRING: "string or large_string",
}  # fmt: skip
Values = tuple[list[Any], bool]
"""The values of one column as Python has them, and whether they are sound."""


def misfit(column: Column, found: pa.DataType) -> str | None:
    """What was expected instead of this type; None where it fits. A column of nothing but nulls fits where null does."""
    types = pa.types
    numbers = types.is_floating(found) or types.is_integer(found)
    match column.kind:
        case Kind.FLOAT | Kind.INT:  # pandas writes integers with a null among them as floats: examined by value
            fits = numbers
        case Kind.BOOL:
            fits = types.is_boolean(found)
        case Kind.STRING:
            fits = _is_text(found.value_type if types.is_dictionary(found) else found)
    if fits or (column.nullable and types.is_null(found)):
        return None
    return f"{_EXPECTED[column.kind]}{' or null' if column.nullable else ''}"


def _is_text(found: pa.DataType) -> bool:
    """Not views: a body of 76 KB can name one text 1 000 times, 60 MB that its buffers do not show."""
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def validate(table: pa.Table) -> None:
    """All but what dictionaries stand for, which is validated where it is looked up. Raises what pyarrow raises."""
    table.validate()
    for column in table.columns:
        if not pa.types.is_dictionary(column.type):
            column.validate(full=True)


def columns_of(contract: Contract, table: pa.Table, max_bytes: int) -> Matrix | list[Values]:
    """In the contract's order; a Matrix where all is numbers and sound. Raises BodyTooLarge."""
    order = [table.column(column.name) for column in contract.features]
    if Matrix.fits(contract) and table.num_rows and not any(column.null_count for column in order):
        matrix = np.column_stack([_numbers(column) for column in order])
        if not np.isnan(matrix).any():
            return Matrix(matrix)
    bounds = int_bounds(contract)
    dictionaries, columns = Dictionaries(max_bytes), []
    for feature, column in zip(contract.features, order, strict=True):
        texts = dictionaries.texts(column) if pa.types.is_dictionary(column.type) else None
        columns.append(_values(feature, column, texts, bounds.get(feature.name, (INT_LOW, INT_HIGH))))
    return columns


def _values(feature: Column, column: pa.ChunkedArray, texts: list[Any] | None, bounds: tuple[int, int]) -> Values:
    """`texts`: the values of a column of a dictionary, which has nulls in two places."""
    values = column.to_pylist() if texts is None else texts
    nulls = column.null_count if texts is None else texts.count(None)
    if nulls and not feature.nullable:
        return values, False
    given = [value for value in values if value is not None] if nulls else values
    match feature.kind:
        case Kind.FLOAT:
            numbers = values if column.type == pa.float64() else [v if v is None else float(v) for v in values]
            return numbers, not any(map(isnan, given))
        case Kind.INT if given:
            whole = bool(pa.types.is_integer(column.type))
            return values, whole and bounds[0] <= min(given) and max(given) <= bounds[1]
        case Kind.STRING if given:
            return values, max(map(len, given)) <= STRING_CHARS_MAX
    return values, True


def _numbers(column: pa.ChunkedArray) -> Array:
    """Without nulls; not by `to_numpy`, which imports pandas."""
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
