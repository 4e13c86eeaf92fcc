"""Small real graphs for tests: what goes in comes out again, under `<name>_out`."""

import json
from collections.abc import Mapping, Sequence

from onnx import ModelProto, NodeProto, TensorProto, helper

from models.session import Session

TYPES = {
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}
Shape = Sequence[int | str]


def echo(inputs: Mapping[str, tuple[str, Shape]], columns: Mapping[str, Sequence[str]] | None = None) -> Session:
    """A session that answers its inputs; `columns` goes into the graph's metadata."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    outputs = {f"{name}_out": spec for name, spec in inputs.items()}
    return session(nodes, inputs, outputs, None if columns is None else json.dumps(columns))


def session(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[str, Shape]],
    outputs: Mapping[str, tuple[str, Shape]],
    columns: str | None = None,
    constants: Sequence[TensorProto] = (),
) -> Session:
    """A session of these nodes."""
    declare = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "test",
        [declare(name, TYPES[datatype], shape) for name, (datatype, shape) in inputs.items()],
        [declare(name, TYPES[datatype], shape) for name, (datatype, shape) in outputs.items()],
        list(constants),
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if columns is not None:
        helper.set_model_props(model, {"plumbline.columns": columns})
    return Session(model.SerializeToString(), ref="test:1")
