"""Runs a graph: the only file that imports onnxruntime.

The bytes given here are the bytes that were hashed and inspected: nothing is read from disk after that.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import onnxruntime as ort

from models.errors import ArtifactRefused, Reason, RunFailed
from models.tensors import Array

REASON_CHARS = 1_000
_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}

# What is loaded is what was inspected: a protobuf that could also be read as ONNX Runtime's own format is read as ONNX, and a
# tensor outside the file would be looked for where nothing is.
CONFIG = {
    "session.load_model_format": "ONNX",
    "session.model_external_initializers_file_folder_path": "/nonexistent",
}


class GraphTensor(msgspec.Struct, frozen=True):
    """An input or output as the graph declares it: V2 `datatype`, `shape` with -1 for free dimensions, batch first."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Session:
    """One loaded graph. `run` may be called from any thread; it releases the GIL while it computes."""

    def __init__(self, model: bytes, *, ref: str, threads: int = 1) -> None:
        """Raises ArtifactRefused when the runtime does not accept the graph."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        for key, value in CONFIG.items():
            options.add_session_config_entry(key, value)
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise ArtifactRefused(ref, _reason(error), "a graph that ONNX Runtime loads", Reason.LOAD) from error
        self.ref = ref
        self.inputs = tuple(_declared(tensor, ref) for tensor in self._session.get_inputs())
        self.outputs = tuple(_declared(tensor, ref) for tensor in self._session.get_outputs())
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._names = [tensor.name for tensor in self.outputs]
        self._run = self._session.run

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Outputs in graph order. Raises RunFailed with the runtime's reason."""
        try:
            return self._run(self._names, inputs)  # type: ignore[no-any-return]
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise RunFailed(self.ref, _reason(error)) from error


def _reason(error: Exception) -> str:
    """The last line of what the runtime says, clipped: it repeats names of the graph, which may have any length."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if len(lines[-1]) <= REASON_CHARS else f"{lines[-1][:REASON_CHARS]}…"


def _declared(tensor: Any, ref: str) -> GraphTensor:
    if tensor.type not in _DATATYPES:
        raise ArtifactRefused(
            f"{ref}, tensor {tensor.name!r}", tensor.type, "a dense tensor of numbers, bools or strings"
        )
    shape = tuple(dim if isinstance(dim, int) and dim > 0 else -1 for dim in tensor.shape)
    return GraphTensor(tensor.name, _DATATYPES[tensor.type], shape)
