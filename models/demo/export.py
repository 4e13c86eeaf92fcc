"""How does a scikit-learn pipeline become ONNX bytes that are the same every time?

Law: the bytes follow from the fitted pipeline and the versions of the exporter alone: who made them, when and with what
is not in them, and what the exporter leaves unordered is sorted.
"""

import json
from collections.abc import Mapping
from typing import Any

from onnx import ModelProto, StringStringEntryProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from models.binding import COLUMNS_KEY

OPSETS = {"": 17, "ai.onnx.ml": 3}  # old enough for every runtime that is still supported


def export(
    name: str, pipeline: Any, floats: Mapping[str, tuple[str, ...]], texts: Mapping[str, tuple[str, ...]]
) -> bytes:
    """The graph of a fitted classifier; `floats` and `texts` name the columns of each input matrix.

    Outputs are `label` [N] and `probabilities` [N, classes], one tensor instead of a list of maps (zipmap off).
    """
    types = [(tensor, FloatTensorType([None, len(columns)])) for tensor, columns in floats.items()]
    types += [(tensor, StringTensorType([None, len(columns)])) for tensor, columns in texts.items()]
    model = convert_sklearn(pipeline, name=name, initial_types=types, options={"zipmap": False}, target_opset=OPSETS)
    return _canonical(model, {**floats, **texts})


def _canonical(model: ModelProto, columns: Mapping[str, tuple[str, ...]]) -> bytes:
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        model.ClearField(field)
    model.graph.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    del model.metadata_props[:]
    model.metadata_props.append(StringStringEntryProto(key=COLUMNS_KEY, value=json.dumps(columns, sort_keys=True)))
    return bytes(model.SerializeToString(deterministic=True))
