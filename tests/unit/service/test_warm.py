import asyncio
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from models.contract import Column, Contract, Kind, Tensor
from tests.onnx_models import Tensors, image, image_contract, install, proto
from tests.unit.service.serving import furnish, route, serving
from tests.unit.service.test_predict import choosy, refusing

pytestmark = pytest.mark.slow


def switched() -> tuple[bytes, Contract]:
    """Its first input is a scalar: a switch, as exporters leave them."""
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["switch"], ["was"])]
    inputs: Tensors = {"switch": ("BOOL", []), "x": ("FP32", ["N", 2, 2])}
    model = proto(nodes, inputs, {"y": ("FP32", ["N", 2, 2]), "was": ("BOOL", [])}).SerializeToString()
    contract = Contract(
        features=(),
        inputs=(Tensor(name="switch", datatype="BOOL", shape=()), Tensor(name="x", datatype="FP32", shape=(-1, 2, 2))),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 2, 2)), Tensor(name="was", datatype="BOOL", shape=())),
        output_columns=(),
    )
    return model, contract


def picky() -> tuple[bytes, Contract]:
    """A convolution that takes any height and width but the 1 × 1 of a warm-up run."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 3, 3, 3], [0.1] * 27)
    node = helper.make_node("Conv", ["image", "w"], ["y"])
    shape: list[int | str] = ["N", 3, "H", "W"]
    model = proto([node], {"image": ("FP32", shape)}, {"y": ("FP32", ["N", 1, "h", "w"])}, [weights])
    contract = Contract(
        features=(),
        inputs=(Tensor(name="image", datatype="FP32", shape=(-1, 3, -1, -1)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 1, -1, -1)),),
        output_columns=(),
    )
    return model.SerializeToString(), contract


def wide() -> tuple[bytes, Contract]:
    """Unsigned answers that no cell of the log can hold."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.UINT64)]
    model = proto(nodes, {"x": ("FP32", ["N", 1])}, {"y": ("UINT64", ["N", 1])}).SerializeToString()
    contract = Contract(
        features=(Column(name="x", kind=Kind.FLOAT),),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",)),),
        outputs=(Tensor(name="y", datatype="UINT64", shape=(-1, 1), columns=("y",)),),
        output_columns=(Column(name="y", kind=Kind.INT),),
    )
    return model, contract


ODD = {"refusing": refusing, "choosy": choosy, "switched": switched, "picky": picky, "wide": wide}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_graph_does_not_keep_the_service_from_starting(tmp_path: Path, name: str) -> None:
    furnish(tmp_path)
    install(tmp_path, name, "1", *ODD[name]())
    route(tmp_path, name, stable="1")

    async def test() -> None:
        async with serving(tmp_path) as service:
            assert (await service.predict([[1, 2], [3, 4]], model="image")).status == 200
            ready = (await service.ask("GET", "/readyz")).json
            assert name in ready["models"], ready["problems"]

    asyncio.run(test())


def test_a_graph_with_free_height_and_width_is_served(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "picky", "1", *picky())
    route(tmp_path, "picky", stable="1")

    async def test() -> None:
        async with serving(tmp_path) as service:
            picture = [[[1.0] * 4] * 4] * 3
            reply = await service.predict(picture, model="picky")
            assert reply.status == 200
            assert reply.json["predictions"][0][0][0] == pytest.approx([2.7, 2.7])

    asyncio.run(test())


def test_a_graph_with_a_scalar_beside_its_rows_is_served_by_v2_and_v1_says_so(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "switched", "1", *switched())
    route(tmp_path, "switched", stable="1")
    switch = {"name": "switch", "datatype": "BOOL", "shape": [], "data": [True]}
    x = {"name": "x", "datatype": "FP32", "shape": [2, 2, 2], "data": list(range(8))}

    async def test() -> None:
        async with serving(tmp_path) as service:
            reply = await service.ask("POST", "/v2/models/switched/infer", {"inputs": [switch, x]})
            assert reply.status == 200
            assert [(one["shape"], one["data"]) for one in reply.json["outputs"]] == [
                ([2, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7]),
                ([], [True]),
            ]
            assert service.requests()[0].rows == 2
            reply = await service.predict({"switch": True, "x": [[1, 2], [3, 4]]}, model="switched")
            assert reply.status == 400 and "expected []" in reply.json["details"][0]["problem"]

    asyncio.run(test())


def test_an_answer_that_no_cell_can_hold_is_a_failure_that_is_recorded(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "wide", "1", *wide())
    route(tmp_path, "wide", stable="1")

    async def test() -> None:
        async with serving(tmp_path) as service:
            assert (await service.predict({"x": 7}, model="wide")).json == {"predictions": [[7]]}
            reply = await service.predict({"x": 1.5e19}, model="wide")
            assert (reply.status, reply.json["code"]) == (500, "internal")
            assert [record.status for record in service.requests()] == [200, 500]

    asyncio.run(test())


def test_warming_up_is_neither_logged_nor_counted(tmp_path: Path) -> None:
    install(tmp_path, "image", "1", image(), image_contract())
    route(tmp_path, "image", stable="1")

    async def test() -> None:
        async with serving(tmp_path) as service:
            assert (service.worker.log.received, service.records()) == (0, [])

    asyncio.run(test())
