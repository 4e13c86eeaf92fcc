"""A real model that fails, dawdles and shifts as often as it is told: by numbers that its callers send."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from models.baseline import Baseline, column_of_numbers
from models.contract import Column, Contract, Kind, Tensor
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import BASELINE, CONTRACT, MODEL
from models.registry import Registry
from tests.onnx_models import proto

FEATURES = ("luck", "haste", "value")
TURNS = 40  # of a loop over a matrix product: about a millisecond
SLOW_TURNS, SLOW_SHARE = 80, 0.02  # more of them in the slowest requests, which make the p99


def faulty(*, failing: float = 0.0, tail: float = 1.0, shift: float = 0.0) -> bytes:
    """score = value + shift; fails where `luck` > 1 − failing; takes longer where `haste` is above 1 − SLOW_SHARE, `tail`
    times as long as it does without.
    """
    slow = round((TURNS + SLOW_TURNS) * tail) - TURNS
    declare = helper.make_tensor_value_info
    size = 64
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "matrix"], ["next"]), helper.make_node("Identity", ["on"], ["still_on"])],
        "turn",
        [
            declare("turn", TensorProto.INT64, []),
            declare("on", TensorProto.BOOL, []),
            declare("state", TensorProto.FLOAT, [size, size]),
        ],
        [declare("still_on", TensorProto.BOOL, []), declare("next", TensorProto.FLOAT, [size, size])],
        [helper.make_tensor("matrix", TensorProto.FLOAT, [size, size], [0.01] * size * size)],
    )
    nodes = [
        helper.make_node("Split", ["x", "ones"], list(FEATURES), axis=1),
        helper.make_node("Greater", ["luck", "luck_max"], ["unlucky"]),
        helper.make_node("Cast", ["unlucky"], ["index"], to=TensorProto.INT64),
        helper.make_node(
            "Gather", ["nothing", "index"], ["none"]
        ),  # of one element: index 1 is an error of the runtime
        helper.make_node("Greater", ["haste", "haste_max"], ["late"]),
        helper.make_node("Cast", ["late"], ["later"], to=TensorProto.INT64),
        helper.make_node("Mul", ["later", "slow"], ["more"]),
        helper.make_node("ReduceMax", ["more"], ["most"], keepdims=0),
        helper.make_node("Add", ["most", "turns"], ["times"]),
        helper.make_node("Loop", ["times", "", "start"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["spent"]),
        helper.make_node("Sum", ["value", "shift", "none", "spent"], ["score"]),
    ]
    constants = [
        helper.make_tensor("ones", TensorProto.INT64, [3], [1, 1, 1]),
        helper.make_tensor("luck_max", TensorProto.FLOAT, [], [1 - failing]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("haste_max", TensorProto.FLOAT, [], [1 - SLOW_SHARE]),
        helper.make_tensor("slow", TensorProto.INT64, [], [slow]),
        helper.make_tensor("turns", TensorProto.INT64, [], [TURNS]),
        helper.make_tensor("start", TensorProto.FLOAT, [size, size], [0.01] * size * size),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("shift", TensorProto.FLOAT, [], [shift]),
    ]
    tensors = {"x": ("FP32", ["N", len(FEATURES)])}
    return proto(nodes, tensors, {"score": ("FP32", ["N", 1])}, constants).SerializeToString()


def contract() -> Contract:
    """Of every `faulty`."""
    return Contract(
        features=tuple(Column(name=name, kind=Kind.FLOAT) for name in FEATURES),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, len(FEATURES)), columns=FEATURES),),
        outputs=(Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=("score",)),),
        output_columns=(Column(name="score", kind=Kind.FLOAT),),
    )


def baseline(rows: int = 10_000) -> Baseline:
    """Scores as a standard normal; lucky and hasty rows only, so that its first run says nothing against it."""
    rng = np.random.default_rng(0)
    nothing = np.zeros(rows, dtype=np.bool_)
    columns = {"luck": rng.uniform(0, 0.2, rows), "haste": rng.uniform(0, 0.2, rows), "value": rng.normal(size=rows)}
    made = {
        name: column_of_numbers(Column(name=name, kind=Kind.FLOAT), values, nothing) for name, values in columns.items()
    }
    score = column_of_numbers(Column(name="score", kind=Kind.FLOAT), columns["value"], nothing)
    return Baseline(rows=rows, features=tuple(made.values()), outputs=(score,))


def install(home: Path, name: str, version: str, model: bytes) -> Pin:
    """Registers and pins a version with its baseline."""
    files = {MODEL: model, CONTRACT: contract().encode(), BASELINE: baseline().encode()}
    digest = Registry(home / "registry").install(files)
    pin = Pin(name=name, version=version, digest=digest, source=f"file:{home / 'registry'}")
    LockFile(home / "models.lock.toml").pin(pin)
    return pin
