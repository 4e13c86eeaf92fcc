"""BentoML as its documentation shows it: a service class, an `@bentoml.api`, arrays in and out, default settings."""

import os

import bentoml
import numpy as np
import onnxruntime as ort


def _session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])


@bentoml.service
class Sync:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    def classify(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]


@bentoml.service
class Async:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api
    async def classify(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]


@bentoml.service
class Batchable:
    def __init__(self) -> None:
        self.session = _session()

    @bentoml.api(batchable=True)
    def classify(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"input": rows.astype(np.float32)})[0]
