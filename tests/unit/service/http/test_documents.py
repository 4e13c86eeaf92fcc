"""Who asks for the root: KServe's V1 client wants JSON, a browser the page."""

import asyncio
from typing import Any

import pytest

from service.http.answer import HTML, JSON, Answer
from service.http.documents import Documents
from service.http.paths import parse

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents("1.2.3")


def asked(documents: Documents, path: str, *accept: bytes) -> Answer:
    target: Any = parse(path)
    headers = [(b"accept", value) for value in accept]
    return asyncio.run(documents.handlers()[target.verb](target, headers, b"", "id"))  # type: ignore[arg-type]


@pytest.mark.parametrize("accept", [(BROWSER,), (b"Text/HTML;level=1",), (b"application/json", b"text/html")], ids=str)
def test_whoever_reads_pages_gets_the_page_at_the_root(documents: Documents, accept: tuple[bytes, ...]) -> None:
    page = asked(documents, "/", *accept)
    assert (page.status, page.content_type, page.body) == (200, HTML, asked(documents, "/docs").body)
    assert (b"vary", b"accept") in page.headers


@pytest.mark.parametrize("accept", [(), (b"*/*",), (b"application/json",), (b"a/b," * 20 + b"text/html",)], ids=str)
def test_all_others_are_told_that_it_is_alive(documents: Documents, accept: tuple[bytes, ...]) -> None:
    told = asked(documents, "/", *accept)
    assert (told.status, told.content_type, told.body) == (200, JSON, b'{"status":"alive"}')
