"""Clients that others wrote, against the running service: what they send is read, what it answers they can read.

One service of two workers with both demo models answers all; the answers are held against what V1 says of the same rows.
"""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import numpy as np
import pyarrow as pa
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from models.contract import Contract, Kind
from models.demo.simulator import Row
from tests.integration.asking import by_v1, contract, curl, payments, tumours
from tests.processes import home, served, wait_until

pytestmark = pytest.mark.integration

SETTLED_DEADLINE_S = 10
ARROW = "application/vnd.apache.arrow.stream"
ROWS = 4
MANY = 2_000  # rows whose answer is long enough to be compressed, also as binary data
DTYPES = {Kind.FLOAT: np.float64, Kind.INT: np.int64, Kind.BOOL: np.bool_, Kind.STRING: np.object_}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(home(tmp_path_factory.mktemp("clients")), workers=2) as (_, url):
        yield url.removeprefix("http://")


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


def columns_of(rows: list[Row], kinds: Contract, make: Callable[..., Any], *, binary: bool) -> list[Any]:
    """One tensor a feature."""
    inputs = []
    for column in kinds.features:
        values = np.array([[row[column.name]] for row in rows], dtype=DTYPES[column.kind])
        tensor = make(column.name, list(values.shape), np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values, binary_data=binary)
        inputs.append(tensor)
    return inputs


def agrees(found: Any, expected: dict[str, np.ndarray[Any, Any]]) -> None:
    for name, values in expected.items():
        given = found.as_numpy(name)
        assert given.shape == values.shape
        if values.dtype.kind in "fiub":
            np.testing.assert_allclose(given, values, rtol=1e-6)
        else:
            assert [
                text.decode() if isinstance(text, bytes) else text for text in given.ravel()
            ] == values.ravel().tolist()


# --- tritonclient -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tritonclient_sends_columns_with_strings(
    address: str, client: triton.InferenceServerClient, binary_in: bool, binary_out: bool | None
) -> None:
    rows, declared = payments(ROWS), contract("payments")
    wanted = [triton.InferRequestedOutput(one.name, binary_data=bool(binary_out)) for one in declared.outputs]
    found = client.infer(
        "payments",
        columns_of(rows, declared, triton.InferInput, binary=binary_in),
        outputs=None if binary_out is None else wanted,
        request_id="mine",
    )
    assert found.get_response()["id"] == "mine"
    agrees(found, by_v1(address, "payments", rows))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_tritonclient_sends_a_matrix_with_compression_both_ways(
    address: str, client: triton.InferenceServerClient, binary: bool, packed: str | None
) -> None:
    rows = tumours(MANY)
    (declared,) = contract("tumours").inputs
    matrix = triton.InferInput(declared.name, list(rows.shape), "FP32").set_data_from_numpy(rows, binary_data=binary)
    outputs = [triton.InferRequestedOutput(one.name, binary_data=binary) for one in contract("tumours").outputs]
    found = client.infer(
        "tumours",
        [matrix],
        outputs=outputs,
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )
    agrees(found, by_v1(address, "tumours", rows.tolist()))


def test_an_answer_of_so_many_rows_is_compressed_for_a_client_that_asks(address: str) -> None:
    rows = tumours(MANY)
    (declared,) = contract("tumours").inputs
    tensor = {"name": declared.name, "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    for binary in (True, False):
        asked = {"inputs": [tensor], "parameters": {"binary_data_output": binary}}
        url = f"http://{address}/v2/models/tumours/infer"
        for coding in ("gzip", "deflate", "identity"):
            answer = httpx.post(url, json=asked, headers={"accept-encoding": coding}, trust_env=False)
            assert answer.headers.get("content-encoding", "identity") == coding
            assert ("inference-header-content-length" in answer.headers) == binary


def test_tritonclient_sends_many_at_once(address: str, client: triton.InferenceServerClient) -> None:
    rows, declared = payments(ROWS), contract("payments")
    inputs = columns_of(rows, declared, triton.InferInput, binary=True)
    expected = by_v1(address, "payments", rows)
    for pending in [client.async_infer("payments", inputs) for _ in range(10)]:
        agrees(pending.get_result(), expected)


def test_tritonclient_aio_sends_binary_and_json(address: str) -> None:
    rows, declared = payments(ROWS), contract("payments")
    expected = by_v1(address, "payments", rows)

    async def ask() -> list[Any]:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            asked = [columns_of(rows, declared, triton_aio.InferInput, binary=binary) for binary in (True, False)]
            return list(await asyncio.gather(*(client.infer("payments", inputs) for inputs in asked)))

    for found in asyncio.run(ask()):
        agrees(found, expected)


def test_tritonclient_is_told_what_was_wrong_in_our_words(client: triton.InferenceServerClient) -> None:
    rows, declared = payments(ROWS), contract("payments")
    rows[2] = {**rows[2], "amount": float("nan")}
    with pytest.raises(InferenceServerException) as refused:
        client.infer("payments", columns_of(rows, declared, triton.InferInput, binary=True))
    assert "NaN, expected a number" in str(refused.value)
    assert refused.value.status() == "400"


def test_tritonclient_reads_what_the_server_says_of_itself(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("payments")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [one["name"] for one in client.get_model_metadata("tumours")["outputs"]]
    assert client.get_model_config("tumours", "1")["name"] == "tumours"
    assert {one["name"] for one in client.get_model_repository_index()} == {"payments", "tumours"}


def test_statistics_count_the_requests_of_every_worker(tmp_path: Path) -> None:
    """Over a service of its own: what one worker has not published yet when another is asked belongs to no other test."""
    rows, declared = payments(ROWS), contract("payments")

    def counted(client: triton.InferenceServerClient) -> tuple[int, int, int]:
        (found,) = client.get_inference_statistics("payments", "1")["model_stats"]
        stats = found["inference_stats"]
        assert stats["success"]["count"] == stats["queue"]["count"] == stats["compute_infer"]["count"]
        assert stats["success"]["ns"] >= stats["compute_infer"]["ns"]
        return stats["success"]["count"], found["inference_count"], stats["fail"]["count"]

    with served(home(tmp_path), workers=2) as (_, url):
        address = url.removeprefix("http://")
        for _ in range(20):  # each over a connection of its own, so that both workers get some
            with triton.InferenceServerClient(address) as other:
                other.infer("payments", columns_of(rows, declared, triton.InferInput, binary=True), model_version="1")
        with triton.InferenceServerClient(address) as client:
            with pytest.raises(InferenceServerException):
                client.infer("payments", [], model_version="1")
            expected = (20, 20 * ROWS, 1)
            wait_until(lambda: counted(client) == expected, SETTLED_DEADLINE_S, f"counted {expected}")


# --- curl, BentoML ------------------------------------------------------------------------------------------------


def test_curl_sends_bodies_in_the_shapes_of_the_specification(address: str) -> None:
    rows = tumours(2)
    (declared,) = contract("tumours").inputs
    tensor = {"name": declared.name, "shape": list(rows.shape), "datatype": "FP32"}
    url = f"http://{address}/v2/models/tumours/infer"
    name = contract("tumours").outputs[0].name
    expected = by_v1(address, "tumours", rows.tolist())[name]
    for data in (rows.ravel().tolist(), rows.tolist()):  # flat and nested, as its two examples are
        body = {"id": "42", "inputs": [{**tensor, "data": data}], "outputs": [{"name": name}], "parameters": {"a": 1}}
        found = curl("--compressed", "--json", json.dumps(body), url)
        assert (found["id"], found["model_name"]) == ("42", "tumours")
        assert found["outputs"][0]["data"] == expected.ravel().tolist()


def test_curl_sends_binary_data_from_a_file(address: str, tmp_path: Path) -> None:
    rows = tumours(2)
    (declared,) = contract("tumours").inputs
    tensor = {"name": declared.name, "shape": list(rows.shape), "datatype": "FP32"}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": rows.nbytes}}]}).encode()
    body = tmp_path / "body"
    body.write_bytes(head + rows.tobytes())
    length = f"Inference-Header-Content-Length: {len(head)}"
    url = f"http://{address}/v2/models/tumours/infer"
    found = curl("-H", "Content-Type: application/octet-stream", "-H", length, "--data-binary", f"@{body}", url)
    expected = by_v1(address, "tumours", rows.tolist())
    for output in found["outputs"]:
        assert output["data"] == expected[output["name"]].ravel().tolist()


def test_curl_sends_tf_servings_columns(address: str) -> None:
    rows = tumours(2)
    url = f"http://{address}/v1/models/tumours:predict"
    found = curl("--json", json.dumps({"signature_name": "serving_default", "inputs": rows.tolist()}), url)
    expected = by_v1(address, "tumours", rows.tolist())
    assert {name: np.array(values).tolist() for name, values in found["outputs"].items()} == {
        name: values.tolist() for name, values in expected.items()
    }


def test_bentomls_own_client_asks_its_own_route(address: str) -> None:
    rows = payments(ROWS)
    with bentoml.SyncHTTPClient(f"http://{address}", server_ready_timeout=10) as client:
        found = client.call("predict", model="payments", instances=rows)
    expected = by_v1(address, "payments", rows)
    for name, values in expected.items():
        assert [row[name] for row in found["predictions"]] == values.tolist()


# --- Arrow --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/v1/models/payments:predict", "/v2/models/payments/infer"])
@pytest.mark.parametrize("packed", [None, "gzip"])
def test_pyarrow_sends_a_table_and_reads_one(address: str, route: str, packed: str | None) -> None:
    rows = payments(MANY)
    sent = pa.Table.from_pylist(rows)
    for name in ("merchant_category", "country"):
        sent = sent.set_column(sent.schema.names.index(name), name, sent.column(name).dictionary_encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, sent.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(sent, 500)
    body, headers = sink.getvalue().to_pybytes(), {"content-type": ARROW, "accept-encoding": packed or "identity"}
    if packed:
        body, headers = gzip.compress(body), {**headers, "content-encoding": packed}
    answer = httpx.post(f"http://{address}{route}", content=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW)
    assert answer.headers.get("content-encoding") == packed
    found = pa.ipc.open_stream(answer.content).read_all()
    for name, values in by_v1(address, "payments", rows).items():
        np.testing.assert_allclose(np.array(found.column(name).to_pylist()), values.squeeze(), rtol=1e-6)
