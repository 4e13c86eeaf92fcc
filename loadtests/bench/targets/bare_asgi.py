"""The least that can answer: raw ASGI with the model and without."""

import os
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from asgi import answer, read

FEATURES = tuple(f"f{i}" for i in range(20))
Row = msgspec.defstruct("Row", [(name, float) for name in FEATURES])


class Named(msgspec.Struct):
    instances: list[Row]  # type: ignore[valid-type]


class Listed(msgspec.Struct):
    instances: list[list[float]]


_cells = attrgetter(*FEATURES)
_named = msgspec.json.Decoder(Named).decode
_listed = msgspec.json.Decoder(Listed).decode
_encode = msgspec.json.Encoder().encode
_options = ort.SessionOptions()
_options.intra_op_num_threads = 1
_run = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, providers=["CPUExecutionProvider"]).run


async def predict(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["method"] == "GET":
        await answer(send, b"{}")
        return
    body = await read(receive)
    rows = [_cells(row) for row in _named(body).instances] if scope["path"] == "/named" else _listed(body).instances
    probabilities = _run(["probabilities"], {"input": np.array(rows, np.float32)})[0]
    await answer(send, _encode({"predictions": probabilities.tolist()}))


async def empty(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answer(send, b"{}")
