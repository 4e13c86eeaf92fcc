import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models.errors import ArtifactRefused, RunFailed
from models.inspect import CALLS_MAX, IR_MAX, OPSET_MAX
from models.session import GraphTensor, Session
from models.tensors import DTYPES
from tests.hostile.graphs import chain
from tests.onnx_models import TYPES, Tensors, echo, image, mixed, proto
from tests.processes import ROOT


def test_a_graph_says_its_tensors_as_it_declares_them() -> None:
    session = Session(mixed(), ref="m:1")
    assert session.inputs == (
        GraphTensor("x", "FP32", (-1, 2)),
        GraphTensor("count", "INT32", (-1, 1)),
        GraphTensor("flag", "BOOL", (-1, 1)),
        GraphTensor("city", "BYTES", (-1, 1)),
    )
    assert [tensor.name for tensor in session.outputs] == ["score", "place", "flagged"]


@pytest.mark.parametrize("datatype", TYPES)
def test_every_datatype_goes_in_and_comes_out(datatype: str) -> None:
    session = Session(echo({"x": (datatype, ["N", 2])}), ref="m:1")
    value = "text" if datatype == "BYTES" else 1
    array = np.full((3, 2), value, dtype=DTYPES[datatype])
    (found,) = session.run({"x": array})
    assert session.inputs[0].datatype == datatype
    assert found.tolist() == array.tolist()
    assert found.dtype == array.dtype


def test_bytes_that_the_runtime_does_not_accept_are_refused_with_its_reason() -> None:
    unknown = proto([helper.make_node("NoSuchOperator", ["x"], ["y"])], {"x": ("FP32", [1])}, {"y": ("FP32", [1])})
    for model in (b"junk", b"", image()[:-4], unknown.SerializeToString()):
        with pytest.raises(ArtifactRefused, match=r"m:1: found .*, expected a graph that ONNX Runtime loads"):
            Session(model, ref="m:1")


def test_a_graph_whose_answers_are_no_dense_tensors_is_refused() -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ArtifactRefused, match="tensor 'y'"):
        Session(model.SerializeToString(), ref="m:1")


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"other": np.zeros((1, 2, 2), np.float32)},
        {"image": np.zeros((1, 2, 2), np.float64)},
        {"image": np.zeros((1, 2, 3), np.float32)},
        {"image": np.zeros((4,), np.float32)},
        {"image": np.full((1, 2, 2), "x", object)},
    ],
)
def test_inputs_that_do_not_fit_are_a_failed_run_with_the_runtimes_reason(inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(RunFailed) as failed:
        Session(image(), ref="m:1").run(inputs)
    assert str(failed.value).startswith("m:1: the runtime failed: ")
    assert "\n" not in str(failed.value)


def test_metadata_of_the_graph_is_told() -> None:
    inputs: Tensors = {"x": ("FP32", [1])}
    model = proto([helper.make_node("Identity", ["x"], ["y"])], inputs, {"y": ("FP32", [1])})
    helper.set_model_props(model, {"plumbline.columns": "{}"})
    assert Session(model.SerializeToString(), ref="m:1").metadata == {"plumbline.columns": "{}"}


@pytest.mark.parametrize("by", ["the runtime", "us"])
def test_external_data_is_read_by_the_runtime_from_the_working_directory_but_not_by_us(tmp_path: Path, by: str) -> None:
    """The reason for `models/inspect.py`, and what holds where it would overlook one. When the first fails, the runtime has
    mended it."""
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1024], [0.0] * 1024)
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    one: Tensors = {"x": ("FP32", [1024])}
    model = proto([helper.make_node("Add", ["x", "w"], ["y"])], one, {"y": ("FP32", [1024])}, [tensor])
    (tmp_path / "weights.bin").write_bytes(np.full(1024, 42, np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    ask = (
        "import pathlib, numpy as np, models.session;"
        f"models.session.CONFIG = {{}} if {by == 'the runtime'} else models.session.CONFIG;"
        "session = models.session.Session(pathlib.Path('model.onnx').read_bytes(), ref='m');"
        "print(session.run({'x': np.zeros(1024, np.float32)})[0][0])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if by == "the runtime":
        assert ran.stdout == "42.0\n", ran.stderr[-500:]
    else:
        assert (ran.stdout, "not loading it" in ran.stderr) == ("", True), ran.stderr[-500:]


def test_functions_in_functions_crash_the_runtime_hence_their_limit(tmp_path: Path) -> None:
    """The reason for CALLS_MAX. When this fails, the runtime has mended it."""
    (tmp_path / "model.onnx").write_bytes(chain(5_000)())
    ask = "import pathlib, models.session; models.session.Session(pathlib.Path('model.onnx').read_bytes(), ref='m')"
    ran = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGSEGV
    Session(chain(CALLS_MAX - 2)(), ref="m:1")


def test_the_runtimes_own_format_is_not_loaded_though_the_runtime_would(tmp_path: Path) -> None:
    """Its mark may stand in a protobuf too: what was inspected would then not be what is loaded."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(image(), options, providers=["CPUExecutionProvider"])
    own = (tmp_path / "model.ort").read_bytes()
    onnxruntime.InferenceSession(own, providers=["CPUExecutionProvider"])
    with pytest.raises(ArtifactRefused, match="protobuf parsing failed"):
        Session(own, ref="m:1")


def test_the_newest_opset_and_format_that_inspection_lets_pass_are_the_newest_that_the_runtime_takes() -> None:
    one: Tensors = {"x": ("FP32", ["N", 1])}
    for opset, ir, taken in ((OPSET_MAX, IR_MAX, True), (OPSET_MAX + 1, IR_MAX, False), (OPSET_MAX, IR_MAX + 1, False)):
        model = proto([helper.make_node("Identity", ["x"], ["y"])], one, {"y": ("FP32", ["N", 1])})
        model.opset_import[0].version, model.ir_version = opset, ir
        if taken:
            Session(model.SerializeToString(), ref="m:1")
        else:
            with pytest.raises(ArtifactRefused):
                Session(model.SerializeToString(), ref="m:1")
