"""Names of the Open Inference Protocol's datatypes and the numpy types behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.contract import Kind

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES: Mapping[str, type] = {
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "BOOL": np.bool_,
    "BYTES": object,
}


def kind_of_tensor(datatype: str) -> Kind:
    """What a column in a tensor of this datatype holds when nothing else is known."""
    if datatype in ("BYTES", "BOOL"):
        return Kind.STRING if datatype == "BYTES" else Kind.BOOL
    return Kind.FLOAT if datatype.startswith("FP") else Kind.INT
