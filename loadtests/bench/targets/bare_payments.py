"""Raw ASGI with the payments model: floats, integers that may be null, and strings by a msgspec struct."""

import os
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from asgi import answer, read


class Payment(msgspec.Struct):
    amount: float
    customer_age: int | None
    account_age_days: int
    payments_last_24h: int
    minutes_since_last: float | None
    merchant_category: str
    country: str
    channel: str


class Payments(msgspec.Struct):
    instances: list[Payment]


_decode = msgspec.json.Decoder(Payments).decode
_encode = msgspec.json.Encoder().encode
_options = ort.SessionOptions()
_options.intra_op_num_threads = 1
_run = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, providers=["CPUExecutionProvider"]).run


async def predict(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b"" if scope["method"] == "GET" else await read(receive)
    await answer(send, _predicted(body) if body else b"{}")


def _predicted(body: bytes) -> bytes:
    rows = [msgspec.structs.astuple(row) for row in _decode(body).instances]
    numeric = np.array([row[:5] for row in rows], np.float32)  # None becomes NaN
    categorical = np.array([row[5:] for row in rows], object)
    probabilities = _run(["probabilities"], {"numeric": numeric, "categorical": categorical})[0]
    return _encode({"predictions": probabilities.tolist()})
