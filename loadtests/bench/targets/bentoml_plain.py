"""BentoML as its documentation shows it: a service class, an `@bentoml.api`, pydantic models or arrays in, default settings."""

import os
from operator import attrgetter

import bentoml
import numpy as np
import onnxruntime as ort
from payment_row import Payment
from pydantic import create_model

FEATURES = tuple(f"f{i}" for i in range(20))
Row = create_model("Row", **dict.fromkeys(FEATURES, (float, ...)))
cells = attrgetter(*FEATURES)


def _session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])


def _matrix(rows: list[Row]) -> np.ndarray:
    return np.array([cells(row) for row in rows], np.float32)


@bentoml.service
class Sync:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    def named(self, rows: list[Row]) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": _matrix(rows)})[0]

    @bentoml.api
    def listed(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]


@bentoml.service
class Async:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    async def named(self, rows: list[Row]) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": _matrix(rows)})[0]

    @bentoml.api
    async def listed(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]


@bentoml.service
class Batchable:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api(batchable=True)
    def named(self, rows: list[Row]) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": _matrix(rows)})[0]

    @bentoml.api(batchable=True)
    def listed(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]


@bentoml.service
class Payments:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    async def named(self, rows: list[Payment]) -> np.ndarray:
        table = [tuple(row.__dict__.values()) for row in rows]
        numeric = np.array([row[:5] for row in table], np.float32)
        categorical = np.array([row[5:] for row in table], object)
        return self.session.run(["probabilities"], {"numeric": numeric, "categorical": categorical})[0]
