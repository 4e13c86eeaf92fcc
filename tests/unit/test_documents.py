"""What a document tells its reader to type can be typed."""

import re
from pathlib import Path

import click
import pytest

from tests.documents import DOCUMENTS, fenced, inline, leaf, missing, path_of, words_of
from tests.processes import ROOT

FENCED = sorted({(page.relative_to(ROOT), *words) for page in DOCUMENTS for words in fenced(page.read_text())})


@pytest.mark.parametrize("words", FENCED, ids=lambda words: " ".join(map(str, words)))
def test_a_command_of_a_document_is_one_that_this_release_takes(words: tuple[Path | str, ...]) -> None:
    path, rest = path_of([str(word) for word in words[1:]])
    try:
        leaf(path).make_context(" ".join(path), rest)  # reads the options and arguments, and runs nothing
    except click.BadParameter as error:
        assert "does not exist" in error.message  # the reader's own file


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_document_names_no_command_and_no_page_that_is_not_there(page: Path) -> None:
    text = page.read_text()
    for words in inline(text):
        path_of([word for word in words if "|" not in word and "…" not in word])
    for named in re.findall(r"`((?:docs|tests|service|models|monitoring|loadtests)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_to_be_typed_stands_in_a_block_that_the_tests_read(page: Path) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert not [
        text for mark, text in blocks if mark != "sh" and re.search(r"^(\.venv/bin/)?plumbline ", text, re.MULTILINE)
    ]


def test_what_follows_a_command_in_a_shell_is_none_of_its_words() -> None:
    assert words_of('log tail --where "amount > 1000" > x.csv  # a comment') == [
        "log",
        "tail",
        "--where",
        "amount > 1000",
    ]


def test_what_is_printed_is_held_line_by_line_in_order() -> None:
    assert missing(("a …c", "d"), "x\na bc\nd e\n") is None
    assert missing(("d", "a"), "a\nd\n") == "a"
    assert missing(("a.c",), "abc") == "a.c"
