from pathlib import Path

import pandas as pd
import pytest

from models.contract import Kind
from models.derive import derive
from models.errors import ContractInvalid
from models.tabular import read_table
from tests.unit.models.graphs import echo

CSV = "amount,age,visits,member,country,at\n1.0,31,3,true,NA,2026-06-01\n2.5,,4,false,DE,2026-06-02\n,40,5,true,,2026-06-03\n"
GRAPH = echo({"X": ("FP32", ["N", 4]), "T": ("BYTES", ["N", 1])})


def written(folder: Path, text: str) -> Path:
    path = folder / "train.csv"
    path.write_text(text)
    return path


def test_a_csv_file_keeps_kinds_nulls_and_a_country_called_na(tmp_path: Path) -> None:
    contract, _ = derive(GRAPH, "test:1", read_table(written(tmp_path, CSV)), time="at")
    assert [(c.name, c.kind, c.nullable) for c in contract.features] == [
        ("amount", Kind.FLOAT, True),
        ("age", Kind.INT, True),
        ("visits", Kind.INT, False),
        ("member", Kind.BOOL, False),
        ("country", Kind.STRING, True),
    ]
    assert contract.features[-1].categories == ("DE", "NA")


@pytest.mark.parametrize("mark", ["NA", "N/A", "NaN", "nan", "NULL", "null", "None", ""])
def test_null_marks_are_null_among_numbers(tmp_path: Path, mark: str) -> None:
    frame = read_table(written(tmp_path, f'a\n1\n"{mark}"\n3\n'))
    assert frame["a"].isna().tolist() == [False, True, False]
    assert frame["a"].dtype == "Int64"


def test_a_text_among_numbers_stays_text_with_its_marks(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a\n1\nNA\nx\n"))
    assert frame["a"].tolist() == ["1", "NA", "x"]


def test_parquet_and_csv_of_one_table_give_one_contract(tmp_path: Path) -> None:
    from_csv = read_table(written(tmp_path, CSV))
    from_csv.to_parquet(tmp_path / "train.parquet")
    from_parquet = read_table(tmp_path / "train.parquet")
    assert derive(GRAPH, "test:1", from_csv, time="at") == derive(GRAPH, "test:1", from_parquet, time="at")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("train.csv", None, "No such file"),
        ("train.parquet", None, "No such file"),
        ("train.xlsx", b"", "ending '.xlsx'"),
        ("train.csv", b"", "No columns"),
        ("train.csv", b"a,b\n1,2\n1,2,3\n", "Error tokenizing"),
        ("train.csv", b"a\n\xff\xfe\n", "utf-8"),
        ("train.parquet", b"no parquet", "Parquet"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_name(
    tmp_path: Path, name: str, content: bytes | None, found: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ContractInvalid) as refused:
        read_table(path)
    assert name in refused.value.where
    assert found.lower() in refused.value.found.lower()


def test_a_data_frame_is_read_back_from_parquet_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, None], "t": ["x", None]})
    frame.to_parquet(tmp_path / "train.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "train.parquet"), frame)
