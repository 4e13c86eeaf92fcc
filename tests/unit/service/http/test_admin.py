import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.lock_file import LockFile
from models.registry import Registry
from service.presence import Presence, WorkerSign, worker_signs
from service.routes_audit import Via, breaks
from service.routes_document import CanaryEntry, ModelRoutes
from service.routes_file import RoutesFile
from tests.unit.service.serving import ROW, Reply, Service, furnish, route, run, serving, until

pytestmark = pytest.mark.slow

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
            for method, asked in (("PUT", "/admin/routes"), ("POST", "/admin/routes/mixed")):
                reply = await service.ask(method, asked, {"do": "abort"})
                assert (reply.status, reply.json["code"]) == (401, "not_authorised")

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


# --- changes ------------------------------------------------------------------------------------------------------


async def change(
    service: Service, model: str = "mixed", headers: Sequence[tuple[bytes, bytes]] = (), **order: object
) -> Reply:
    return await service.ask("POST", f"/admin/routes/{model}", order, headers=[*BEARER, *headers])


def files(home: Path) -> dict[str, bytes]:
    """The routes, their log and their lock."""
    return {path.name: path.read_bytes() for path in home.glob("routes*")}


async def stands(service: Service) -> None:
    """The worker has said of itself that it serves."""
    await until(lambda: worker_signs(service.home / "workers"), "the sign")


def test_a_canary_is_given_a_share_promoted_and_rolled_back_with_an_entry_each(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await stands(service)
        reply = await change(service, do="canary", version="2", percent=5, by="ada", why="release 42")
        assert (reply.status, reply.headers["etag"]) == (200, '"3"')
        told = reply.json
        assert (told["made"], told["generation"], told["behind"]) == (True, 3, {})
        assert (told["applied"], told["pending"]) == ([f"worker {os.getpid()}"], [])
        assert told["moves"] == [{"model": "mixed", "from": "1", "to": "2", "percent": 5.0, "dealt_anew": False}]
        assert service.worker.predictor._catalogue.current.generation == 3
        assert (await change(service, do="promote")).json["generation"] == 4
        assert (await service.predict(ROW)).headers["x-model-version"] == "2"
        assert (await change(service, do="rollback")).json["generation"] == 5
        assert (await service.predict(ROW)).headers["x-model-version"] == "1"
        file = RoutesFile(service.home / "routes.toml")
        entry = file.entries()[2].entry
        assert (entry.via, entry.by, entry.why) == (Via.API, "ada", "release 42")
        assert entry.asked == {"do": "canary", "version": "2", "percent": 5.0}
        assert list(breaks(file.audit.lines(), file.read())) == []

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


def test_who_changed_a_model_is_told_newest_last_and_of_no_other_model(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await stands(service)
        await change(service, do="canary", version="2", percent=5, by="ada", why="release 42")
        route(tmp_path, "image", stable="1", key="header:x")
        await change(service, do="abort", by="plumbline-rollout", why="errors")
        told = (await service.ask("GET", "/admin/routes/mixed/history", headers=BEARER)).json
        assert told["model"] == "mixed"
        before = [one["before"] for one in told["changes"]]
        assert before == [None, {"stable": "1"}, {"stable": "1", "canary": {"version": "2", "percent": 5.0}}]
        newest = told["changes"][-1]
        assert (newest["via"], newest["by"], newest["why"]) == ("api", "plumbline-rollout", "errors")
        assert (newest["asked"], newest["after"], newest["generation"]) == ({"do": "abort"}, {"stable": "1"}, 5)
        nobody = (await service.ask("GET", "/admin/routes/nobody/history", headers=BEARER)).json
        assert nobody == {"model": "nobody", "changes": []}
        assert (await service.ask("GET", "/admin/routes/mixed/history")).status == 401

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


def test_every_change_asked_for_is_counted_once_by_what_became_of_it(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await stands(service)
        await change(service, do="canary", version="2", percent=5)
        await change(service, do="canary", version="2", percent=9, dry_run=True)
        await change(service, do="canary", version="9", percent=5)
        await change(service, do="abort", generation=1)
        (family,) = service.worker.predictor._telemetry._routes.changes.collect()
        counted = {one.labels["result"]: one.value for one in family.samples if one.name.endswith("_total")}
        assert counted == {"made": 1, "dry_run": 1, "routes_refused": 1, "routes_conflict": 1}

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


def test_what_was_read_can_be_changed_and_written_back_once(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        found = await service.ask("GET", "/admin/routes", headers=BEARER)
        document, etag = found.json, found.headers["etag"].encode()
        document["models"]["mixed"]["canary"] = {"version": "2", "percent": 5}
        for _ in range(2):
            reply = await service.ask("PUT", "/admin/routes", document, headers=[*BEARER, (b"if-match", etag)])
            if reply.status == 200:
                assert reply.json["generation"] == 3
        assert (reply.status, reply.json["code"]) == (409, "routes_conflict")
        assert reply.json["error"].startswith("generation: found 3, expected 2")
        routes = RoutesFile(service.home / "routes.toml").read()
        assert routes.models["mixed"] == ModelRoutes(stable="1", canary=CanaryEntry("2", 5))
        assert "image" in routes.models

    run(tmp_path, test, admin_token=TOKEN)


def test_a_dry_run_says_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        before = files(tmp_path)
        reply = await change(service, do="set", stable="2", dry_run=True)
        assert (reply.status, reply.json["made"], reply.json["generation"]) == (200, False, 3)
        assert reply.json["shares"] == [
            {"model": "mixed", "arm": "stable", "version": "1", "before": 100.0, "after": 0.0},
            {"model": "mixed", "arm": "stable", "version": "2", "before": 0.0, "after": 100.0},
        ]
        assert files(tmp_path) == before

    run(tmp_path, test, admin_token=TOKEN)


def test_a_share_does_not_rise_while_a_worker_has_not_loaded_its_version_and_that_worker_is_named(
    tmp_path: Path,
) -> None:
    async def test(service: Service) -> None:
        await stands(service)
        loaded = worker_signs(tmp_path / "workers")[0].versions
        other = Presence(tmp_path / "workers" / "1.json")
        other.say(WorkerSign(1, 1, 2, {}, {"mixed:1": loaded["mixed:1"]}))
        reply = await change(service, do="canary", version="2", percent=5, wait_s=0.1)
        assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "versions_not_loaded", "5")
        assert reply.json["details"] == [{"at": "worker 1", "problem": "has not loaded mixed:2"}]
        assert RoutesFile(tmp_path / "routes.toml").read().generation == 2
        waiting = asyncio.create_task(change(service, do="canary", version="2", percent=5))
        await asyncio.sleep(0)
        other.say(WorkerSign(1, 1, 2, {}, dict(loaded)))
        assert (await waiting).json["made"]
        listed = (await service.ask("GET", "/admin/versions", headers=BEARER)).json["workers"]
        assert {one["pid"] for one in listed} == {1, os.getpid()}
        other.close()

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


def test_a_change_that_waits_does_not_undo_a_rollback_that_was_made_meanwhile(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 5.0})

    async def test(service: Service) -> None:
        await stands(service)
        loaded = worker_signs(tmp_path / "workers")[0].versions
        other = Presence(tmp_path / "workers" / "1.json")
        other.say(WorkerSign(1, 1, 4, {}, {}))
        waiting = asyncio.create_task(change(service, do="canary", version="2", percent=25))
        await asyncio.sleep(0)  # its turn comes before the rollback's
        assert (await change(service, do="rollback")).json["made"]
        other.say(WorkerSign(1, 1, 4, {}, dict(loaded)))
        reply = await waiting
        assert (reply.status, reply.json["code"]) == (409, "routes_conflict"), reply.json
        assert RoutesFile(tmp_path / "routes.toml").read().models["mixed"].canary is None
        other.close()

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


@pytest.mark.parametrize(
    ("order", "headers", "status", "told"),
    [
        ({"do": "canary", "version": "9", "percent": 5}, [], 400, "version '9', expected a pinned version (1, 2)"),
        ({"do": "promote"}, [], 400, "no canary"),
        ({"do": "canary", "version": "2", "percent": 101}, [], 400, "found one outside its bounds"),
        ({"do": "nothing"}, [], 400, "invalid value 'nothing'"),
        ({"percent": 5}, [], 400, "found no `do`"),
        ({"do": "abort", "more": 1}, [], 400, "unknown field `more`"),
        ({"do": "set", "stable": "2"}, [(b"if-match", b'"1"')], 409, "found 2, expected 1"),
        ({"do": "set", "stable": "2", "generation": 7}, [], 409, "found 2, expected 7"),
        ({"do": "set", "stable": "2"}, [(b"if-match", b"2")], 400, "header if-match: found '2', expected"),
        ({"do": "set", "stable": "2", "generation": 2}, [(b"if-match", b'"1"')], 400, "expected 2 as in the body"),
    ],
    ids=str,
)  # fmt: skip
def test_a_change_that_cannot_be_made_is_told_why_and_changes_nothing(
    tmp_path: Path, order: dict[str, object], headers: list[tuple[bytes, bytes]], status: int, told: str
) -> None:
    async def test(service: Service) -> None:
        before = (tmp_path / "routes.toml").read_bytes()
        reply = await change(service, headers=headers, **order)
        assert reply.status == status and told in reply.json["error"], reply.json
        assert (tmp_path / "routes.toml").read_bytes() == before

    run(tmp_path, test, admin_token=TOKEN)


def test_routes_that_cannot_be_written_are_told_so_and_answers_go_on(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        aside = tmp_path / f"routes.toml.{os.getpid()}.new"
        aside.mkdir()
        reply = await change(service, do="set", stable="2", wait_s=0)
        assert (reply.status, reply.json["code"]) == (503, "routes_unavailable")
        assert (await service.predict(ROW)).headers["x-model-version"] == "1"
        aside.rmdir()
        assert (await change(service, do="set", stable="2")).status == 200

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)


def test_a_document_that_somebody_broke_is_told_and_stands_in_the_way_of_no_rollback(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 100.0})

    async def test(service: Service) -> None:
        (tmp_path / "routes.toml").write_text("generation = ")
        reply = await service.ask("GET", "/admin/routes", headers=BEARER)
        assert (reply.status, reply.json["code"]) == (503, "routes_unavailable")
        assert "routes.toml" in reply.json["error"]
        assert (await change(service, do="rollback")).json["generation"] == 4
        await until(lambda: service.worker.predictor._catalogue.current.generation == 4, "the rollback")
        assert (await service.predict(ROW)).headers["x-model-version"] == "1"

    run(tmp_path, test, admin_token=TOKEN, routes_poll_s=0.01)
