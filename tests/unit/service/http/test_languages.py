"""Which language is a body in, and which does the answer take: by the headers, on the routes where there are two."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.featurelog.record import Outcome
from service.http.answer import ARROW
from service.http.arrow import Arrow
from service.http.languages import Languages
from service.http.paths import Verb
from service.http.v1 import V1, Native
from tests.onnx_models import echo, install
from tests.unit.service.http.arrow_streams import ROWS, SENT, answered, changed, floats_contract, stream, table
from tests.unit.service.serving import Service, furnish, route, serving

PATHS = ("/v1/models/mixed:predict", "/v2/models/mixed/infer")
V1_WIRE, ARROW_WIRE, NATIVE_WIRE = V1(), Arrow(max_rows=1, max_bytes=1), Native()
LANGUAGES = Languages({Verb.V1_PREDICT: V1_WIRE, Verb.NATIVE_PREDICT: NATIVE_WIRE}, ARROW_WIRE, (Verb.V1_PREDICT,))


@pytest.mark.parametrize(
    ("body", "accept", "read", "written"),
    [
        (b"application/json", None, "json", "json"),
        (b"application/x-www-form-urlencoded", b"*/*", "json", "json"),
        (b"application/json", ARROW, "json", "arrow"),
        (b"application/json", b"application/json;q=0.5, " + ARROW + b";q=0.8", "json", "arrow"),
        (b"application/json", b"application/json, " + ARROW, "json", "json"),
        (b"application/json", b"application/json;q=0.1, " + ARROW + b";q=0", "json", "json"),
        (ARROW, None, "arrow", "arrow"),
        (ARROW, b"*/*", "arrow", "arrow"),
        (ARROW, b"text/html", "arrow", "arrow"),
        (ARROW, b"application/json", "arrow", "json"),
        (ARROW, b"application/json, */*;q=0.1", "arrow", "json"),
        (ARROW, b"application/json, application/*;q=0.1", "arrow", "json"),
        (ARROW, b"application/json;q=broken, */*", "arrow", "arrow"),
        (b"Application/vnd.apache.arrow.Stream; charset=x", b"*/*", "arrow", "arrow"),
        (b"Application/Vnd.Apache.Arrow.Stream", None, "arrow", "arrow"),
        (b"application/json", ARROW.upper(), "json", "arrow"),
        (b"application/vnd.apache.arrow.file", b"*/*", "json", "json"),
    ],
)
def test_content_type_and_accept_choose(body: bytes, accept: bytes | None, read: str, written: str) -> None:
    headers = [(b"host", b"x"), (b"content-type", body), *([(b"accept", accept)] if accept else [])]
    wire: Any = LANGUAGES.wire(Verb.V1_PREDICT, headers)
    wires = {"json": V1_WIRE, "arrow": ARROW_WIRE}
    if read == written:
        assert wire is wires[read]
    else:
        assert (wire._read, wire._written, wire.name) == (wires[read], wires[written], wires[read].name)


def test_other_routes_have_one_language_or_none() -> None:
    assert LANGUAGES.wire(Verb.NATIVE_PREDICT, SENT) is NATIVE_WIRE
    assert LANGUAGES.wire(Verb.READYZ, SENT) is None
    assert LANGUAGES.wire(Verb.READYZ, []) is None


def run(home: Path, test: Any, **given: Any) -> None:
    async def inner() -> None:
        async with serving(home, **given) as service:
            await test(service)

    asyncio.run(inner())


@pytest.mark.parametrize("path", PATHS)
def test_the_headers_choose_the_language_of_body_and_answer(tmp_path: Path, path: str) -> None:
    async def test(service: Service) -> None:
        body = stream(table())
        arrow = await service.ask("POST", path, body, SENT)
        assert (arrow.status, arrow.headers["content-type"]) == (200, ARROW.decode())
        assert answered(arrow.body).column("score").to_pylist() == [7.0, -3.25]
        text = await service.ask("POST", path, body, [*SENT, (b"accept", b"application/json")])
        assert (text.status, text.headers["content-type"]) == (200, "application/json")
        key = "predictions" if "v1" in path else "outputs"
        inputs = {"instances": ROWS} if "v1" in path else {"inputs": v2_inputs(), "outputs": [{"name": "place"}]}
        plain = await service.ask("POST", path, inputs)
        assert len(plain.json[key]) == (2 if "v1" in path else 1)
        back = await service.ask("POST", path, inputs, [(b"accept", ARROW)])
        assert answered(back.body).column("place").to_pylist() == ["oslo", "Tromsø"]
        assert answered(back.body).schema.names == (["score", "place", "flagged"] if "v1" in path else ["place"])
        protocols = ["arrow", "arrow", path[1:3], path[1:3]]
        assert [(one.protocol, one.outcome) for one in service.requests()] == [(p, Outcome.ANSWERED) for p in protocols]
        first, *others = service.requests()
        for other in others:
            assert (other.rows, other.features, other.outputs) == (first.rows, first.features, first.outputs)

    run(tmp_path, test)


def v2_inputs() -> list[dict[str, Any]]:
    kinds = {"amount": "FP64", "ratio": "FP64", "count": "INT64", "flag": "BOOL", "city": "BYTES"}
    return [{"name": n, "shape": [2], "datatype": k, "data": [row[n] for row in ROWS]} for n, k in kinds.items()]


def test_an_output_with_sizes_is_a_column_of_lists(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "floats", "1", echo({"x": ("FP32", ["N", 2])}), floats_contract())
    route(tmp_path, "floats", stable="1")

    async def test(service: Service) -> None:
        given = pa.table({"a": [0.5, 1.5], "b": [2.5, 3.5]})
        found = answered((await service.ask("POST", "/v1/models/floats:predict", stream(given), SENT)).body)
        assert found.schema.field("x_out").type == pa.list_(pa.float32(), 2)
        assert found.column("x_out").to_pylist() == [[0.5, 2.5], [1.5, 3.5]]
        image = {"instances": [[[1, 2], [3, 4]]]}
        asked = [(b"accept", ARROW)]
        found = answered((await service.ask("POST", "/v1/models/image:predict", image, asked)).body)
        assert found.to_pylist() == [{"total": 10.0, "same": [[1.0, 2.0], [3.0, 4.0]]}]

    run(tmp_path, test)


def test_faults_have_the_one_shape_and_one_record(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("POST", PATHS[0], stream(changed("ratio", [1.0, np.nan])), SENT)
        assert (reply.status, reply.json["details"][0]["at"]) == (400, "/ratio/1")
        assert (await service.ask("POST", PATHS[1], b"\xff" * 20, SENT)).status == 400
        assert [(one.protocol, one.code) for one in service.requests()] == [
            ("arrow", "invalid_input"),
            ("arrow", "malformed_body"),
        ]

    run(tmp_path, test)
