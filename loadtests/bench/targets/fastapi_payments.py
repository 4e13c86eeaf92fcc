"""FastAPI with the payments model: floats, integers that may be null, and strings by a pydantic model."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from payment_row import Payment
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Payments(BaseModel):
    instances: list[Payment]


class Predictions(BaseModel):
    predictions: list[list[float]]


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.post("/named")
async def named(body: Payments) -> Predictions:
    table = [tuple(row.__dict__.values()) for row in body.instances]
    numeric = np.array([row[:5] for row in table], np.float32)  # None becomes NaN
    categorical = np.array([row[5:] for row in table], object)
    probabilities = session.run(["probabilities"], {"numeric": numeric, "categorical": categorical})[0]
    return Predictions(predictions=probabilities.tolist())
