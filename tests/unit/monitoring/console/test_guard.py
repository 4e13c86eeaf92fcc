"""Whom the console answers to, and what it tells browsers to refuse."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitoring.console.guard import HEADERS, Guarded


async def well(_: Request) -> Response:
    return PlainTextResponse("well")


PATHS = ("/", "/api/status", "/metrics", "/healthz", "/gate/argo")
PAGE = Starlette(routes=[Route(path, well) for path in PATHS])


def asked(guarded: Guarded, host: str, path: str = "/") -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://monitor") as client:
            return await client.get(path, headers={"host": host})

    return asyncio.run(ask())


OURS = ["localhost", "LOCALHOST:3001", "127.0.0.1:3001", "[::1]:3001", "10.0.0.7", "monitor.example:3001", "localhost."]
FOREIGN = [
    "",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:3001",
    "[::1",
    "1.2.3",
    "monitor.example.x",
]


@pytest.mark.parametrize("host", OURS)
def test_addresses_localhost_and_what_the_settings_name_are_answered(host: str) -> None:
    assert asked(Guarded(PAGE, {"monitor.example"}), host).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/status", "/nothing"])
@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_somebody_else_points_here_is_refused(host: str, path: str) -> None:
    answer = asked(Guarded(PAGE, {"monitor.example"}), host, path)
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/gate/argo"])
def test_machines_may_know_the_monitor_by_any_name(path: str) -> None:
    assert asked(Guarded(PAGE, ()), "monitor.svc.cluster.local:3001", path).status_code == 200


def test_where_keys_are_asked_for_every_name_will_do() -> None:
    assert asked(Guarded(PAGE, None), "monitor.example").status_code == 200


@pytest.mark.parametrize(("host", "path"), [("localhost", "/"), ("localhost", "/nothing"), ("evil.example", "/")])
def test_every_answer_says_what_a_browser_must_refuse(host: str, path: str) -> None:
    headers = asked(Guarded(PAGE, ()), host, path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


OWN = "127.0.0.1:3001"
ORIGINS: list[tuple[str, str | None, int]] = [
    (OWN, None, 200),
    (OWN, "http://127.0.0.1:3001", 200),
    (OWN, "https://monitor.example", 200),
    (OWN, "https://monitor.example:8443", 200),
    ("monitor.example", "https://monitor.example", 200),
    ("monitor.example:443", "https://monitor.example", 200),
    ("monitor.example", "https://monitor.example:443", 200),
    ("MONITOR.example:80", "http://monitor.example", 200),
    ("monitor.example", "https://monitor.example:8443", 200),
    ("other.example", "https://other.example", 200),
    ("[::1]:3001", "http://[::1]:3001", 200),
    ("[::1]", "http://[::1]:80", 200),
    (OWN, "http://evil.example", 403),
    (OWN, "null", 403),
    (OWN, "", 403),
    (OWN, "file://", 403),
    (OWN, "127.0.0.1:3001", 403),
    (OWN, "http://127.0.0.1:8080", 403),
    (OWN, "http://localhost:9", 403),
    ("localhost:3001", "http://localhost:9", 403),
    ("other.example", "http://other.example:9", 403),
    ("other.example:80", "https://other.example", 403),
    ("[::1]:3001", "http://[::1]:3002", 403),
]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(("host", "origin", "status"), ORIGINS)
def test_a_change_is_taken_from_our_own_page_alone(host: str, origin: str | None, status: int, keyed: bool) -> None:
    async def changed(_: Request) -> Response:
        return PlainTextResponse("changed")

    named = {"monitor.example"}
    app = Starlette(routes=[Route("/api/x", changed, methods=["POST"])])
    page = Guarded(app, None if keyed else {*named, "127.0.0.1", "other.example"}, named)

    async def ask() -> int:
        headers = {"host": host, **({} if origin is None else {"origin": origin})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://monitor") as client:
            return (await client.post("/api/x", headers=headers)).status_code

    assert asyncio.run(ask()) == status
