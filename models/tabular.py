"""How is a file of training data read as a table?

CSV: a comma between cells, names in the first line. An empty cell is null; so are the marks below in a column of
numbers, but not in a column of text, where NA is Namibia. Parquet keeps its own types.
"""

from pathlib import Path

import pandas as pd

from models.errors import ContractInvalid

NULL_MARKS = (
    "",
    "NA",
    "N/A",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
)  # as pandas, R, SQL and Python write a missing number


def read_table(path: Path) -> pd.DataFrame:
    """Raises ContractInvalid when the file is not there, has another ending, or cannot be read as a table."""
    if not path.is_file():
        raise ContractInvalid(f"training data {path}", "no such file", "a .csv or .parquet file")
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".parquet":
            return _read_parquet(path)
        case ending:
            raise ContractInvalid(f"training data {path}", f"ending {ending!r}", ".csv or .parquet")


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            path, keep_default_na=False, na_values=[""], dtype_backend="numpy_nullable", low_memory=False
        )
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise ContractInvalid(
            f"training data {path}", _first_line(error), "a readable CSV file with a header"
        ) from error
    for name in frame.columns:
        frame[name] = _numbers_with_marks(frame[name])
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
        raise ContractInvalid(f"training data {path}", _first_line(error), "a readable Parquet file") from error


def _numbers_with_marks(column: pd.Series) -> pd.Series:
    """The column as numbers when everything in it but null marks is a number, else as it was."""
    if not pd.api.types.is_string_dtype(column):
        return column
    marked = column.isin(NULL_MARKS)
    if not marked.any() or (marked | column.isna()).all():
        return column
    numbers = pd.to_numeric(column.mask(marked), errors="coerce")
    return column if (numbers.isna() & ~marked & ~column.isna()).any() else numbers


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
