"""FastAPI as its documentation shows it: pydantic models in and out, the session run inside `async def`."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Rows(BaseModel):
    instances: list[list[float]]


class Predictions(BaseModel):
    predictions: list[list[float]]


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.post("/predict")
async def predict(rows: Rows) -> Predictions:
    probabilities = session.run(["probabilities"], {"input": np.array(rows.instances, np.float32)})[0]
    return Predictions(predictions=probabilities.tolist())
