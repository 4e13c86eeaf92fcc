"""What does kserve's client make of a service? `ask_kserve.py URL MODEL < rows` (JSON objects) prints it as JSON.

Runs in kserve's environment, so it imports nothing of ours.
"""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

KINDS = {"f": "FP64", "i": "INT64", "b": "BOOL", "U": "BYTES"}


def columns(rows: list[dict[str, Any]], *, binary: bool) -> list[InferInput]:
    """One tensor a feature."""
    tensors = []
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        tensor = InferInput(name, [len(rows)], KINDS[values.dtype.kind])
        tensor.set_data_from_numpy(values.astype(object) if values.dtype.kind == "U" else values, binary_data=binary)
        tensors.append(tensor)
    return tensors


async def by_v1(url: str, model: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_model_ready(url, model),
        "predictions": (await client.infer(url, {"instances": rows}, model_name=model))["predictions"],
    }


async def by_v2(url: str, model: str, rows: list[dict[str, Any]], *, binary: bool) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    request = InferRequest(model, columns(rows, binary=binary), request_id="mine", parameters={"priority": 1})
    found = await client.infer(url, request, model_name=model)
    return {
        "server": [await client.is_server_live(url), await client.is_server_ready(url)],
        "models": [await client.is_model_ready(url, name) for name in (model, "unknown")],
        "id": found.id,
        "model": found.model_name,
        "outputs": {output.name: output.as_numpy().tolist() for output in found.outputs},
    }


async def refused(url: str, model: str, rows: list[dict[str, Any]]) -> str:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    try:
        await client.infer(url, InferRequest(model, columns(rows, binary=True)[1:]), model_name=model)
    except httpx.HTTPStatusError as error:
        return str(error)
    return "answered"


async def main(url: str, model: str) -> None:
    """All of it, one after the other."""
    rows = json.load(sys.stdin)
    told = {
        "v1": await by_v1(url, model, rows),
        "v2": await by_v2(url, model, rows, binary=False),
        "v2_binary": await by_v2(url, model, rows, binary=True),
        "refused": await refused(url, model, rows),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
