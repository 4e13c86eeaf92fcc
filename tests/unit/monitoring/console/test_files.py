"""The page's files: all of them, none else, and those of others as their authors published them."""

import asyncio
import re
from hashlib import sha256

import httpx
import pytest

from monitoring.console.files import FILES, STATIC
from tests.unit.monitoring.console.made import console, folded, pulse_of

# uPlot 1.6.32, of the npm package uplot (`dist/` and LICENSE)
PINNED = {
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


def get(path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(console(pulse_of(folded(minutes=1))))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_the_table_names_every_file_of_the_folder_and_no_other() -> None:
    there = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    assert {name for name, _ in FILES.values()} == there


@pytest.mark.parametrize("name", PINNED)
def test_what_others_wrote_is_what_they_published(name: str) -> None:
    assert sha256((STATIC / "vendor/uplot" / name).read_bytes()).hexdigest() == PINNED[name]


@pytest.mark.parametrize("path", FILES)
def test_every_file_is_served_as_what_it_is(path: str) -> None:
    answer = get(path)
    name, media_type = FILES[path]
    assert (answer.status_code, answer.content) == (200, (STATIC / name).read_bytes())
    assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    "path", ["/static/", "/static/../routes.py", "/static/%2e%2e/routes.py", "/static/vendor", "/index.html"]
)
def test_no_path_reaches_anything_else(path: str) -> None:
    assert get(path).status_code == 404


def test_nothing_is_written_into_the_page_as_markup_or_style() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)
    for script in STATIC.glob("*.js"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://", script.read_text()
        )
        assert found is None, f"{script.name}: {found}"
