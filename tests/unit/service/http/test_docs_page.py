"""The page of the document is whole without script or request, and says what the document says."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from service.http.docs_page import POLICY, page
from service.http.openapi import document
from service.http.paths import templates
from service.http.shapes import schemas


class Reader(HTMLParser):
    """Tags that are open, links, ids, and every text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    return page(document("1.2.3", schemas()))


@pytest.fixture(scope="module")
def reader(html: str) -> Reader:
    found = Reader()
    found.feed(html)
    assert found.open == []
    return found


def test_every_route_is_on_the_page(reader: Reader) -> None:
    for path, target in templates():
        assert f"{target.method} {path}" in reader.text


def test_the_page_asks_for_nothing_and_runs_nothing(reader: Reader) -> None:
    assert not reader.seen & {"script", "link", "img", "iframe", "src", "style=", "onclick", "onload", "form"}
    assert set(reader.links) - {"/openapi.json"} == {link for link in reader.links if link.startswith("#")}
    assert {link.removeprefix("#") for link in reader.links if link.startswith("#")} <= set(reader.ids)


def test_the_policy_lets_its_own_style_in_and_nothing_else(html: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert POLICY.startswith("default-src 'none';") and "unsafe" not in POLICY and "script" not in POLICY


def test_what_stands_in_the_document_is_text_and_never_markup() -> None:
    made = document("<b>1</b>", {"<i>": {"title": "<script>"}})
    html = page(made)
    assert "<b>1</b>" not in html and "<i>" not in html and "<script>" not in html


def test_every_operation_is_in_the_contents_and_lists_are_lists(html: str, reader: Reader) -> None:
    for methods in document("1.2.3", schemas())["paths"].values():
        for operation in methods.values():
            assert reader.links.count(f"#{operation['operationId']}") == 1
    assert "<li>" in html and "- <code>" not in html
