import shlex
from pathlib import Path

import msgspec
import pytest

from models.add import add
from models.contract import Column, Contract, Kind
from models.example import example_body
from models.lock import Pin
from models.lock_file import LockFile
from models.registry import Registry
from service.http.v1 import V1
from service.rows import Table
from tests.onnx_models import echo, image, image_contract, install, mixed, mixed_contract
from tests.trying import trials
from tests.unit.service.serving import served


def test_an_empty_home_and_one_of_plain_tensors_have_no_example(tmp_path: Path) -> None:
    assert example_body(tmp_path) is None
    install(tmp_path, "image", "1", image(), image_contract())
    assert example_body(tmp_path) is None


@pytest.mark.parametrize("category", ["oslo", "l'Aquila", 'a "quoted" one', "naïve\nline"])
def test_the_example_is_one_valid_row_and_survives_a_shells_quotes(tmp_path: Path, category: str) -> None:
    categories = tuple(sorted({category, "zz"}))
    install(tmp_path, "image", "1", image(), image_contract())
    install(tmp_path, "mixed", "1", mixed(), mixed_contract(categories))
    found = example_body(tmp_path)
    assert found is not None
    model, body = found
    assert model == "mixed"
    assert shlex.split(f"curl -d '{body}'") == ["curl", "-d", body]
    decoded = V1().decode(served(tmp_path), body.encode()).inputs
    assert isinstance(decoded, Table)
    assert decoded.rows[0][4] == categories[0]


def test_a_column_whose_name_holds_a_quote_is_named_whole(tmp_path: Path) -> None:
    contract = mixed_contract()
    renamed = Contract(
        features=(Column(name="user's city", kind=Kind.STRING),),
        inputs=(msgspec.structs.replace(contract.inputs[3], name="c", columns=("user's city",)),),
        outputs=(msgspec.structs.replace(contract.outputs[1], name="c_out", columns=()),),
        output_columns=(),
    )
    install(tmp_path, "echo", "1", echo({"c": ("BYTES", ["N", 1])}), renamed)
    found = example_body(tmp_path)
    assert found is not None and "'" not in found[1]
    assert msgspec.json.decode(found[1]) == {"instances": [{"user's city": ""}]}


def test_with_a_baseline_the_example_is_what_is_usual(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(echo({"age": ("FP32", ["N", 1]), "city": ("BYTES", ["N", 1])}))
    (tmp_path / "train.csv").write_text("age,city\n10,oslo\n20,rome\n30,rome\n")
    added = add(
        Registry(tmp_path / "registry"), tmp_path / "model.onnx", "m:1", trials=trials(), data=tmp_path / "train.csv"
    )
    LockFile(tmp_path / "models.lock.toml").pin(Pin(name="m", version="1", digest=added.digest, source="file:x"))
    found = example_body(tmp_path)
    assert found is not None
    assert msgspec.json.decode(found[1]) == {"instances": [{"age": 20, "city": "rome"}]}
