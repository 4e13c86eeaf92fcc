import asyncio
from pathlib import Path

import pytest

from models.lock_file import LockFile
from models.registry import Registry
from tests.unit.service.serving import furnish, route, serving

TOKEN = "hunter2-ü"
BEARER = [(b"authorization", f"Bearer {TOKEN}".encode())]


@pytest.mark.parametrize("path", ["/admin/routes", "/admin/versions"])
def test_only_the_token_opens_the_admin_api(tmp_path: Path, path: str) -> None:
    async def test() -> None:
        async with serving(tmp_path, admin_token=TOKEN) as service:
            assert (await service.ask("GET", path, headers=BEARER)).status == 200
            for given in (b"", b"Bearer ", b"Bearer wrong", TOKEN.encode(), b"bearer " + TOKEN.encode(), b"\xff"):
                reply = await service.ask("GET", path, headers=[(b"authorization", given)])
                assert (reply.status, reply.json["code"]) == (401, "not_authorised"), given
            assert (await service.ask("GET", path)).status == 401
            assert (await service.ask("POST", path, headers=BEARER)).status == 405

    asyncio.run(test())


def test_without_a_token_there_is_no_admin_api(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as service:
            for headers in ([], [(b"authorization", b"Bearer ")], [(b"authorization", b"Bearer None")]):
                reply = await service.ask("GET", "/admin/routes", headers=headers)
                assert (reply.status, reply.json["code"]) == (403, "admin_disabled")
                assert "PLUMBLINE_ADMIN_TOKEN" in reply.json["error"]

    asyncio.run(test())


def test_routes_show_what_is_on_disk_and_what_is_applied(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path, admin_token=TOKEN, routes_poll_s=1) as service:
            found = (await service.ask("GET", "/admin/routes", headers=BEARER)).json
            assert (found["generation"], found["applied_generation"]) == (2, 2)
            assert found["models"]["mixed"] == {"stable": "1"}
            route(tmp_path, "mixed", stable="2")
            found = (await service.ask("GET", "/admin/routes", headers=BEARER)).json
            assert (found["generation"], found["applied_generation"]) == (3, 2)  # nobody has looked yet
            assert found["models"]["mixed"] == {"stable": "2"}

    asyncio.run(test())


def test_versions_show_what_is_loaded_and_what_could_not_be(tmp_path: Path) -> None:
    furnish(tmp_path)
    pin = LockFile(tmp_path / "models.lock.toml").read().find("mixed", "2")
    assert pin is not None
    (Registry(tmp_path / "registry").place(pin.digest) / "model.onnx").write_bytes(b"other")

    async def test() -> None:
        async with serving(tmp_path, admin_token=TOKEN) as service:
            found = (await service.ask("GET", "/admin/versions", headers=BEARER)).json
            assert [f"{one['name']}:{one['version']}" for one in found["loaded"]] == ["image:1", "mixed:1"]
            (failed,) = found["failed"]
            assert (failed["name"], failed["version"]) == ("mixed", "2")
            assert "not loading it" in failed["reason"]

    asyncio.run(test())
