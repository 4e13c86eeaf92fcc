from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from models.add import add
from models.baseline import Baseline
from models.contract import Contract, Privacy
from models.errors import ArtifactMissing, ArtifactRefused, ContractInvalid
from models.manifest import BASELINE, CARD, CONTRACT, MODEL
from models.pool import Pool
from models.registry import Registry
from tests.onnx_models import echo, image, install
from tests.trying import trials

pytestmark = pytest.mark.slow

GRAPH = echo({"age": ("FP32", ["N", 1]), "city": ("BYTES", ["N", 1])})
TABLE = "age,city,label\n1.5,oslo,0\n,rome,1\n3.5,oslo,0\n"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "model.onnx").write_bytes(GRAPH)
    (tmp_path / "train.csv").write_text(TABLE)
    return Registry(tmp_path / "registry")


def test_a_graph_with_its_data_is_registered_with_contract_baseline_and_card(
    tmp_path: Path, registry: Registry
) -> None:
    added = add(registry, tmp_path / "model.onnx", "m:1", trials=trials(), data=tmp_path / "train.csv", label="label")
    files = registry.read_files(added.digest, "m:1")
    assert set(files) == {MODEL, CONTRACT, BASELINE, CARD}
    assert files[MODEL] == GRAPH
    assert Contract.decode(files[CONTRACT]) == added.contract
    assert [(column.name, column.nullable) for column in added.contract.features] == [("age", True), ("city", False)]
    assert added.baseline_rows == 3
    card = msgspec.json.decode(files[CARD])
    assert (card["data_sha256"], card["label"]) == (sha256(TABLE.encode()).hexdigest(), "label")
    assert set(card["libraries"]) == {"onnx", "onnxruntime", "numpy"}


def test_a_graph_without_data_is_registered_without_a_baseline(tmp_path: Path, registry: Registry) -> None:
    added = add(registry, tmp_path / "model.onnx", "m:1", trials=trials())
    assert set(registry.read_files(added.digest, "m:1")) == {MODEL, CONTRACT, CARD}
    assert added.baseline_rows == 0


def test_what_was_added_can_be_served(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "image.onnx").write_bytes(image())
    added = add(registry, tmp_path / "image.onnx", "image:1", trials=trials())
    files = registry.read_files(added.digest, "image:1")
    pin = install(tmp_path, "image", "1", files[MODEL], Contract.decode(files[CONTRACT]))
    assert Pool(Registry(tmp_path / "registry"), threads=1).load(pin).contract == added.contract
    assert not added.contract.tabular


@pytest.mark.parametrize("model", [b"", b"junk", GRAPH[:-9]])
def test_what_is_refused_is_not_registered(tmp_path: Path, registry: Registry, model: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(model)
    with pytest.raises(ArtifactRefused):
        add(registry, tmp_path / "model.onnx", "m:1", trials=trials())
    assert not registry.root.exists()


def test_data_that_does_not_fit_and_files_that_are_not_there_register_nothing(
    tmp_path: Path, registry: Registry
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ContractInvalid):
        add(registry, tmp_path / "model.onnx", "m:1", trials=trials(), data=tmp_path / "other.csv")
    with pytest.raises(ContractInvalid):
        add(
            registry,
            tmp_path / "model.onnx",
            "m:1",
            trials=trials(),
            data=tmp_path / "train.csv",
            label="nothing",
        )
    with pytest.raises(ArtifactMissing):
        add(registry, tmp_path / "nothing.onnx", "m:1", trials=trials())
    assert not registry.root.exists()


def test_what_is_private_is_declared_with_the_edges_it_needs(tmp_path: Path, registry: Registry) -> None:
    privacy = {"age": Privacy.BUCKET, "city": Privacy.DROP}
    added = add(
        registry,
        tmp_path / "model.onnx",
        "m:1",
        trials=trials(),
        data=tmp_path / "train.csv",
        label="label",
        privacy=privacy,
    )
    age, city = added.contract.features
    assert (age.privacy, age.edges) == (Privacy.BUCKET, (2.5,))
    assert (city.privacy, city.categories) == (Privacy.DROP, None)
    baseline = Baseline.decode(registry.read_files(added.digest, "m:1")[BASELINE])
    assert baseline.features[1].categories is None
    assert baseline.features[1].n == 0


@pytest.mark.parametrize(
    ("privacy", "found"),
    [({"agee": Privacy.DROP}, "no feature 'agee'"), ({"age": Privacy.BUCKET}, "no training data")],
)
def test_a_privacy_that_cannot_be_kept_is_refused(
    tmp_path: Path, registry: Registry, privacy: dict[str, Privacy], found: str
) -> None:
    with pytest.raises(ContractInvalid, match=found):
        add(registry, tmp_path / "model.onnx", "m:1", trials=trials(), privacy=privacy)
    assert not registry.root.exists()
