"""Health and metadata: what the specification and its clients ask for."""

import asyncio
from pathlib import Path

import pytest

from models.lock_file import LockFile
from models.registry import Registry
from tests.unit.service.serving import ROW, furnish, route, serving

pytestmark = pytest.mark.slow


def test_liveness_and_readiness_are_json_on_every_name(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            for path in ("/livez", "/healthz", "/v2/health/live"):
                reply = await service.ask("GET", path)
                assert (reply.status, reply.json) == (200, {"live": True})
            for path in ("/readyz", "/v2/health/ready"):
                reply = await service.ask("GET", path)
                assert (reply.status, reply.json["ready"]) == (200, True)
                assert reply.json["models"] == {"mixed": "1", "image": "1"}
                assert reply.json["log"] == {
                    "writer": "w0",
                    "epoch": 1,
                    "writable": True,
                    "durability": "process",
                    "reserve_held": True,
                }
                assert reply.json["problems"] == []

    asyncio.run(test())


def test_a_full_disk_is_told_and_does_not_stop_answers(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            service.worker.log.reserve.release()
            reply = await service.ask("GET", "/readyz")
            assert (reply.status, reply.json["log"]["writable"], reply.json["log"]["reserve_held"]) == (
                200,
                False,
                False,
            )
            assert "disk is full" in reply.json["problems"][0]
            assert (await service.predict(ROW)).status == 200  # and as there is space, it is held again
            assert (await service.ask("GET", "/readyz")).json["log"]["reserve_held"]

    asyncio.run(test())


def test_a_service_that_drains_is_alive_and_answers_but_is_not_ready(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            service.worker.drain.stopping = True
            for path in ("/readyz", "/v2/health/ready", "/v2/models/mixed/ready"):
                reply = await service.ask("GET", path)
                assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "draining", "1")
            assert (await service.ask("GET", "/livez")).status == 200
            assert (await service.predict(ROW)).status == 200

    asyncio.run(test())


def test_a_service_without_a_routed_model_is_not_ready_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text("generation = 0\n")

    async def test() -> None:
        async with serving(tmp_path) as service:
            reply = await service.ask("GET", "/readyz")
            assert (reply.status, reply.json["ready"]) == (503, False)
            assert "plumbline models add" in reply.json["problems"][0]
            assert (await service.ask("GET", "/livez")).status == 200

    asyncio.run(test())


def test_a_version_that_could_not_be_loaded_is_in_the_detail_and_in_the_index(tmp_path: Path) -> None:
    furnish(tmp_path)
    pin = LockFile(tmp_path / "models.lock.toml").read().find("mixed", "1")
    assert pin is not None
    (Registry(tmp_path / "registry").place(pin.digest) / "model.onnx").write_bytes(b"other")

    async def test() -> None:
        async with serving(tmp_path) as service:
            ready = await service.ask("GET", "/readyz")
            assert ready.status == 200  # another model is served
            assert any("mixed:1" in problem for problem in ready.json["problems"])
            for path in ("/v2/models/mixed/ready", "/v2/models/mixed"):
                reply = await service.ask("GET", path)
                assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "model_not_ready", "5")
            reply = await service.predict(ROW)
            assert (reply.status, reply.json["code"]) == (503, "model_not_ready")
            index = (await service.ask("POST", "/v2/repository/index")).json
            states = {(one["name"], one["version"]): one["state"] for one in index}
            assert states == {("mixed", "1"): "UNAVAILABLE", ("mixed", "2"): "READY", ("image", "1"): "READY"}

    asyncio.run(test())


def test_the_server_says_its_name_and_only_the_extensions_that_work(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            for path in ("/v2", "/v2/"):
                found = (await service.ask("GET", path)).json
                assert found["name"] == "plumbline"
                assert found["extensions"] == [
                    "binary_tensor_data",
                    "model_repository(index)",
                    "model_configuration",
                    "statistics",
                ]

    asyncio.run(test())


def test_a_model_says_its_versions_stable_first_its_tensors_and_its_features(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="2")

    async def test() -> None:
        async with serving(tmp_path) as service:
            found = (await service.ask("GET", "/v2/models/mixed")).json
            assert (found["name"], found["versions"], found["platform"]) == ("mixed", ["2", "1"], "onnxruntime_onnx")
            assert found["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
            assert [one["name"] for one in found["outputs"]] == ["score", "place", "flagged"]
            features = found["parameters"]["features"]
            assert features[0] == {"name": "amount", "datatype": "FP64", "nullable": True}
            assert [one["datatype"] for one in features] == ["FP64", "FP64", "INT64", "BOOL", "BYTES"]
            one = (await service.ask("GET", "/v2/models/mixed/versions/1")).json
            assert one["versions"] == ["1"]
            ready = (await service.ask("GET", "/v2/models/mixed/versions/1/ready")).json
            assert ready == {"name": "mixed", "ready": True}

    asyncio.run(test())


def test_the_configuration_has_the_fields_that_load_generators_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            found = (await service.ask("GET", "/v2/models/mixed/config")).json
            assert (found["name"], found["max_batch_size"], found["backend"]) == ("mixed", 0, "onnxruntime")
            assert found["input"][3] == {"name": "city", "data_type": "TYPE_STRING", "dims": [-1, 1]}
            assert found["output"][0]["data_type"] == "TYPE_FP32"

    asyncio.run(test())


def test_v1_status_is_that_of_tf_serving_and_of_kserve(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            told = (await service.ask("GET", "/v1/models/mixed")).json
            assert (told["name"], told["ready"]) == ("mixed", True)
            found = told["model_version_status"]
            assert [(one["version"], one["state"]) for one in found] == [("1", "AVAILABLE"), ("2", "AVAILABLE")]
            assert found[0]["status"] == {"error_code": "OK", "error_message": ""}
            (one,) = (await service.ask("GET", "/v1/models/mixed/versions/2")).json["model_version_status"]
            assert one["version"] == "2"
            for path, code in (
                ("/v1/models/other", "model_unknown"),
                ("/v1/models/mixed/versions/9", "version_unknown"),
            ):
                reply = await service.ask("GET", path)
                assert (reply.status, reply.json["code"]) == (404, code)

    asyncio.run(test())
