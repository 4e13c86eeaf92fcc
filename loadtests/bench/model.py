"""Which model does every system serve: a 100-tree gradient-boosted classifier on 20 features, made here from a seed."""

from pathlib import Path

import numpy as np
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier

FEATURES = 20
TREES = 100
TRAINING_ROWS = 5_000
SEED = 20


def write(folder: Path) -> tuple[Path, Path]:
    """The ONNX file and its training data as CSV (last column `label`); made once, then found again."""
    model, train = folder / "gbdt.onnx", folder / "train.csv"
    if not (model.exists() and train.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        rows, label = make_classification(n_samples=TRAINING_ROWS, n_features=FEATURES, random_state=SEED)
        names = [f"f{i}" for i in range(FEATURES)]
        table = np.column_stack([rows, label])
        np.savetxt(train, table, delimiter=",", header=",".join([*names, "label"]), comments="", fmt="%.6g")
        model.write_bytes(_graph(rows.astype(np.float32), label))
    return model, train


def _graph(rows: np.ndarray, label: np.ndarray) -> bytes:
    classifier = GradientBoostingClassifier(n_estimators=TREES, random_state=SEED).fit(rows, label)
    graph = skl2onnx.to_onnx(
        classifier,
        initial_types=[("input", FloatTensorType([None, FEATURES]))],
        options={"zipmap": False},
        target_opset=17,
    )
    return bytes(graph.SerializeToString())
