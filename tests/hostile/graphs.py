"""How hostile and broken graphs are made: each function gives bytes, or a function that gives them."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from models.inspect import NODES_MAX
from tests.onnx_models import Tensors, mixed, proto

SPEC: Tensors = {"x": ("FP32", ["N", 1])}
BIG = 200_000  # squared, four bytes each: 160 GB


def plain_contract(output: tuple[int, ...] = (-1, 1)) -> bytes:
    """Of a graph x → y without column meaning."""
    x = {"name": "x", "datatype": "FP32", "shape": [-1, 1]}
    y = {"name": "y", "datatype": "FP32", "shape": list(output)}
    return json.dumps({"features": [], "inputs": [x], "outputs": [y], "output_columns": []}).encode()


def column_contract() -> bytes:
    """Of a graph x → y of one column each."""
    column = {"kind": "float", "low": 0, "high": 100}
    x = {"name": "x", "datatype": "FP32", "shape": [-1, 1], "columns": ["x"]}
    y = {"name": "y", "datatype": "FP32", "shape": [-1, 1], "columns": ["y"]}
    told = {
        "features": [{"name": "x", **column}],
        "inputs": [x],
        "outputs": [y],
        "output_columns": [{"name": "y", **column}],
    }
    return json.dumps(told).encode()


def plain() -> ModelProto:
    return proto([helper.make_node("Identity", ["x"], ["y"], name="first")], SPEC, {"y": ("FP32", ["N", 1])})


def changed(change: Callable[[ModelProto], Any]) -> Callable[[], bytes]:
    """The plain model after `change`."""

    def make() -> bytes:
        model = plain()
        change(model)
        return bytes(model.SerializeToString())

    return make


def graph(
    *nodes: NodeProto, constants: Mapping[str, list[int]] | None = None, y: Any = ("FP32", None)
) -> Callable[[], bytes]:
    """x → y by these nodes; whole-number constants by name, a scalar for one number in a list of none."""

    def make() -> bytes:
        tensors = [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in (constants or {}).items()]
        model = proto(nodes, SPEC, {"y": ("FP32", ["N", 1])}, tensors)
        if y[1] is None:
            model.graph.output[0].type.tensor_type.ClearField("shape")
        return bytes(model.SerializeToString())

    return make


def external(name: str = "weights", place: str = "/etc/passwd") -> TensorProto:
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def one(name: str = "v", kind: int = TensorProto.FLOAT) -> TensorProto:
    return helper.make_tensor(name, kind, [1], [1])


def sparse(values: TensorProto, size: int = 1) -> SparseTensorProto:
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [size])


def body(*tensors: TensorProto) -> GraphProto:
    return helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "body", [], [], tensors)


def adding(op: str, *inputs: str, **attributes: Any) -> Callable[[], bytes]:
    """The plain model with one more node."""
    return changed(lambda model: model.graph.node.append(helper.make_node(op, list(inputs), ["c"], **attributes)))


def function(name: str, *calls: str) -> Callable[[ModelProto], None]:
    """A local function that calls others."""
    nodes = [helper.make_node(called, ["a"], [f"b{number}"], domain="local") for number, called in enumerate(calls)]
    nodes.append(helper.make_node("Identity", ["a"], ["c"]))
    return lambda model: model.functions.append(
        helper.make_function("local", name, ["a"], ["c"], nodes, [*model.opset_import, helper.make_opsetid("local", 1)])
    )


def calling(*functions: Callable[[ModelProto], None]) -> Callable[[], bytes]:
    """A model that calls `F0` among these functions."""

    def change(model: ModelProto) -> None:
        for add in functions:
            add(model)
        model.opset_import.append(helper.make_opsetid("local", 1))
        model.graph.node.append(helper.make_node("F0", ["x"], ["c"], domain="local"))

    return changed(change)


def in_a_function(model: ModelProto) -> None:
    inner = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("local", "F", [], ["c"], [inner], model.opset_import))


def loop(trips: int, *, ends: bool = False) -> Callable[[], bytes]:
    """As many turns; with `ends` its condition is computed, and is always true."""
    declare = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", ["s"], ["s2"])]
    nodes.append(helper.make_node("Not" if ends else "Identity", ["never" if ends else "c"], ["c2"]))
    if ends:
        nodes.insert(0, helper.make_node("Not", ["c"], ["never"]))
    inner = helper.make_graph(
        nodes,
        "turn",
        [
            declare("i", TensorProto.INT64, []),
            declare("c", TensorProto.BOOL, []),
            declare("s", TensorProto.FLOAT, None),
        ],
        [declare("c2", TensorProto.BOOL, []), declare("s2", TensorProto.FLOAT, None)],
    )

    def make() -> bytes:
        count = helper.make_tensor("m", TensorProto.INT64, [], [trips])
        on = helper.make_tensor("on", TensorProto.BOOL, [], [True])
        node = helper.make_node("Loop", ["m", "on", "x"], ["y"], body=inner, name="forever")
        return bytes(proto([node], SPEC, {"y": ("FP32", ["N", 1])}, [count, on]).SerializeToString())

    return make


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def deep(levels: int) -> Callable[[], bytes]:
    """Graphs in graphs, by hand: protobuf itself would refuse to write them."""

    def make() -> bytes:
        inner = _field(1, _field(4, b"Identity"))
        for _ in range(levels):
            inner = _field(1, _field(4, b"If") + _field(5, _field(1, b"then_branch") + _field(6, inner)))
        return _field(7, inner) + bytes(ModelProto(ir_version=8, opset_import=plain().opset_import).SerializeToString())

    return make


def own_format() -> bytes:
    """A protobuf that the runtime would take for its own format: the mark stands where it looks for it."""
    return _field(100, b"") + _varint(101 << 3 | 2)[:1] + b"ORTM" + plain().SerializeToString()


def own_format_truly() -> bytes:
    """What the runtime itself wrote in it."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = f"{place}/model.ort"
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(plain().SerializeToString(), options, providers=["CPUExecutionProvider"])
        return (Path(place) / "model.ort").read_bytes()


def zipped(member: str) -> Callable[[], bytes]:
    def make() -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(member, b"x")
        return out.getvalue()

    return make


def numpy_archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, weights=np.zeros(4))
    return out.getvalue()


def cut(share: int) -> Callable[[], bytes]:
    """The first `share` of 64 parts of a real model."""
    return lambda: mixed()[: len(mixed()) * share // 64]


def made(op: str, *inputs: str, **attributes: Any) -> tuple[NodeProto, NodeProto, NodeProto]:
    """y = x + 0 · the sum of what `op` makes."""
    return (
        helper.make_node(op, list(inputs), ["made"], name="bomb", **attributes),
        helper.make_node("ReduceSum", ["made"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    )


def computed_shape(op: str = "ConstantOfShape") -> tuple[NodeProto, ...]:
    """Its shape is known when it runs: that of x, times `big`."""
    shape = (helper.make_node("Shape", ["x"], ["of_x"]), helper.make_node("Mul", ["of_x", "big"], ["shape"]))
    return (*shape, *made(op, *(["x", "shape"] if op == "Expand" else ["shape"])))


def of_its_values() -> tuple[NodeProto, ...]:
    """As large as a value that is sent says: 10¹⁰ times what x holds."""
    return (
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Mul", ["whole", "big"], ["shape"]),
        *made("ConstantOfShape", "shape"),
    )


def texts() -> tuple[NodeProto, ...]:
    """A thousand million strings."""
    return (
        helper.make_node("Shape", ["x"], ["of_x"]),
        helper.make_node("Mul", ["of_x", "big"], ["shape"]),
        helper.make_node(
            "ConstantOfShape", ["shape"], ["zeros"], value=helper.make_tensor("z", TensorProto.INT8, [1], [0])
        ),
        helper.make_node("Cast", ["zeros"], ["words"], to=TensorProto.STRING),
        helper.make_node("Cast", ["words"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    )


def not_a_number() -> bytes:
    nodes = [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["zero", "zero"], ["y"])]
    return bytes(proto(nodes, SPEC, {"y": ("FP32", ["N", 1])}).SerializeToString())


def fewer_rows() -> bytes:
    """One answer, however many rows are sent."""
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)]
    return bytes(proto(nodes, SPEC, {"y": ("FP32", ["M", 1])}).SerializeToString())


def wrong_initializer(**fields: Any) -> Callable[[], bytes]:
    return changed(lambda model: model.graph.initializer.append(TensorProto(name="weights", **fields)))


def wide_node(model: ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["z"])
    for number in range(1_001):
        node.attribute.append(helper.make_attribute(f"a{number}", 1))
    model.graph.node.append(node)


def many_nodes() -> bytes:
    node = helper.make_node("Identity", ["x"], ["y"]).SerializeToString()
    inner = _field(1, node) * (NODES_MAX + 1)
    return _field(7, inner) + bytes(ModelProto(ir_version=8, opset_import=plain().opset_import).SerializeToString())


def in_a_sparse_initializer(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(external()))


def much_of_little(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(one(), 10**12))


def wide_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=10**12)


def imported(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.evil", 1))


def unknown_fields() -> bytes:
    return bytes(plain().SerializeToString()) + _field(500, b"?" * 9)


def chain(depth: int, times: int = 1) -> Callable[[], bytes]:
    """Functions that call the next one so many times each."""
    return calling(*(function(f"F{n}", *[f"F{n + 1}"] * times) for n in range(depth)), function(f"F{depth}"))
