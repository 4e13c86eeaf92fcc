"""A byte-level search of the whole home: no raw value of a private feature, whatever protocol brought it, however it ended."""

import asyncio
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from models.contract import Column, Contract, Kind, Privacy, Tensor
from monitoring.checkpoint import Checkpoints
from monitoring.status import versions_of
from service import unexpected
from service.featurelog.key import deployment_key
from service.featurelog.privacy import hashed
from service.featurelog.record import Outcome, Shadow
from service.http.v2_binary import HEADER, packed
from tests.onnx_models import install, proto
from tests.processes import served as served_process
from tests.unit.monitoring.test_loop import RULES, loop_of, run_to_the_end
from tests.unit.service.http.arrow_streams import SENT, stream
from tests.unit.service.serving import Service, route, serving, until

pytestmark = pytest.mark.slow

NAME, MAIL, TOWN = "Zaphod-Beeblebrox", "ford.prefect@betelgeuse.example", "Milliways-on-the-Edge"
ACCOUNT, INCOME, DEBT = 918_273_645_546, 73_916.626953125, 41_238.4375
PRIVATE = (
    Column(name="income", kind=Kind.FLOAT, low=0, high=100_000, privacy=Privacy.BUCKET, edges=(20_000.0, 50_000.0)),
    Column(name="debt", kind=Kind.FLOAT, privacy=Privacy.HASH),
    Column(name="account", kind=Kind.INT, privacy=Privacy.HASH),
    Column(name="name", kind=Kind.STRING, privacy=Privacy.DROP),
    Column(name="mail", kind=Kind.STRING, privacy=Privacy.HASH),
    Column(name="town", kind=Kind.STRING, categories=("oslo", "rome"), privacy=Privacy.BUCKET),
    Column(name="adult", kind=Kind.BOOL),
)
PERSON = {
    "income": INCOME, "debt": DEBT, "account": ACCOUNT, "name": NAME, "mail": MAIL, "town": TOWN, "adult": True,
}  # fmt: skip
DATATYPES = {
    "income": "FP64", "debt": "FP64", "account": "INT64", "name": "BYTES", "mail": "BYTES", "town": "BYTES", "adult": "BOOL",
}  # fmt: skip


def loans() -> bytes:
    """score = adult; nothing else is said of a person."""
    inputs = {name: (datatype, ["N", 1]) for name, datatype in DATATYPES.items()}
    nodes = [helper.make_node("Cast", ["adult"], ["score"], to=TensorProto.FLOAT)]
    return proto(nodes, inputs, {"score": ("FP32", ["N", 1])}).SerializeToString()


def loans_contract() -> Contract:
    return Contract(
        features=PRIVATE,
        inputs=tuple(Tensor(name=n, datatype=d, shape=(-1, 1), columns=(n,)) for n, d in DATATYPES.items()),
        outputs=(Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=("score",)),),
        output_columns=(Column(name="score", kind=Kind.FLOAT),),
    )


def sums() -> bytes:
    """one = 1, of a matrix of floats."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], axes=[1]),
        helper.make_node("Equal", ["top", "top"], ["one"]),
    ]
    return proto(nodes, {"x": ("FP32", ["N", 2])}, {"one": ("BOOL", ["N", 1])}).SerializeToString()


def sums_contract() -> Contract:
    return Contract(
        features=PRIVATE[:2],
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 2), columns=("income", "debt")),),
        outputs=(Tensor(name="one", datatype="BOOL", shape=(-1, 1), columns=("one",)),),
        output_columns=(Column(name="one", kind=Kind.BOOL),),
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for version in ("1", "2"):
        install(tmp_path, "loans", version, loans(), loans_contract())
    install(tmp_path, "sums", "1", sums(), sums_contract())
    route(tmp_path, "loans", stable="1", key="feature:mail", shadows=[{"version": "2"}])
    route(tmp_path, "sums", stable="1")
    return tmp_path


def traces() -> Iterator[bytes]:
    """Every way in which a value could stand in a file."""
    for text in (NAME, MAIL, TOWN, str(ACCOUNT), repr(INCOME), repr(DEBT)):
        yield from (text.encode(), text.encode("utf-16-le"))
    for order in "<>":
        yield struct.pack(f"{order}q", ACCOUNT)
        for number in (INCOME, DEBT):
            yield from (struct.pack(f"{order}d", number), struct.pack(f"{order}f", number))


def found_in(home: Path) -> list[tuple[str, bytes]]:
    """Which files hold which trace."""
    wanted = list(traces())
    contents = [(path, path.read_bytes()) for path in sorted(home.rglob("*")) if path.is_file()]
    return [(str(path.relative_to(home)), trace) for path, data in contents for trace in wanted if trace in data]


def v2(names: Sequence[str] = tuple(PERSON), **changed: Any) -> dict[str, Any]:
    person = {**PERSON, **changed}
    return {"inputs": [{"name": n, "shape": [1, 1], "datatype": DATATYPES[n], "data": [person[n]]} for n in names]}


def v2_binary(names: Sequence[str] = tuple(PERSON)) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    parts = [
        packed(np.array([PERSON[name]], dtype=object if DATATYPES[name] == "BYTES" else None), DATATYPES[name])
        for name in names
    ]
    inputs = [
        {"name": n, "shape": [1, 1], "datatype": DATATYPES[n], "parameters": {"binary_data_size": len(part)}}
        for n, part in zip(names, parts, strict=True)
    ]
    head = msgspec.json.encode({"inputs": inputs})
    return head + b"".join(parts), [(HEADER, str(len(head)).encode())]


async def ask_in_every_protocol(service: Service) -> list[int]:
    """Accepted once each; the statuses."""
    columns = {name: [value] for name, value in PERSON.items()}
    body, headers = v2_binary()
    matrix = np.array([[INCOME, DEBT]], dtype=np.float32)
    head = msgspec.json.encode(
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}
    )
    replies = [
        await service.predict(PERSON, model="loans"),
        await service.ask("POST", "/v1/models/loans:predict", {"instances": [PERSON], NAME: MAIL}),
        await service.predict(list(PERSON.values()), PERSON, model="loans"),
        await service.ask("POST", "/v1/models/loans:predict", {"inputs": columns}),
        await service.ask("POST", "/v2/models/loans/infer", v2()),
        await service.ask("POST", "/v2/models/loans/versions/2/infer", body, headers),
        await service.ask("POST", "/v2/models/loans/infer", stream(pa.table(columns)), SENT),
        await service.ask("POST", "/v1/models/loans:predict", stream(pa.table(columns)), SENT),
        await service.predict({"income": INCOME, "debt": DEBT}, model="sums"),
        await service.ask(
            "POST", "/v2/models/sums/infer", head + matrix.tobytes(), [(HEADER, str(len(head)).encode())]
        ),
    ]
    native = msgspec.json.encode({"model": "loans", "instances": [PERSON]})
    answer = await service.worker.predict_native("loans", native, [])
    return [*(reply.status for reply in replies), answer.status]


async def ask_wrongly_in_every_protocol(service: Service) -> list[int]:
    """Values in wrong columns, as unknown names, in bodies that cannot be read."""
    swapped = {**PERSON, "income": NAME, "account": MAIL, "adult": TOWN}
    unknown = {**PERSON, NAME: MAIL, TOWN: INCOME}
    without = [name for name in PERSON if name != "adult"]
    body, headers = v2_binary(without)
    strange = pa.table({**{name: [value] for name, value in PERSON.items()}, NAME: [MAIL]})
    nulls = {**PERSON, "adult": None}
    replies = [
        await service.predict(swapped, model="loans"),
        await service.predict(unknown, model="loans"),
        await service.predict(nulls, model="loans"),
        await service.predict([*PERSON.values(), MAIL], model="loans"),
        await service.ask("POST", "/v1/models/loans:predict", b'{"instances": [{"name": "' + NAME.encode() + b'", '),
        await service.ask("POST", "/v1/models/loans:predict", {"inputs": {**{n: [v] for n, v in unknown.items()}}}),
        await service.ask("POST", "/v2/models/loans/infer", v2(without)),
        await service.ask("POST", "/v2/models/loans/infer", v2(account=MAIL)),
        await service.ask("POST", "/v2/models/loans/infer", body, headers),
        await service.ask("POST", "/v2/models/loans/infer", stream(strange), SENT),
    ]
    return [reply.status for reply in replies]


def test_no_raw_value_is_in_the_home_after_requests_of_every_protocol(home: Path) -> None:
    async def test() -> Service:
        async with serving(home) as service:
            assert set(await ask_in_every_protocol(service)) == {200}
            assert set(await ask_wrongly_in_every_protocol(service)) == {400}
            shadows = 7  # of the requests to `loans` that pinned no version
            await until(lambda: sum(isinstance(r, Shadow) for r in service.records()) >= shadows, "shadows have run")
        return service

    service = asyncio.run(test())
    run_to_the_end(loop_of(home)[0])
    _, state = Checkpoints(home / "monitor").load(RULES)
    assert found_in(home) == []

    requests = service.requests()
    assert sum(record.outcome is Outcome.ANSWERED for record in requests) == 11
    assert all(record.features is None for record in requests if record.outcome is Outcome.REJECTED)
    assert [status.not_watched for status in versions_of(state, RULES)] == [("name",), ("name",), ()]


def test_the_same_person_has_the_same_hash_in_every_protocol(home: Path) -> None:
    async def test() -> Service:
        async with serving(home) as service:
            await ask_in_every_protocol(service)
        return service

    service = asyncio.run(test())
    key = deployment_key(home / "keys" / "privacy.key", make=False)
    blocks = [record.features for record in service.requests() if record.features is not None]
    said = {(column, text) for block in blocks for _, column, text in block.text or ()}
    places = {"debt": 1, "account": 2, "mail": 3}
    assert said == {(places[name], hashed(key, PERSON[name])) for name in places} | {(4, "other")}


def test_the_search_finds_what_is_there(home: Path) -> None:
    """Without it the tests above could not fail."""
    for trace in traces():
        (home / "leak").write_bytes(b"x" + trace)
        assert ("leak", trace) in found_in(home)


def test_a_plain_tensor_that_holds_a_private_feature_is_noted_without_hash_or_mean(tmp_path: Path) -> None:
    contract = Contract(
        features=(PRIVATE[0],),
        inputs=(
            Tensor(name="income", datatype="FP32", shape=(-1, 1), columns=("income",)),
            Tensor(name="image", datatype="FP32", shape=(-1, 2, 2)),
        ),
        outputs=(Tensor(name="wide", datatype="FP32", shape=(-1, 2, 2)),),
        output_columns=(),
    )
    nodes = [helper.make_node("Identity", ["image"], ["wide"])]
    tensors = {"income": ("FP32", ["N", 1]), "image": ("FP32", ["N", 2, 2])}
    graph = proto(nodes, tensors, {"wide": ("FP32", ["N", 2, 2])}).SerializeToString()
    install(tmp_path, "photos", "1", graph, contract)
    route(tmp_path, "photos", stable="1")

    async def test() -> Service:
        async with serving(tmp_path) as service:
            inputs = [
                {"name": "income", "shape": [1, 1], "datatype": "FP32", "data": [INCOME]},
                {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
            ]
            reply = await service.ask("POST", "/v2/models/photos/infer", {"inputs": inputs})
            assert reply.status == 200
        return service

    (request,) = asyncio.run(test()).requests()
    notes = {note.name: note for note in request.tensors or ()}
    assert (notes["income"].sha256, notes["income"].mean, notes["income"].std) == ("", None, None)
    assert notes["image"].sha256
    assert found_in(tmp_path) == []


@pytest.mark.integration
def test_no_raw_value_is_in_what_a_real_service_says_or_keeps(home: Path) -> None:
    with served_process(home) as (service, url):
        wrong = {**PERSON, "income": NAME, MAIL: TOWN}
        answers = [
            httpx.post(f"{url}/v1/models/loans:predict", json={"instances": [row]}, trust_env=False)
            for row in (PERSON, wrong)
        ]
        service.terminate()
        said = service.output().encode()
    assert [answer.status_code for answer in answers] == [200, 400]
    assert len(said) > 0
    assert [trace for trace in traces() if trace in said] == []
    assert found_in(home) == []


def test_an_error_that_nobody_foresaw_is_told_without_its_text_where_features_are_private() -> None:
    try:
        float(NAME)
    except ValueError as error:
        private, open_ = unexpected.told(error, private=True), unexpected.told(error, private=False)
        assert open_ == {"exc_info": error}
    assert private["error"] == "ValueError"
    assert "float(NAME)" in private["at"]
    assert NAME not in repr(private)
