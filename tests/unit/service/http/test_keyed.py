"""A service that asks for keys: every route with every kind of key, limits, records, and what is told to whom."""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from models.key_file import FILE, KeyFile, fresh
from models.keys import Keys
from service.featurelog.record import Outcome
from service.http.needs import NEEDS, Need
from service.http.openapi import document
from service.http.paths import BENTOML, Target, Verb, parse, templates
from service.http.shapes import schemas
from service.keys_errors import KeyRefused
from service.routes_file import RoutesFile
from tests.keys import expired, like, made, revoked
from tests.unit.service.serving import ROW, Reply, Service, furnish, route, run, until

pytestmark = pytest.mark.slow

REQUIRED = {"api_keys": "required", "routes_poll_s": 0.01}
TOKEN = "hunter2-ü"


def with_key(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + text.encode())]


async def asked(service: Service, target: Target, path: str, text: str) -> Reply:
    concrete = path.format(model="mixed", version="1")
    return await service.ask(target.method, concrete, b"{}", with_key(text) if text else [])


def words(home: Path) -> dict[str, str]:
    """A key of every kind, the scopes of the good ones as their names; "" for none."""
    return {
        "none": "",
        "guess": "plk_guess",
        "wrong": made(home, "admin")[:-1] + "x",
        "expired": expired(home, "admin"),
        "revoked": revoked(home, "admin"),
        "predict": made(home, "predict"),
        "predict:mixed": made(home, "predict:mixed"),
        "predict:other": made(home, "predict:other"),
        "read": made(home, "read"),
        "admin": made(home, "admin"),
        "token": TOKEN,
    }


OPENS = {
    Need.NOTHING: {"predict", "predict:mixed", "predict:other", "read", "admin", "token"},
    Need.PREDICT: {"predict", "predict:mixed", "admin", "token"},
    Need.ABOUT: {"predict", "predict:mixed", "read", "admin", "token"},
    Need.READ: {"read", "admin", "token"},
    Need.ADMIN: {"admin", "token"},
}
REFUSED = {"none": "key_missing", "guess": "key_refused", "wrong": "key_refused", "expired": "key_refused"}
KEY_CODES = {"key_missing", "key_refused", "scope_missing", "not_authorised", "admin_disabled"}


def test_every_route_lets_in_whom_the_table_says_and_nobody_else(tmp_path: Path) -> None:
    furnish(tmp_path)
    kinds = words(tmp_path)

    async def test(service: Service) -> None:
        for path, target in templates():
            if path in BENTOML:
                continue
            need = NEEDS[target.verb]
            for kind, text in kinds.items():
                reply = await asked(service, target, path, text)
                code = reply.json.get("code", "") if reply.status >= 400 else ""
                if need is Need.NOTHING or kind in OPENS[need]:
                    assert code not in KEY_CODES, (path, kind)
                elif kind in OPENS[Need.NOTHING]:
                    # a key of another model comes as far as the body where that names the model
                    named = target.verb is Verb.NATIVE_PREDICT and kind == "predict:other"
                    assert (reply.status, code) == ((400, "malformed_body") if named else (403, "scope_missing")), path
                else:
                    assert (reply.status, code) == (401, REFUSED.get(kind, "key_refused")), (path, kind)
                    assert reply.headers["www-authenticate"].startswith("Bearer")

    run(tmp_path, test, admin_token=TOKEN, **REQUIRED)


def test_every_verb_is_in_the_table() -> None:
    assert set(NEEDS) == set(Verb)


def test_the_reason_is_told_to_who_has_the_whole_key_and_to_nobody_else(tmp_path: Path) -> None:
    furnish(tmp_path)
    kinds = words(tmp_path)

    async def test(service: Service) -> None:
        for kind, told in (("expired", "has expired"), ("revoked", "was revoked"), ("guess", "not known here")):
            reply = await service.predict(ROW, headers=with_key(kinds[kind]))
            assert (reply.status, told in reply.json["error"]) == (401, True)
            reply = await service.predict(ROW, headers=with_key(kinds[kind][:-1]))
            assert "API key: not known here" in reply.json["error"]
        reply = await service.predict(ROW, headers=with_key(kinds["predict:other"]))
        assert reply.json["error"].endswith("opens predict:other, expected predict:mixed; nothing was done")

    run(tmp_path, test, **REQUIRED)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer KEY")],
        [(b"authorization", b"bearer  KEY ")],
        [(b"x-api-key", b"KEY")],
        [(b"authorization", b"Basic eDp5"), (b"x-api-key", b"KEY")],
        [(b"x-api-key", b" "), (b"authorization", b"Bearer KEY")],
        [(b"authorization", b"Bearer of-a-proxy"), (b"x-api-key", b"KEY")],
    ],
)
def test_a_key_comes_in_either_header(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    furnish(tmp_path)
    key = made(tmp_path, "predict:mixed").encode()

    async def test(service: Service) -> None:
        given = [(name, value.replace(b"KEY", key)) for name, value in headers]
        assert (await service.predict(ROW, headers=given)).status == 200
        assert (await service.predict(ROW, headers=[(b"authorization", b"Basic " + key)])).status == 401

    run(tmp_path, test, **REQUIRED)


def test_bentomls_route_names_the_model_in_its_body_which_is_held_against_the_key(tmp_path: Path) -> None:
    furnish(tmp_path)
    mine, other, reader = (made(tmp_path, scope) for scope in ("predict:mixed", "predict:other", "read"))

    async def test(service: Service) -> None:
        body = {"model": "mixed", "instances": [ROW]}
        assert (await service.ask("POST", "/predict", body, with_key(mine))).status == 200
        reply = await service.ask("POST", "/predict", body, with_key(other))
        assert (reply.status, reply.json["code"]) == (403, "scope_missing")
        nothing = {"model": "nothing", "instances": [ROW]}  # no key tells of others' models whether they are there
        assert (await service.ask("POST", "/predict", nothing, with_key(other))).json["code"] == "scope_missing"
        reply = await service.ask("POST", "/predict", body, with_key(reader))
        assert (reply.status, reply.json["code"]) == (403, "scope_missing")
        outcomes = [one.outcome for one in service.requests()]
        assert outcomes == [Outcome.ANSWERED, *[Outcome.REJECTED] * 3]

    run(tmp_path, test, **REQUIRED)


def test_a_refusal_is_on_record_and_its_body_is_not_read(tmp_path: Path) -> None:
    furnish(tmp_path)
    unread: list[dict[str, Any]] = []  # asking for one raises

    async def test(service: Service) -> None:
        for text, status, code in (("", 401, "key_missing"), ("guess", 401, "key_refused")):
            reply = await service.predict(ROW, headers=with_key(text) if text else [], received=iter(unread))
            assert (reply.status, reply.json["code"]) == (status, code)
        found = [(one.outcome, one.status, one.code, one.rows) for one in service.requests()]
        assert found == [(Outcome.REJECTED, 401, "key_missing", 0), (Outcome.REJECTED, 401, "key_refused", 0)]

    run(tmp_path, test, **REQUIRED)


# --- rows a second ------------------------------------------------------------------------------------------------


def test_a_key_that_has_used_its_rows_is_told_when_to_come_again_and_is_on_record(tmp_path: Path) -> None:
    furnish(tmp_path)
    headers = with_key(made(tmp_path, "predict", rows_per_s=0.5, burst_rows=4))
    free = with_key(made(tmp_path, "predict"))

    async def test(service: Service) -> None:
        assert (await service.predict(*[ROW] * 3, headers=headers)).status == 200
        reply = await service.predict(*[ROW] * 3, headers=headers)  # one is left, three are asked for
        assert (reply.status, reply.json["code"]) == (429, "rate_limited")
        assert reply.headers["retry-after"] == "4"
        assert (await service.predict(ROW, headers=headers)).status == 200
        unread: list[dict[str, Any]] = []
        reply = await service.predict(ROW, headers=headers, received=iter(unread))
        assert (reply.status, reply.headers["retry-after"]) == (429, "2")
        assert (await service.predict(*[ROW] * 100, headers=free)).status == 200
        outcomes = [(one.outcome, one.code) for one in service.requests()]
        assert outcomes.count((Outcome.REJECTED, "rate_limited")) == 2
        assert [one.rows for one in service.requests() if one.outcome is Outcome.ANSWERED] == [3, 1, 100]

    run(tmp_path, test, **REQUIRED)


def test_more_rows_than_the_burst_are_refused_for_good_and_not_for_now(tmp_path: Path) -> None:
    furnish(tmp_path)
    headers = with_key(made(tmp_path, "predict", rows_per_s=1.0, burst_rows=2))

    async def test(service: Service) -> None:
        reply = await service.predict(*[ROW] * 3, headers=headers)
        assert (reply.status, reply.json["code"]) == (413, "too_many_rows")
        assert reply.json["error"] == "request: 3 rows, expected at most 2; split it"
        assert "retry-after" not in reply.headers
        assert (await service.predict(*[ROW] * 2, headers=headers)).status == 200  # nothing was taken for it

    run(tmp_path, test, **REQUIRED)


def test_what_cannot_be_read_costs_one_row_and_a_row_is_charged_once_where_it_is_read_twice(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 50}, key="feature:city")
    headers = with_key(made(tmp_path, "predict", rows_per_s=0.001, burst_rows=2))

    async def test(service: Service) -> None:
        assert (await service.predict(ROW, headers=headers)).status == 200
        assert (await service.ask("POST", "/v1/models/mixed:predict", b"{", headers)).status == 400
        assert (await service.predict(ROW, headers=headers)).status == 429

    run(tmp_path, test, **REQUIRED)


# --- followed -----------------------------------------------------------------------------------------------------


def test_a_key_opens_and_stops_opening_while_the_service_runs(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.predict(ROW)
        assert (reply.status, "plumbline keys add" in reply.json["error"]) == (401, True)
        text = made(service.home, "predict:mixed")
        await opens(service, text, 200)
        KeyFile(service.home / FILE).revoke(text[4:12], like("read").created)
        await opens(service, text, 401)

    run(tmp_path, test, **REQUIRED)


async def opens(service: Service, text: str, status: int) -> None:
    """As soon as it does, within a second."""
    found = 0
    loop = asyncio.get_running_loop()
    end_s = loop.time() + 1
    while found != status:
        assert loop.time() < end_s, f"found {found}, expected {status} within 1 s"
        found = (await service.predict(ROW, headers=with_key(text))).status
        await asyncio.sleep(0.005)


def test_a_file_that_breaks_leaves_the_keys_and_readyz_says_so(tmp_path: Path) -> None:
    furnish(tmp_path)
    text, reader = made(tmp_path, "predict:mixed"), made(tmp_path, "read")

    async def test(service: Service) -> None:
        ready = await service.ask("GET", "/readyz")
        assert (ready.status, ready.json) == (200, {"ready": True, "problems": []})
        detail = (await service.ask("GET", "/readyz", headers=with_key(reader))).json
        assert detail["models"] == {"mixed": "1", "image": "1"}
        (tmp_path / FILE).write_text("[[key")
        gate = service.worker.edge._gate  # type: ignore[attr-defined]
        await until(lambda: gate.problem, "the problem")
        ready = await service.ask("GET", "/readyz")
        assert ready.status == 200 and "keys.toml" in ready.json["problems"][0]
        assert (await service.predict(ROW, headers=with_key(text))).status == 200

    run(tmp_path, test, **REQUIRED)


def test_a_service_that_never_read_its_keys_lets_nobody_in_and_is_not_ready(tmp_path: Path) -> None:
    furnish(tmp_path)
    text = made(tmp_path, "admin")
    good = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(b"[[key")

    async def test(service: Service) -> None:
        ready = await service.ask("GET", "/readyz")
        assert (ready.status, ready.json["ready"]) == (503, False)
        for given in (text, "", "guess"):
            reply = await service.predict(ROW, headers=with_key(given))
            assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "keys_unavailable", "5")
            assert "keys.toml" in reply.json["error"]
        assert (await service.ask("GET", "/livez")).status == 200
        (tmp_path / FILE).write_bytes(good)
        await opens(service, text, 200)

    run(tmp_path, test, **REQUIRED)


# --- admin, guesses, documents ------------------------------------------------------------------------------------


def test_the_audit_log_names_the_key_beside_the_name_that_a_request_gives_itself(tmp_path: Path) -> None:
    furnish(tmp_path)
    text = made(tmp_path, "admin", name="deployer")

    async def test(service: Service) -> None:
        for order in ({"do": "set", "stable": "2", "by": "ada"}, {"do": "rollback"}):
            reply = await service.ask("POST", "/admin/routes/mixed", order, with_key(text))
            assert reply.status == 200, reply.json
        said = {"do": "set", "stable": "2"}
        assert (await service.ask("POST", "/admin/routes/mixed", said, with_key(TOKEN))).status == 200
        entries = [(one.entry.by, one.entry.key) for one in RoutesFile(tmp_path / "routes.toml").entries()][-3:]
        assert entries == [("ada", f"{text[4:12]} deployer"), ("", f"{text[4:12]} deployer"), ("", "admin token")]
        told = (await service.ask("GET", "/admin/routes/mixed/history", headers=with_key(text))).json["changes"]
        assert [(one["by"], one["key"]) for one in told[-3:]] == entries

    run(tmp_path, test, admin_token=TOKEN, **REQUIRED)


@contextmanager
def few_bytes(limit: int) -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < limit, f"{grown} bytes"


def test_guesses_leave_nothing_behind(tmp_path: Path) -> None:
    """100 000 at the gate; the first of them warm it."""
    furnish(tmp_path)
    made(tmp_path, "predict")

    async def test(service: Service) -> None:
        gate: Any = service.worker.edge._gate  # type: ignore[attr-defined]
        target = parse("/v1/models/mixed:predict")
        assert target is not None

        def guess(number: int) -> None:
            try:
                gate.enter(target, with_key(f"plk_{number:08x}_{number:064x}"))
            except KeyRefused:
                return
            pytest.fail("it opened")

        for number in range(1000):
            guess(number)
        with few_bytes(50_000):
            for number in range(1000, 100_000):
                guess(number)
        assert len(gate._allowances) == 0

    run(tmp_path, test, **REQUIRED)


def test_no_key_is_ever_logged(tmp_path: Path) -> None:
    furnish(tmp_path)
    kinds = words(tmp_path)

    logged: list[Any] = []

    async def test(service: Service) -> None:
        with capture_logs() as logs:
            for text in kinds.values():
                await service.predict(ROW, headers=with_key(text))
                await service.ask("GET", "/v2/models/mixed/stats", headers=with_key(text))
        logged.extend(logs)

    run(tmp_path, test, admin_token=TOKEN, **REQUIRED)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) + repr(logged).encode()
    for kind, text in kinds.items():
        if kind not in ("none", "guess", "token"):
            assert text[13:].encode() not in written, kind
    assert TOKEN.encode() not in written


def test_without_keys_nothing_is_asked_and_a_key_means_nothing(tmp_path: Path) -> None:
    furnish(tmp_path)
    text = made(tmp_path, "admin")

    async def test(service: Service) -> None:
        assert type(service.worker.edge).__name__ == "Edge"
        assert (await service.predict(ROW)).status == 200
        assert (await service.predict(ROW, headers=with_key("guess"))).status == 200
        reply = await service.ask("GET", "/admin/routes", headers=with_key(text))
        assert (reply.status, reply.json["code"]) == (403, "admin_disabled")

    run(tmp_path, test)


def test_the_document_of_a_service_that_asks_for_keys_says_where() -> None:
    found = document("1.2.3", schemas(), keyed=True)
    schemes = set(found["components"]["securitySchemes"])
    for path, target in templates():
        security = found["paths"][path][target.method.lower()]["security"]
        named = {name for one in security for name in one}
        assert named == (set() if NEEDS[target.verb] is Need.NOTHING else schemes), path


def test_a_thousand_keys_are_read_between_two_looks(tmp_path: Path) -> None:
    keys = Keys(tuple(replace(fresh(like("predict:mixed"))[1], id=f"{n:08x}") for n in range(1000)))
    file = KeyFile(tmp_path / FILE)
    file.path.write_text(keys.encode())
    assert len(file.read().keys) == 1000
