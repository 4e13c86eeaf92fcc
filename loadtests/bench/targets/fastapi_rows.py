"""FastAPI as its documentation shows it: pydantic models in and out, the session run inside `async def` or `def`."""

import os
from operator import attrgetter

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel, create_model

FEATURES = tuple(f"f{i}" for i in range(20))
Row = create_model("Row", **dict.fromkeys(FEATURES, (float, ...)))
cells = attrgetter(*FEATURES)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Named(BaseModel):
    instances: list[Row]


class Listed(BaseModel):
    instances: list[list[float]]


class Predictions(BaseModel):
    predictions: list[list[float]]


def predicted(rows: list) -> Predictions:
    probabilities = session.run(["probabilities"], {"input": np.array(rows, np.float32)})[0]
    return Predictions(predictions=probabilities.tolist())


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.post("/named")
async def named(body: Named) -> Predictions:
    return predicted([cells(row) for row in body.instances])


@app.post("/listed")
async def listed(body: Listed) -> Predictions:
    return predicted(body.instances)


@app.post("/named-sync")
def named_sync(body: Named) -> Predictions:
    return predicted([cells(row) for row in body.instances])


@app.post("/listed-sync")
def listed_sync(body: Listed) -> Predictions:
    return predicted(body.instances)
