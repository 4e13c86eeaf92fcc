"""Small real models for tests: built with `onnx.helper`, described by hand, installed and pinned in a home."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.contract import Column, Contract, Kind, Tensor
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import CONTRACT, MODEL
from models.registry import Registry

TYPES = {
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT8": TensorProto.INT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}
Tensors = Mapping[str, tuple[str, Sequence[int | str]]]
CITIES = ("oslo", "rome")


def proto(
    nodes: Sequence[NodeProto], inputs: Tensors, outputs: Tensors, constants: Sequence[TensorProto] = ()
) -> ModelProto:
    """A model of these nodes; tensors are name → (V2 datatype, shape)."""
    declare = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "test",
        [declare(name, TYPES[datatype], shape) for name, (datatype, shape) in inputs.items()],
        [declare(name, TYPES[datatype], shape) for name, (datatype, shape) in outputs.items()],
        list(constants),
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model


def echo(inputs: Tensors) -> bytes:
    """What goes in comes out again, under `<name>_out`."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    return proto(nodes, inputs, {f"{name}_out": spec for name, spec in inputs.items()}).SerializeToString()


def mixed(bias: float = 0.0) -> bytes:
    """score = amount + ratio + count + bias, place = city; `flag` is read and left aside."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"]),
        helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["sum", "counted"], ["both"]),
        helper.make_node("Add", ["both", "bias"], ["score"]),
        helper.make_node("Identity", ["city"], ["place"]),
        helper.make_node("Identity", ["flag"], ["flagged"]),
    ]
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
    ]
    inputs: Tensors = {
        "x": ("FP32", ["N", 2]),
        "count": ("INT32", ["N", 1]),
        "flag": ("BOOL", ["N", 1]),
        "city": ("BYTES", ["N", 1]),
    }
    outputs: Tensors = {"score": ("FP32", ["N", 1]), "place": ("BYTES", ["N", 1]), "flagged": ("BOOL", ["N", 1])}
    return proto(nodes, inputs, outputs, constants).SerializeToString()


def mixed_contract(categories: tuple[str, ...] = CITIES) -> Contract:
    """Of `mixed`: five features over four tensors, of every kind, two of them nullable."""
    return Contract(
        features=(
            Column(name="amount", kind=Kind.FLOAT, nullable=True, low=0, high=100),
            Column(name="ratio", kind=Kind.FLOAT),
            Column(name="count", kind=Kind.INT),
            Column(name="flag", kind=Kind.BOOL),
            Column(name="city", kind=Kind.STRING, nullable=True, categories=categories),
        ),
        inputs=(
            Tensor(name="x", datatype="FP32", shape=(-1, 2), columns=("amount", "ratio")),
            Tensor(name="count", datatype="INT32", shape=(-1, 1), columns=("count",)),
            Tensor(name="flag", datatype="BOOL", shape=(-1, 1), columns=("flag",)),
            Tensor(name="city", datatype="BYTES", shape=(-1, 1), columns=("city",)),
        ),
        outputs=(
            Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=("score",)),
            Tensor(name="place", datatype="BYTES", shape=(-1, 1), columns=("place",)),
            Tensor(name="flagged", datatype="BOOL", shape=(-1, 1), columns=("flagged",)),
        ),
        output_columns=(
            Column(name="score", kind=Kind.FLOAT),
            Column(name="place", kind=Kind.STRING, categories=categories),
            Column(name="flagged", kind=Kind.BOOL),
        ),
    )


def image() -> bytes:
    """A plain tensor [N, 2, 2] in, its total and itself out."""
    nodes = [
        helper.make_node("ReduceSum", ["image", "axes"], ["total"], keepdims=0),
        helper.make_node("Identity", ["image"], ["same"]),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    shape = ["N", 2, 2]
    outputs: Tensors = {"total": ("FP32", ["N"]), "same": ("FP32", shape)}
    return proto(nodes, {"image": ("FP32", shape)}, outputs, [axes]).SerializeToString()


def image_contract() -> Contract:
    """Of `image`: no feature, one output column."""
    return Contract(
        features=(),
        inputs=(Tensor(name="image", datatype="FP32", shape=(-1, 2, 2)),),
        outputs=(
            Tensor(name="total", datatype="FP32", shape=(-1,), columns=("total",)),
            Tensor(name="same", datatype="FP32", shape=(-1, 2, 2)),
        ),
        output_columns=(Column(name="total", kind=Kind.FLOAT),),
    )


def turning() -> bytes:
    """As slow as it is asked to be: `times` turns of a loop over a matrix product; out comes `times` again.

    The product changes nothing, so that its numbers stay normal: below 2⁻¹²⁶ some processors take a hundred times as long.
    """
    declare = helper.make_tensor_value_info
    matrix = helper.make_tensor("matrix", TensorProto.FLOAT, [64, 64], [1 / 64] * 64 * 64)
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "matrix"], ["next"]), helper.make_node("Identity", ["on"], ["still_on"])],
        "turn",
        [
            declare("turn", TensorProto.INT64, []),
            declare("on", TensorProto.BOOL, []),
            declare("state", TensorProto.FLOAT, [64, 64]),
        ],
        [declare("still_on", TensorProto.BOOL, []), declare("next", TensorProto.FLOAT, [64, 64])],
        [matrix],
    )
    nodes = [
        helper.make_node("ReduceMax", ["times"], ["turns"], keepdims=0),
        helper.make_node("Loop", ["turns", "", "start"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["none"], to=TensorProto.INT64),
        helper.make_node("Add", ["times", "none"], ["turned"]),
    ]
    constants = [
        helper.make_tensor("start", TensorProto.FLOAT, [64, 64], [1.0] * 64 * 64),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
    ]
    tensors: Tensors = {"times": ("INT64", ["N", 1])}
    return proto(nodes, tensors, {"turned": ("INT64", ["N", 1])}, constants).SerializeToString()


def turning_contract() -> Contract:
    """Of `turning`: a plain tensor, so that warming it with zeros is no work."""
    return Contract(
        features=(),
        inputs=(Tensor(name="times", datatype="INT64", shape=(-1, 1)),),
        outputs=(Tensor(name="turned", datatype="INT64", shape=(-1, 1)),),
        output_columns=(),
    )


def dividing() -> bytes:
    """Passes every trial with numbers from 0 on and ends its process with SIGFPE for -8: −2⁶³ ÷ (7 - 8), on x86."""
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "seven"], ["divisor"]),
        helper.make_node("Div", ["lowest", "divisor"], ["divided"]),
        helper.make_node("Cast", ["divided"], ["score"], to=TensorProto.FLOAT),
    ]
    numbers = {"lowest": -(2**63), "seven": 7}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [number]) for name, number in numbers.items()]
    return proto(nodes, {"x": ("FP32", ["N", 1])}, {"score": ("FP32", ["N", 1])}, constants).SerializeToString()


def keeping() -> bytes:
    """score = x; as `dividing` is asked."""
    node = helper.make_node("Identity", ["x"], ["score"])
    return proto([node], {"x": ("FP32", ["N", 1])}, {"score": ("FP32", ["N", 1])}).SerializeToString()


def dividing_contract() -> Contract:
    """Of `dividing` and `keeping`: one feature that the baseline knows from 1 on."""
    return Contract(
        features=(Column(name="x", kind=Kind.FLOAT, low=1, high=100),),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",)),),
        outputs=(Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=("score",)),),
        output_columns=(Column(name="score", kind=Kind.FLOAT),),
    )


def wide(width: int = 2048, layers: int = 30, features: int = 20) -> bytes:
    """score of some numbers by a wide network whose layers share one matrix: long runs (about 10 ms a row) from 16 MiB."""
    rng = np.random.default_rng(0)
    shapes = {"first": (features, width), "again": (width, width), "last": (width, 1)}
    constants = [
        numpy_helper.from_array((rng.normal(size=shape) / shape[0] ** 0.5).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h0"])]
    for number in range(layers):
        nodes.append(helper.make_node("MatMul", [f"h{number}", "again"], [f"m{number}"]))
        nodes.append(helper.make_node("Tanh", [f"m{number}"], [f"h{number + 1}"]))
    nodes.append(helper.make_node("MatMul", [f"h{layers}", "last"], ["score"]))
    inputs, outputs = {"x": ("FP32", ["N", features])}, {"score": ("FP32", ["N", 1])}
    return proto(nodes, inputs, outputs, constants).SerializeToString()


def wide_contract(features: int = 20) -> Contract:
    """Of `wide`: features over one tensor."""
    names = tuple(f"f{number}" for number in range(features))
    return Contract(
        features=tuple(Column(name=name, kind=Kind.FLOAT) for name in names),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, features), columns=names),),
        outputs=(Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=("score",)),),
        output_columns=(Column(name="score", kind=Kind.FLOAT),),
    )


def install(home: Path, name: str, version: str, model: bytes, contract: Contract) -> Pin:
    """Registers and pins a version in a home."""
    digest = Registry(home / "registry").install({MODEL: model, CONTRACT: contract.encode()})
    pin = Pin(name=name, version=version, digest=digest, source=f"file:{home / 'registry'}")
    LockFile(home / "models.lock.toml").pin(pin)
    return pin
