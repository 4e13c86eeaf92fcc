"""The monitor's page behind keys."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from models.key_file import FILE, KeyFile
from models.keyring import Keyring
from monitoring.keyed import Keyed
from tests.keys import bearer, expired, made


async def well(_: Request) -> Response:
    return PlainTextResponse("well")


PAGE = Starlette(routes=[Route(path, well) for path in ("/metrics", "/healthz", "/api/status")])


def asked(home: Path, keyed: Keyed, path: str = "/metrics", text: str = "") -> tuple[int, str]:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(keyed), base_url="http://monitor") as client:
            return await client.get(path, headers=bearer(text) if text else {})

    answer = asyncio.run(ask())
    return answer.status_code, "" if answer.is_success else answer.json()["code"]


@pytest.fixture
def keyed(tmp_path: Path) -> Keyed:
    return Keyed(PAGE, Keyring(KeyFile(tmp_path / FILE)))


@pytest.mark.parametrize("path", ["/metrics", "/api/status", "/nothing"])
def test_only_a_live_key_that_reads_opens_the_page(tmp_path: Path, keyed: Keyed, path: str) -> None:
    assert asked(tmp_path, keyed, path) == (401, "key_missing")
    assert asked(tmp_path, keyed, path, "guess") == (401, "key_refused")
    assert asked(tmp_path, keyed, path, expired(tmp_path, "read")) == (401, "key_refused")
    assert asked(tmp_path, keyed, path, made(tmp_path, "predict")) == (403, "scope_missing")
    good = 404 if path == "/nothing" else 200
    for scope in ("read", "admin"):
        if good == 200:
            assert asked(tmp_path, keyed, path, made(tmp_path, scope)) == (200, "")


def test_a_key_that_was_revoked_opens_nothing_from_the_next_request_on(tmp_path: Path, keyed: Keyed) -> None:
    text = made(tmp_path, "read")
    assert asked(tmp_path, keyed, text=text) == (200, "")
    KeyFile(tmp_path / FILE).revoke(text[4:12], datetime.now(UTC))
    assert asked(tmp_path, keyed, text=text) == (401, "key_refused")


def test_health_needs_no_key_and_keys_that_cannot_be_read_open_nothing(tmp_path: Path, keyed: Keyed) -> None:
    text = made(tmp_path, "admin")
    good = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_text("[[key")
    assert asked(tmp_path, keyed, "/healthz") == (200, "")
    assert asked(tmp_path, keyed, text=text) == (503, "keys_unavailable")
    (tmp_path / FILE).write_bytes(good)
    assert asked(tmp_path, keyed, text=text) == (200, "")
    (tmp_path / FILE).write_text("[[key")
    assert asked(tmp_path, keyed, text=text) == (200, "")
