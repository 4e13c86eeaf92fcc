"""Which models do the systems serve, what are they asked, and what must they answer?

- `gbdt`: a 100-tree gradient-boosted classifier on 20 features; a row takes some 10 µs, so the server is what is measured;
- `wide`: five dense layers of 4096 × 4096 floats behind the same 20 features: each layer's 64 MiB must come from memory in
  each run, about 10 ms for one row and not much more for sixteen, so joining requests pays;
- `payments`: the demo model that ships with the project: floats, integers and strings, some null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

from loadtests.bench.wires import Rows
from models.demo.simulator import CATEGORICAL, NUMERIC, payments
from models.demo.simulator import rows as payment_rows

FEATURES = tuple(f"f{i}" for i in range(20))
TREES = 100
WIDTH = 4096  # 64 MiB a layer, more than the caches of most machines that serve
LAYERS = 5  # of one and the same matrix: the file stays small, the time does not
TRAINING_ROWS = 5_000
SEED = 20
DEMO = Path(__file__).resolve().parents[2] / "models/demo/artefacts"
NOON_S = 1_780_000_000.0  # a moment for the payments' seasons; any would do

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """`train` None: it ships with the project, so nothing is registered. `rows(n)` are the same ones whenever asked."""

    name: str
    file: Path
    train: Path | None
    rows: Callable[[int], Rows]
    feed: Callable[[Rows], dict[str, Any]]


def gbdt(folder: Path) -> Model:
    """Trained from a seed once, then found again."""
    file, train = folder / "gbdt.onnx", _training(folder)
    if not file.exists():
        rows, label = _data()
        _write(file, _trees(rows.astype(np.float32), label))
    return Model("gbdt", file, train, tabular_rows, _matrix)


def wide(folder: Path) -> Model:
    """Drawn from a seed: nobody needs its opinion, only its time."""
    file, train = folder / "wide.onnx", _training(folder)
    if not file.exists():
        _write(file, _dense())
    return Model("wide", file, train, tabular_rows, _matrix)


def demo_payments(folder: Path) -> Model:
    """Version 1, the one that is stable in a fresh home."""
    return Model("payments", DEMO / "payments/1/model.onnx", None, _payments, _two_tensors)


MODELS: dict[str, Callable[[Path], Model]] = {"gbdt": gbdt, "wide": wide, "payments": demo_payments}


def _data() -> tuple[Floats, npt.NDArray[np.int64]]:
    rows, label = make_classification(n_samples=TRAINING_ROWS, n_features=len(FEATURES), random_state=SEED)
    return rows, label


def _training(folder: Path) -> Path:
    file = folder / "train.csv"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        head = ",".join([*FEATURES, "label"])
        np.savetxt(file, np.column_stack(_data()), delimiter=",", header=head, comments="", fmt="%.6g")
    return file


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all: a run that is interrupted leaves nothing that the next one would take for a model."""
    aside = file.with_suffix(".new")
    aside.write_bytes(data)
    aside.rename(file)


def _trees(rows: npt.NDArray[np.float32], label: npt.NDArray[np.int64]) -> bytes:
    classifier = GradientBoostingClassifier(n_estimators=TREES, random_state=SEED).fit(rows, label)
    graph = skl2onnx.to_onnx(
        classifier,
        initial_types=[("input", FloatTensorType([None, len(FEATURES)]))],
        options={"zipmap": False},
        target_opset=17,
    )
    return bytes(graph.SerializeToString())


def _dense() -> bytes:
    rng = np.random.default_rng(SEED)
    weights = {
        "first": rng.normal(
            0, len(FEATURES) ** -0.5, (len(FEATURES), WIDTH)
        ),  # such a σ keeps the scale from layer to layer
        "middle": rng.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)),
        "last": rng.normal(0, WIDTH**-0.5, (WIDTH, 2)),
    }
    nodes, before = [], "input"
    for place, name in enumerate(["first", *["middle"] * LAYERS, "last"]):
        nodes.append(helper.make_node("MatMul", [before, name], [f"sum{place}"]))
        nodes.append(helper.make_node("Tanh", [f"sum{place}"], [f"layer{place}"]))
        before = f"layer{place}"
    nodes.append(helper.make_node("Softmax", [before], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(matrix.astype(np.float32), name) for name, matrix in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def tabular_rows(n: int) -> Rows:
    """The first n of what `gbdt` and `wide` are asked."""
    cells = np.random.default_rng(SEED).normal(0, 1, (n, len(FEATURES))).round(2)
    return [dict(zip(FEATURES, map(float, row), strict=True)) for row in cells]


def _payments(n: int) -> Rows:
    return payment_rows(payments(np.random.default_rng(SEED), np.full(n, NOON_S)))


def _matrix(rows: Rows) -> dict[str, Any]:
    return {"input": np.array([list(row.values()) for row in rows], np.float32)}


def _two_tensors(rows: Rows) -> dict[str, Any]:
    numeric = [[row[name] for name in NUMERIC] for row in rows]
    categorical = [[str(row[name]) for name in CATEGORICAL] for row in rows]
    return {"numeric": np.array(numeric, np.float32), "categorical": np.array(categorical)}
