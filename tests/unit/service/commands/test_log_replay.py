"""Recorded inputs asked again: the same bits of the same version, differences of another, and why some cannot be asked."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.contract import Column, Contract, Kind, Tensor
from service.commands.log import log
from service.featurelog.record import Block, Outcome, PartRequest, Schema, SchemaColumn
from tests.onnx_models import install, mixed, mixed_contract, proto
from tests.unit.service.featurelog.test_view import archive
from tests.unit.service.featurelog.writing import segment
from tests.unit.service.serving import ROW, Service, furnish, route, serving

pytestmark = pytest.mark.slow

Say = Callable[..., Result]
ROWS = [
    ROW,
    {**ROW, "amount": None, "city": None},
    {**ROW, "ratio": 1e-3, "city": "bergen", "flag": False},
    {**ROW, "count": -7},
]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    def run(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(log, ["replay", *map(str, words), "--home", str(tmp_path)])
        assert result.exit_code == code, result.output
        return result

    return run


def told(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


def served(home: Path, ask: Callable[[Service], Any]) -> None:
    async def run() -> None:
        async with serving(home) as service:
            await ask(service)

    asyncio.run(run())


async def traffic(service: Service) -> None:
    for row in ROWS:
        await service.predict(row)
    await service.predict(*ROWS * 5)
    await service.predict("bad")


def test_the_version_that_answered_answers_again_with_the_same_bits_hot_and_sealed(tmp_path: Path, say: Say) -> None:
    served(tmp_path, traffic)
    assert archive(tmp_path) > 0
    served(tmp_path, traffic)
    (found,) = told(say("--model", "mixed", "--version", "1", "--json"))["recorded"]
    assert (found["version"], found["same"], found["rows"], found["equal"]) == ("1", True, 48, 48)
    assert [output["agreement"] for output in found["outputs"]] == [1.0, 1.0, 1.0]
    assert (found["not_replayed"], found["worst"]) == ({}, [])
    assert "48 of 48 rows equal" in say("--model", "mixed", "--version", "1").output


def test_another_version_is_told_by_its_differences_segments_and_worst_rows(tmp_path: Path, say: Say) -> None:
    served(tmp_path, traffic)
    (found,) = told(say("--model", "mixed", "--version", "2", "--by", "city", "--json"))["recorded"]
    score, place, flagged = found["outputs"]
    assert (found["same"], found["rows"], found["equal"]) == (False, 24, 6)  # null as NaN, and 100 more
    assert score["difference"]["p90"] == pytest.approx(100, rel=0.011) and score["difference"]["max"] == pytest.approx(
        100
    )
    assert place["agreement"] == flagged["agreement"] == 1.0
    assert {one["segment"]: one["rows"] for one in found["segments"]} == {
        "city=oslo": 12,
        "city=null": 6,
        "city=bergen": 6,
    }
    assert found["worst"][0]["difference"] == pytest.approx(100) and found["worst"][0]["request_id"]
    text = say("--model", "mixed", "--version", "2", "--by", "flag").output
    assert "asked again of mixed:2" in text and "flag=True" in text and "worst rows" in text


def test_rows_are_chosen_by_time_condition_version_and_a_sample_that_is_always_the_same(
    tmp_path: Path, say: Say
) -> None:
    served(tmp_path, traffic)
    model = ("--model", "mixed", "--version", "1", "--json")
    assert told(say(*model, "--where", "city = 'oslo'"))["recorded"][0]["rows"] == 12
    assert told(say(*model, "--to", "2000-01-01", code=3))["recorded"] != []
    first = told(say(*model, "--sample", 2))["recorded"]
    assert told(say(*model, "--sample", 2))["recorded"] == first
    assert first[0]["rows"] in (2, 21)
    assert told(say(*model, "--answered-by", "2", code=3))["recorded"] == []


def test_an_answer_that_is_not_given_again_is_a_fault(tmp_path: Path, say: Say) -> None:
    noise = proto_of_noise()
    install(tmp_path, "noise", "1", *noise)
    route(tmp_path, "noise", stable="1")

    async def ask(service: Service) -> None:
        for _ in range(3):
            await service.predict({"x": 1.0}, {"x": 2.0}, model="noise")

    served(tmp_path, ask)
    (found,) = told(say("--model", "noise", "--version", "1", "--json", code=1))["recorded"]
    assert (found["rows"], found["equal"], found["equal_alone"]) == (6, 0, 0)
    assert len(found["worst"]) == 6


def test_a_graph_that_mixes_its_rows_is_equal_as_its_requests_were_asked(tmp_path: Path, say: Say) -> None:
    install(tmp_path, "share", "1", *proto_of_share())
    route(tmp_path, "share", stable="1")

    async def ask(service: Service) -> None:
        await service.predict({"x": 1.0}, {"x": 3.0}, model="share")
        await service.predict({"x": 5.0}, model="share")

    served(tmp_path, ask)
    (found,) = told(say("--model", "share", "--version", "1", "--json"))["recorded"]
    assert (found["rows"], found["equal"]) == (3, 3)


def test_a_graph_whose_last_bits_depend_on_the_rows_beside_is_held_to_its_answers_alone(
    tmp_path: Path, say: Say
) -> None:
    install(tmp_path, "nearly", "1", *proto_of_nearly())
    route(tmp_path, "nearly", stable="1")

    async def ask(service: Service) -> None:
        for number in range(5):
            await service.predict({"x": 1.0 + number}, {"x": 3.0}, model="nearly")
            await service.predict({"x": 5.0 + number}, model="nearly")

    served(tmp_path, ask)
    (found,) = told(say("--model", "nearly", "--version", "1", "--json"))["recorded"]
    assert (found["rows"], found["equal"], found["equal_alone"]) == (15, 15, 15)
    assert "15 of them when run alone" in say("--model", "nearly", "--version", "1").output


def test_inputs_that_cannot_be_asked_again_are_counted_by_reason(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    wider = mixed_contract()
    features = tuple(
        msgspec.structs.replace(c, name="amount_eur" if c.name == "amount" else c.name) for c in wider.features
    )
    inputs = (Tensor(name="x", datatype="FP32", shape=(-1, 2), columns=("amount_eur", "ratio")), *wider.inputs[1:])
    install(tmp_path, "mixed", "3", mixed(), msgspec.structs.replace(wider, features=features, inputs=inputs))
    strict = tuple(msgspec.structs.replace(c, nullable=False) for c in wider.features)
    install(tmp_path, "mixed", "4", mixed(bias=1), msgspec.structs.replace(wider, features=strict))

    async def ask(service: Service) -> None:
        await traffic(service)
        await service.predict([[1, 2], [3, 4]], [[1, 2], [3, 4]], model="image")

    served(tmp_path, ask)
    assert told(say("--model", "mixed", "--version", "3", "--json", code=3))["recorded"][0]["not_replayed"] == {
        "not_logged": 24
    }
    assert (
        "lack a feature that the version takes (amount_eur)" in say("--model", "mixed", "--version", "3", code=3).output
    )
    assert told(say("--model", "mixed", "--version", "4", "--json"))["recorded"][0]["not_replayed"] == {
        "without_value": 6
    }
    (images,) = told(say("--model", "image", "--version", "1", "--json", code=3))["recorded"]
    assert images["not_replayed"] == {"by_digest_only": 2}


def test_rows_that_were_erased_from_a_request_are_counted(tmp_path: Path, say: Say) -> None:
    pin = install(tmp_path, "nearly", "1", *proto_of_nearly())
    column = (SchemaColumn("x", Kind.FLOAT),)
    schema = Schema(0, "nearly", "1", pin.digest, column, (SchemaColumn("y", Kind.FLOAT),))
    left = Block(1, pack("<d", 3.0))
    about = (Outcome.ANSWERED, 200, "", "v1", 0, "nearly", "stable", 0, 1, 3, 0, 0, 0)
    part = PartRequest(1, "r", *about, left, left, erased=(0, 2))
    segment(tmp_path / "log", [(0, schema), (0, part)])
    (found,) = told(say("--model", "nearly", "--version", "1", "--json", code=1))["recorded"]
    assert (found["rows"], found["not_replayed"], found["worst"][0]["row"]) == (1, {"erased": 2}, 1)


def test_a_version_that_is_not_pinned_and_a_column_that_is_none_are_told(tmp_path: Path, say: Say) -> None:
    served(tmp_path, traffic)
    assert "mixed:9" in say("--model", "mixed", "--version", "9", code=3).stderr
    assert "--by nothing: no such column" in say("--model", "mixed", "--version", "1", "--by", "nothing", code=2).stderr


def one_column(nodes: list[Any], constants: list[Any] = []) -> tuple[bytes, Contract]:  # noqa: B006
    model = proto(nodes, {"x": ("FP32", ["N", 1])}, {"y": ("FP32", ["N", 1])}, constants).SerializeToString()
    contract = Contract(
        features=(Column(name="x", kind=Kind.FLOAT),),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 1), columns=("y",)),),
        output_columns=(Column(name="y", kind=Kind.FLOAT),),
    )
    return model, contract


def proto_of_noise() -> tuple[bytes, Contract]:
    """Another answer each time."""
    from onnx import helper

    nodes = [helper.make_node("RandomNormalLike", ["x"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])]
    return one_column(nodes)


def proto_of_nearly() -> tuple[bytes, Contract]:
    """Each row itself, and a millionth of all rows of the run."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "millionth"], ["little"]),
        helper.make_node("Add", ["x", "little"], ["y"]),
    ]
    return one_column(nodes, [helper.make_tensor("millionth", TensorProto.FLOAT, [1], [1e-6])])


def proto_of_share() -> tuple[bytes, Contract]:
    """Each row as a share of all rows of the run."""
    from onnx import helper

    return one_column(
        [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1), helper.make_node("Div", ["x", "sum"], ["y"])]
    )
