"""Small real graphs for tests: what goes in comes out again, under `<name>_out`."""

import json
from collections.abc import Mapping, Sequence

from onnx import NodeProto, TensorProto, helper

from models.session import Session
from tests.onnx_models import proto

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
    model = proto(nodes, inputs, outputs, constants)
    if columns is not None:
        helper.set_model_props(model, {"plumbline.columns": columns})
    return Session(model.SerializeToString(), ref="test:1")
