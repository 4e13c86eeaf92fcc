"""The least that can answer: raw ASGI with the model and without."""

import os
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort


class Rows(msgspec.Struct):
    instances: list[list[float]]


_decode = msgspec.json.Decoder(Rows).decode
_encode = msgspec.json.Encoder().encode
_options = ort.SessionOptions()
_options.intra_op_num_threads = 1
_run = ort.InferenceSession(os.environ["BENCH_MODEL"], _options, providers=["CPUExecutionProvider"]).run


async def predict(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["method"] == "GET":
        await _answer(send, b"{}")
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    rows = np.array(_decode(body).instances, np.float32)
    await _answer(send, _encode({"predictions": _run(["probabilities"], {"input": rows})[0].tolist()}))


async def empty(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await _answer(send, b"{}")


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
