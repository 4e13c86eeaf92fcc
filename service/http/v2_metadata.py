"""Open Inference Protocol V2: what the server and its models say about themselves."""

from collections.abc import Sequence
from typing import Any

import msgspec

from models.contract import Kind, Tensor
from service.served import ServedVersion

_COLUMN_DATATYPES = {Kind.FLOAT: "FP64", Kind.INT: "INT64", Kind.BOOL: "BOOL", Kind.STRING: "BYTES"}
EXTENSIONS = ("binary_tensor_data", "model_repository(index)", "model_configuration", "statistics")  # only what works


def server_metadata(version: str) -> bytes:
    """`GET /v2`; the extensions list names only what works."""
    return msgspec.json.encode({"name": "plumbline", "version": version, "extensions": EXTENSIONS})


def model_metadata(versions: Sequence[ServedVersion]) -> bytes:
    """`GET /v2/models/{m}`: the graph's own tensors; `parameters.features` names the columns that may be sent instead."""
    version = versions[0]
    contract = version.contract
    return msgspec.json.encode(
        {
            "name": version.pin.name,
            "versions": [other.pin.version for other in versions],
            "platform": "onnxruntime_onnx",
            "inputs": [_described(tensor) for tensor in contract.inputs],
            "outputs": [_described(tensor) for tensor in contract.outputs],
            "parameters": {
                "digest": version.pin.digest,
                "features": [
                    {"name": c.name, "datatype": _COLUMN_DATATYPES[c.kind], "nullable": c.nullable}
                    for c in contract.features
                ],
            },
        }
    )


def model_config(version: ServedVersion) -> bytes:
    """`GET /v2/models/{m}/config`, in the words of Triton's model configuration that load generators read."""
    return msgspec.json.encode(
        {
            "name": version.pin.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "max_batch_size": 0,
            "input": [_configured(tensor) for tensor in version.contract.inputs],
            "output": [_configured(tensor) for tensor in version.contract.outputs],
            "version_policy": {"specific": {"versions": [version.pin.version]}},
        }
    )


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _configured(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": tensor.shape}


def repository_index(versions: Sequence[ServedVersion], failed: Sequence[tuple[str, str, str]]) -> bytes:
    """`POST /v2/repository/index`; `failed` are (name, version, reason) of pins that could not be loaded."""
    ready = [{"name": v.pin.name, "version": v.pin.version, "state": "READY", "reason": ""} for v in versions]
    broken = [{"name": n, "version": v, "state": "UNAVAILABLE", "reason": reason} for n, v, reason in failed]
    return msgspec.json.encode([*ready, *broken])
