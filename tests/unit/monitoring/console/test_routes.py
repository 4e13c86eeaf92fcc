"""What the page asks for: a version, its heat map, one column's histogram; and that none of it comes without a key."""

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from models.key_file import FILE, KeyFile
from models.keyring import Keyring
from monitoring.console.files import FILES
from monitoring.console.guard import HEADERS, Guarded
from monitoring.keyed import OPEN, Keyed
from tests.keys import bearer, made
from tests.unit.monitoring.console.made import console, folded, pulse_of

PULSE = pulse_of(folded(scale=1000.0))
DATA = (
    "/api/overview",
    "/api/stream",
    "/api/version?model=payments&version=1",
    "/api/heat?model=payments",
    "/api/drift",
)


def get(page: ASGIApp, path: str, key: str = "") -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://monitor") as client:
            return await client.get(path, headers=bearer(key) if key else {})

    return asyncio.run(ask())


def test_a_version_is_what_the_status_says_of_it() -> None:
    told = get(console(PULSE), "/api/version?model=payments&version=1").json()
    assert told == next(one for one in get(console(PULSE), "/api/status").json()["versions"])


def test_the_heat_map_has_a_cell_a_window() -> None:
    told = get(console(PULSE), "/api/heat?model=payments&version=1").json()
    assert told["rows"][0]["column"] == "f0"
    assert "drifted" in [cell[1] for cell in told["rows"][0]["cells"]]
    assert len(told["rows"][0]["cells"]) == len(told["windows_s"])


def test_one_column_can_be_asked_for_alone() -> None:
    told = get(console(PULSE), "/api/drift?model=payments&column=f0").json()
    assert [one["column"] for one in told["columns"]] == ["f0"]


@pytest.mark.parametrize(
    "path", ["/api/version", "/api/version?model=payments&version=2", "/api/heat", "/api/heat?model=other"]
)
def test_of_what_is_not_there_it_says_so(path: str) -> None:
    answer = get(console(PULSE), path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_judged")


def test_behind_keys_the_files_are_public_and_the_data_is_not(tmp_path: Path) -> None:
    keyed = Keyed(console(PULSE), Keyring(KeyFile(tmp_path / FILE)), open_to_all=OPEN | FILES.keys())
    page = Guarded(keyed, None)
    for path in FILES:
        assert get(page, path).status_code == 200
    for path in (*DATA, "/static/../api/status", "/static"):
        answer = get(page, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing"), path
        assert answer.headers["x-content-type-options"] == HEADERS["x-content-type-options"]
    key = made(tmp_path, "read")
    assert get(page, "/api/overview", key).status_code == 200
    assert get(page, "/api/overview", made(tmp_path, "predict")).status_code == 403
