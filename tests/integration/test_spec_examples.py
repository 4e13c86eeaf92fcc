"""The examples that the Open Inference Protocol and its binary extension print, sent as printed by a stock curl.

Their model has two inputs and one output of fixed shapes; here it multiplies the printed answer by the mean of `input0` over
that of 1 to 4 and by `input1`, row by row, so that the printed request has the printed answer.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.contract import Contract, Tensor
from tests.integration.asking import curl
from tests.onnx_models import install, proto
from tests.processes import home, served
from tests.unit.service.serving import route

pytestmark = pytest.mark.integration

PRINTED = [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]
OUTPUT = {"name": "output0", "shape": [3, 2], "datatype": "FP32"}
REQUEST = """
{
  "id" : "42",
  "inputs" : [
    {
      "name" : "input0",
      "shape" : [ 2, 2 ],
      "datatype" : "UINT32",
      "data" : [ 1, 2, 3, 4 ]
    },
    {
      "name" : "input1",
      "shape" : [ 3 ],
      "datatype" : "BOOL",
      "data" : [ true ]
    }
  ],
  "outputs" : [
    {
      "name" : "output0"
    }
  ]
}
"""
BINARY = """{
  "model_name" : "mymodel",
  "inputs" : [
    {
      "name" : "input0",
      "shape" : [ 2, 2 ],
      "datatype" : "UINT32",
      "parameters" : {
        "binary_data_size" : 16
      }
    },
    {
      "name" : "input1",
      "shape" : [ 3 ],
      "datatype" : "BOOL",
      "parameters" : {
        "binary_data_size" : 3
      }
    }
  ],
  "outputs" : [
    {
      "name" : "output0",
      "parameters" : {
        "binary_data" : true
      }
    }
  ]
}
"""


def mymodel() -> bytes:
    nodes = [
        helper.make_node("Cast", ["input0"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "usual"], ["factor"]),
        helper.make_node("Cast", ["input1"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["kept", "column"], ["rows"]),
        helper.make_node("Mul", ["printed", "factor"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "rows"], ["output0"]),
    ]
    constants = [
        helper.make_tensor("printed", TensorProto.FLOAT, [3, 2], PRINTED),
        helper.make_tensor("usual", TensorProto.FLOAT, [], [2.5]),
        helper.make_tensor("column", TensorProto.INT64, [2], [3, 1]),
    ]
    inputs = {"input0": ("UINT32", [2, 2]), "input1": ("BOOL", [3])}
    return bytes(proto(nodes, inputs, {"output0": ("FP32", [3, 2])}, constants).SerializeToString())


CONTRACT = Contract(
    features=(),
    inputs=(
        Tensor(name="input0", datatype="UINT32", shape=(2, 2)),
        Tensor(name="input1", datatype="BOOL", shape=(3,)),
    ),
    outputs=(Tensor(name="output0", datatype="FP32", shape=(3, 2)),),
    output_columns=(),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = home(tmp_path_factory.mktemp("examples"))
    install(place, "mymodel", "1", mymodel(), CONTRACT)
    route(place, "mymodel", stable="1")
    with served(place) as (_, address):
        yield f"{address}/v2/models/mymodel"


def test_the_printed_request_has_the_printed_answer(url: str) -> None:
    whole = REQUEST.replace("[ true ]", "[ true, true, true ]")
    found = curl("-H", "Content-Type: application/json", "--data", whole, f"{url}/infer")
    assert (found["id"], found["model_name"], found["model_version"]) == ("42", "mymodel", "1")
    (output,) = found["outputs"]
    assert {**output, "data": None} == {**OUTPUT, "data": None}
    np.testing.assert_allclose(output["data"], PRINTED, rtol=1e-6)


def test_the_one_value_that_is_printed_for_three_is_refused(url: str) -> None:
    """The specification's own request is at odds with itself: `input1` has shape [3] and one value."""
    command = ["curl", "--silent", "--noproxy", "*", "--json", REQUEST, f"{url}/infer"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert found["details"] == [{"at": "/inputs/1/data", "problem": "1 values, expected 3 for shape [3]"}]
    assert found["code"] == "invalid_input"


@pytest.mark.parametrize("data", ["[ 1, 2, 3, 4 ]", "[ [ 1, 2 ], [ 3, 4 ] ]"])
def test_tensor_data_is_flat_or_nested(url: str, data: str) -> None:
    whole = REQUEST.replace("[ true ]", "[ false, true, true ]").replace("[ 1, 2, 3, 4 ]", data)
    (output,) = curl("--json", whole, f"{url}/infer")["outputs"]
    np.testing.assert_allclose(output["data"], [0.0, 0.0, *PRINTED[2:]], rtol=1e-6)


def test_the_printed_binary_request_has_the_printed_answer(url: str, tmp_path: Path) -> None:
    body, answer, head = (tmp_path / name for name in ("body", "answer", "head"))
    body.write_bytes(BINARY.encode() + np.array([1, 2, 3, 4], "<u4").tobytes() + bytes([1, 1, 1]))
    sent = ["Content-Type: application/octet-stream", f"Inference-Header-Content-Length: {len(BINARY)}"]
    headers = [word for one in sent for word in ("-H", one)]
    command = ["curl", "--silent", "--fail", "--noproxy", "*", *headers, "--data-binary", f"@{body}"]
    subprocess.run(
        [*command, "--output", str(answer), "--dump-header", str(head), f"{url}/infer"], check=True, timeout=30
    )
    received = dict(line.lower().split(": ", 1) for line in head.read_text().splitlines()[1:] if ": " in line)
    assert received["content-type"] == "application/octet-stream"
    size = int(received["inference-header-content-length"])
    assert int(received["content-length"]) == size + 24 == len(answer.read_bytes())
    told = json.loads(answer.read_bytes()[:size])
    assert told["outputs"] == [{**OUTPUT, "parameters": {"binary_data_size": 24}}]
    np.testing.assert_allclose(np.frombuffer(answer.read_bytes()[size:], "<f4"), PRINTED, rtol=1e-6)


def test_the_model_is_described_as_the_specification_prints_it(url: str) -> None:
    found = curl(url)
    assert (found["name"], found["versions"], found["platform"]) == ("mymodel", ["1"], "onnxruntime_onnx")
    assert found["inputs"] == [
        {"name": "input0", "datatype": "UINT32", "shape": [2, 2]},
        {"name": "input1", "datatype": "BOOL", "shape": [3]},
    ]
    assert found["outputs"] == [OUTPUT]
